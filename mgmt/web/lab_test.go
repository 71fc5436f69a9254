package web_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/loopback"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/mgmt/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a switch with its web page on TCP.
type lab struct {
	*mgmttest.Switch
	t     *testing.T
	addr  string // HOST:PORT
	url   string // with the token
	token string
}

func start(t *testing.T, write bool, limits loopback.Limits) *lab {
	t.Helper()
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	var handler http.Handler = s.Server
	if write {
		handler = s.Server.AsDaemon()
	}
	site, err := web.New(handler, web.Options{Write: write})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{Switch: s, t: t, addr: ln.Addr().String(), url: site.URL(ln.Addr())}
	u, err := url.Parse(l.url)
	if err != nil {
		t.Fatal(err)
	}
	l.token = u.Query().Get("token")
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- site.Serve(ctx, ln, limits) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve page: %v", err)
		}
	})
	return l
}

// do makes a request; headers are pairs. The token is sent unless there is an
// Authorization among them.
func (l *lab) do(method, path, body string, headers ...string) (*http.Response, string) {
	l.t.Helper()
	req, err := http.NewRequest(method, "http://"+l.addr+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Authorization", "Bearer "+l.token)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp, string(answer)
}

// get decodes what the page's server answers.
func get[T any](l *lab, path string) T {
	l.t.Helper()
	resp, body := l.do("GET", path, "")
	if resp.StatusCode != http.StatusOK {
		l.t.Fatalf("GET %s: %s %s", path, resp.Status, body)
	}
	return decode[T](l.t, body)
}

// onSocket is the same of the API itself.
func onSocket[T any](l *lab, path string) T {
	l.t.Helper()
	return decode[T](l.t, l.raw(path))
}

// raw is what the API itself answers.
func (l *lab) raw(path string) string {
	rec := httptest.NewRecorder()
	l.Server.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	return rec.Body.String()
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("decode %s into %T: %v", text, v, err)
	}
	return v
}

// refused checks that an answer is an error as the API makes them.
func refused(t *testing.T, resp *http.Response, body string, status int, says string) {
	t.Helper()
	f := decode[api.Failure](t, body)
	if resp.StatusCode != status || f.Error == nil || !strings.Contains(f.Error.Message+f.Error.Hint, says) {
		t.Errorf("got %s %s, want %d with %q", resp.Status, body, status, says)
	}
}
