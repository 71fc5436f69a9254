package web_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"testing"
)

// framed serves the page inside a frame of a phone's width, which a browser's
// window cannot have. What forbids that, rightly, is taken out on the way.
func (l *lab) framed(width, height int) (address string) {
	l.t.Helper()
	target := &url.URL{Scheme: "http", Host: l.addr}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = l.addr
			r.Out.Header.Del("Origin")
		},
		ModifyResponse: func(r *http.Response) error {
			r.Header.Del("Content-Security-Policy")
			r.Header.Del("X-Frame-Options")
			return nil
		},
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("/frame", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!DOCTYPE html><body style="margin:0"><iframe src="/?token=%s" style="width:%dpx;height:%dpx;border:0;display:block"></iframe><script>
setInterval(() => {
  const page = document.querySelector("iframe").contentDocument, wide = [];
  if (page.querySelector("#ports b") === null) return; // not live yet
  for (const e of page.body.querySelectorAll("*")) {
    const r = e.getBoundingClientRect(), scrolls = e.closest(".wide");
    if (r.width > 0 && r.right > %[2]d + 1 && !(scrolls && scrolls !== e) && !e.closest("svg")) wide.push(e.tagName + "#" + e.id + "." + e.className + " to " + Math.round(r.right));
    if (e.matches("#ports td, #ports th") && e.scrollWidth > e.clientWidth && !e.matches("td:nth-child(2)")) wide.push("cut off: " + e.textContent);
    if (e.matches("#topology text")) {
      const card = e.parentNode.querySelector(".peer");
      if (card && r.right > card.getBoundingClientRect().right) wide.push("out of its card: " + e.textContent);
    }
  }
  document.title = page.getElementById("live").textContent + " width " + page.documentElement.scrollWidth + " too wide: " + (wide.join(", ") || "nothing");
}, 500);
</script>`, l.token, width, height)
	})
	server := httptest.NewUnstartedServer(mux)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	server.Listener.Close()
	server.Listener = ln
	server.Start()
	l.t.Cleanup(server.Close)
	return server.URL + "/frame"
}

// On a phone nothing sticks out to the right.
func TestPhoneInChromium(t *testing.T) {
	l := network(t, true)
	for _, width := range []int{360, 390} {
		dom := chromium(t, l.framed(width, 3000), "--virtual-time-budget=8000", "--dump-dom")
		title := regexp.MustCompile(`<title>.*</title>`).FindString(dom)
		if title != fmt.Sprintf("<title>live width %d too wide: nothing</title>", width) {
			t.Errorf("at %d: %s", width, title)
		}
	}
}
