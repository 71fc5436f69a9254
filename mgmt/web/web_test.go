package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/loopback"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

// Without the token nothing about the switch is told, on any path.
func TestToken(t *testing.T) {
	l := start(t, true, loopback.Limits{})
	l.Plug()
	if len(l.token) < 20 || l.token == start(t, true, loopback.Limits{}).token {
		t.Fatalf("token %q", l.token)
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "bearer " + l.token, l.token, "Bearer " + l.token + "x", "Bearer " + l.token[1:], "Basic " + l.token, "Bearer \x80\xff"} {
		for _, r := range onSocket[api.Routes](l, "/v1").Routes {
			path := strings.ReplaceAll(r.Path, "{port}", "1")
			resp, body := l.do(r.Method, path, "{}", "Authorization", header)
			refused(t, resp, body, http.StatusUnauthorized, "token")
		}
	}
	for _, path := range []string{"/v1/info?token=" + l.token, "/metrics?token=" + l.token} {
		resp, body := l.do("GET", path, "", "Authorization", "")
		refused(t, resp, body, http.StatusUnauthorized, "token")
	}
	for query, status := range map[string]int{"": 200, "?token=": 401, "?token=wrong": 401, "?token=" + l.token + "x": 401, "?token=%zz": 200, "?token=x&token=" + l.token: 401} {
		resp, body := l.do("GET", "/"+query, "", "Authorization", "")
		if resp.StatusCode != status || strings.Contains(body, "port1") || strings.Contains(body, l.Dir) || strings.Contains(body, l.token) {
			t.Errorf("%q: %s %s", query, resp.Status, body)
		}
	}
	if n := l.Info().Ports; n != 1 {
		t.Errorf("%d ports", n)
	}
}

// The first view has everything for those without JavaScript.
func TestFirstView(t *testing.T) {
	l := start(t, false, loopback.Limits{})
	g := l.Plug()
	l.Plug()
	g.Send(1, 2, 1000)
	g.Send(1, 1, 64)
	mgmttest.Until(t, "it is dropped", func() bool { return l.Switch.Ports()[0].Drops[vswitch.DropSamePort] == 1 })
	resp, body := l.do("GET", "/?token="+l.token, "", "Authorization", "")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	for _, want := range []string{"<title>lab · vswitch</title>", "2 / 2", "port1", "port2", "1.06 kB", "same-port", vswitch.DropSamePort.Sentence()} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, l.token) {
		t.Error("the page has the token in it")
	}
}

// What the page loads is here, needs no token and asks for nothing elsewhere.
func TestFiles(t *testing.T) {
	l := start(t, false, loopback.Limits{})
	files, err := os.ReadDir("static")
	if err != nil {
		t.Fatal(err)
	}
	policy := ""
	for _, f := range files {
		path := "/" + f.Name()
		if f.Name() == "page.html" {
			path = "/"
		}
		resp, body := l.do("GET", path, "", "Authorization", "")
		if resp.StatusCode != http.StatusOK || len(body) < 500 {
			t.Errorf("%s: %s, %d bytes", path, resp.Status, len(body))
		}
		body = strings.Replace(body, `"http://www.w3.org/2000/svg"`, "", 1) // a name, not an address
		if out := regexp.MustCompile(`https?://|//[a-z]+\.|@import|\burl\(|\bon[a-z]+=|style=|innerHTML|eval\(`).FindString(body); out != "" {
			t.Errorf("%s has %q", path, out)
		}
		policy = resp.Header.Get("Content-Security-Policy")
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "Set-Cookie": ""} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("policy %q", policy)
	}
	for _, path := range []string{"/page.html", "/static/app.js", "/../web.go", "/app.js/", "/.", "/v2", "/x"} {
		if resp, _ := l.do("GET", path, ""); resp.StatusCode == http.StatusOK && resp.Request.URL.Path == path {
			t.Errorf("%s is served", path)
		}
	}
}

// Names of other hosts that lead here, and pages of other origins, get nothing
// even with the token.
func TestForeignRequests(t *testing.T) {
	l := start(t, true, loopback.Limits{})
	for _, headers := range [][]string{
		{"Host", "evil.example"},
		{"Host", "evil.example:80"},
		{"Host", "localhost.evil.example"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", "http://127.0.0.1:1"},
		{"Origin", "https://" + l.addr},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"},
	} {
		for _, ask := range [][2]string{{"GET", "/v1/info"}, {"PATCH", "/v1/switch"}, {"GET", "/app.js"}, {"GET", "/metrics"}} {
			resp, body := l.do(ask[0], ask[1], `{"hub":true}`, headers...)
			refused(t, resp, body, http.StatusForbidden, "")
		}
		resp, body := l.do("GET", "/?token="+l.token, "", headers...)
		if link := len(headers) == 6; (resp.StatusCode == http.StatusOK) != link {
			t.Errorf("page with %v: %s %.200s", headers, resp.Status, body)
		}
	}
	if l.Info().Hub {
		t.Error("one of them changed the switch")
	}
	for _, headers := range [][]string{{"Host", "localhost:7"}, {"Origin", "http://" + l.addr, "Sec-Fetch-Site", "same-origin"}, {"Sec-Fetch-Site", "none"}} {
		if resp, body := l.do("GET", "/v1/info", "", headers...); resp.StatusCode != http.StatusOK {
			t.Errorf("%v: %s %s", headers, resp.Status, body)
		}
	}
}

// Only a page that may write changes anything.
func TestWrite(t *testing.T) {
	for _, write := range []bool{false, true} {
		l := start(t, write, loopback.Limits{})
		l.Plug()
		if may := get[api.Info](l, "/v1/info").MayChange; may != write {
			t.Errorf("write %t: may change %t", write, may)
		}
		for _, r := range onSocket[api.Routes](l, "/v1").Routes {
			if !r.Changes || write && r.Path == "/v1/capture" { // which goes on for ever
				continue
			}
			resp, body := l.do(r.Method, strings.ReplaceAll(r.Path, "{port}", "1"), "nonsense")
			forbidden := resp.StatusCode == http.StatusForbidden
			if forbidden == write {
				t.Errorf("write %t: %s %s: %s %s", write, r.Method, r.Path, resp.Status, body)
			}
			if write && r.Method == "DELETE" && r.Path == "/v1/ports/{port}" {
				l.Plug()
			}
		}
		resp, body := l.do("PATCH", "/v1/switch", `{"hub":true}`)
		if l.Info().Hub != write {
			t.Errorf("write %t: %s %s", write, resp.Status, body)
		}
	}
}

// The page's numbers are the API's, and Prometheus's.
func TestSameNumbers(t *testing.T) {
	l := start(t, false, loopback.Limits{})
	a, b := l.Plug(), l.Plug()
	for range 10 {
		a.Send(1, 0xff, 100)
		b.Receive()
		b.Send(2, 1, 200)
		a.Receive()
		b.Send(2, 2, 64) // dropped
	}
	var web api.Stats
	mgmttest.Until(t, "every frame is accounted for", func() bool {
		web = get[api.Stats](l, "/v1/stats")
		return web.Totals.Rx.Frames == 30 && web.Totals.Tx.Frames+web.Totals.Drops["same-port"] == 30
	})
	socket := onSocket[api.Stats](l, "/v1/stats")
	if !reflect.DeepEqual(web.Ports, socket.Ports) || !reflect.DeepEqual(web.Totals, socket.Totals) || web.FDB != socket.FDB || !reflect.DeepEqual(web.Reasons, socket.Reasons) {
		t.Errorf("page %+v\napi %+v", web, socket)
	}
	for _, path := range []string{"/v1", "/v1/ports", "/v1/ports/1", "/v1/events"} {
		if _, body := l.do("GET", path, ""); body != l.raw(path) {
			t.Errorf("%s: %s\napi: %s", path, body, l.raw(path))
		}
	}
	scraped := func(text string) string {
		return strings.Join(regexp.MustCompile(`(?m)^vswitch_port.*$`).FindAllString(text, -1), "\n")
	}
	_, metrics := l.do("GET", "/metrics", "")
	if scraped(metrics) != scraped(l.raw("/metrics")) {
		t.Error("the metrics differ")
	}
	for _, p := range web.Ports {
		for name, n := range map[string]uint64{"rx_frames_total": p.Rx.Frames, "tx_bytes_total": p.Tx.Bytes} {
			if line := fmt.Sprintf("vswitch_port_%s{id=\"%d\",port=\"%s\"} %d\n", name, p.ID, p.Name, n); !strings.Contains(metrics, line) {
				t.Errorf("the metrics have no %s", line)
			}
		}
	}
	_, page := l.do("GET", "/?token="+l.token, "")
	for _, p := range web.Ports {
		row := regexp.MustCompile(`(?s)</span> ` + p.Name + `</th>.*?</tr>`).FindString(page)
		for _, n := range []uint64{p.Rx.Frames, p.Tx.Frames, p.Drops["same-port"]} {
			if !strings.Contains(row, fmt.Sprintf(`<td class="n">%d`, n)) {
				t.Errorf("the row of %s has no %d: %s", p.Name, n, row)
			}
		}
	}
}

// Events arrive as they happen.
func TestFollow(t *testing.T) {
	l := start(t, false, loopback.Limits{})
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /v1/events?follow=1&since=%d HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", l.Info().EventSeq, l.token)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Not closed, since that would read on to the end: the connection is.
	l.Plug()
	var e api.Event
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.Type != string(vswitch.EventPortAdded) {
		t.Errorf("%+v, %v", e, err)
	}
}

// With --web-write the page can capture, even while it sends nothing for long.
func TestCapture(t *testing.T) {
	l := start(t, true, loopback.Limits{})
	g := l.Plug()
	nc, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "GET /v1/capture?ports=port1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", l.token)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Not closed: see TestFollow.
	g.Send(1, 0xff, 60)
	head := make([]byte, 12)
	if _, err := io.ReadFull(resp.Body, head); err != nil || resp.StatusCode != http.StatusOK || string(head[:4]) != "\x0a\x0d\x0d\x0a" {
		t.Errorf("%s, % x, %v", resp.Status, head, err)
	}
}

// Nonsense and half requests harm nobody.
func TestGarbage(t *testing.T) {
	l := start(t, false, loopback.Limits{Header: 50 * time.Millisecond, Read: 50 * time.Millisecond, Idle: 50 * time.Millisecond, Connections: 8})
	var wait sync.WaitGroup
	for i := range 100 {
		nc, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			defer nc.Close()
			_, _ = io.WriteString(nc, []string{
				"", "GET /", "\x00\xff\x16\x03", "GET / HTTP/1.1\r\nHost: localhost\r\n", "GET / HTTP/1.1\r\n\r\n",
				"POST /v1/ports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + l.token + "\r\nContent-Length: 100\r\n\r\n{",
				"GET /?token=" + strings.Repeat("x", 30000) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
				"GET /v1/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
			}[i%9])
			_, _ = io.ReadAll(nc) // until the server has had enough
		})
	}
	wait.Wait()
	mgmttest.Until(t, "there is room", func() bool {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + l.addr + "/app.js")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	get[api.Info](l, "/v1/info")
}
