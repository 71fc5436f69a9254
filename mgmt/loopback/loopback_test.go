package loopback_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vnetkit/mgmt/loopback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseAddr(t *testing.T) {
	for _, tc := range []struct{ text, want, fails string }{
		{"127.0.0.1:9101", "127.0.0.1:9101", ""},
		{"9101", "127.0.0.1:9101", ""},
		{":9101", "127.0.0.1:9101", ""},
		{"localhost:0", "127.0.0.1:0", ""},
		{"[::1]:80", "[::1]:80", ""},
		{"0.0.0.0:9101", "0.0.0.0:9101", ""},
		{"[::]:9101", "[::]:9101", ""},
		{"", "", `port ""`},
		{"127.0.0.1", "", `port "127.0.0.1"`},
		{"127.0.0.1:", "", `port ""`},
		{"127.0.0.1:http", "", `port "http"`},
		{"127.0.0.1:65536", "", "0 to 65535"},
		{"127.0.0.1:-1", "", "0 to 65535"},
		{"::1:80", "", "want HOST:PORT"},
		{"example.org:80", "", "not an IP address"},
		{"http://127.0.0.1:80", "", "want HOST:PORT"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			got, err := loopback.ParseAddr(tc.text)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("got %v, %v, want an error with %q", got, err, tc.fails)
				}
				return
			}
			if err != nil || got.String() != tc.want {
				t.Errorf("got %v, %v, want %s", got, err, tc.want)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	for _, tc := range []struct {
		host    string
		origin  []string
		foreign bool
	}{
		{"127.0.0.1:80", nil, false},
		{"127.0.0.1", nil, false},
		{"LocalHost:8080", nil, false},
		{"[::1]:80", nil, false},
		{"[::1]", nil, false},
		{"192.0.2.1:80", nil, false},
		{"evil.example", nil, true},
		{"evil.example:80", nil, true},
		{"localhost.evil.example:80", nil, true},
		{"127.0.0.1.evil.example:80", nil, true},
		{"", nil, true},
		{":80", nil, true},
		{"127.0.0.1:80", []string{"http://127.0.0.1:80"}, false},
		{"127.0.0.1:80", []string{"http://127.0.0.1:81"}, true},
		{"127.0.0.1:80", []string{"https://127.0.0.1:80"}, true},
		{"127.0.0.1:80", []string{"http://127.0.0.1:80.evil.example"}, true},
		{"127.0.0.1:80", []string{"null"}, true},
		{"127.0.0.1:80", []string{""}, true},
		{"127.0.0.1:80", []string{"http://127.0.0.1:80", "http://evil.example"}, true},
	} {
		t.Run(fmt.Sprint(tc.host, tc.origin), func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = tc.host
			if tc.origin != nil {
				r.Header["Origin"] = tc.origin
			}
			if why := loopback.Foreign(r); (why != "") != tc.foreign {
				t.Errorf("foreign: %q", why)
			}
		})
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, h http.HandlerFunc, limits loopback.Limits) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loopback.Serve(ctx, ln, h, limits, nil) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

// Half requests are cut off, however many there are, and others are served.
func TestHalfRequests(t *testing.T) {
	addr, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		fmt.Fprint(w, err)
	}, loopback.Limits{Header: 50 * time.Millisecond, Read: 50 * time.Millisecond, Connections: 8})
	var wait sync.WaitGroup
	for i := range 100 {
		nc := dial(t, addr)
		wait.Go(func() {
			fmt.Fprint(nc, []string{"", "GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", "\x16\x03\x01\x02\x00\x01\x00"}[i%4])
			_, _ = io.ReadAll(nc) // ends when the server has had enough
		})
	}
	wait.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; {
		// The server may be about to see that the last of them have gone.
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr)
		if err != nil {
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
			continue
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("afterwards: %s", resp.Status)
		}
		return
	}
}

// Over the limit connections are closed, and each that leaves makes room.
func TestConnectionLimit(t *testing.T) {
	addr, _ := serve(t, hello, loopback.Limits{Connections: 2})
	ask := func() (net.Conn, error) {
		nc := dial(t, addr)
		if _, err := fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return nc, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err == nil {
			resp.Body.Close()
		}
		return nc, err
	}
	first, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(); err == nil {
		t.Error("a third one was served")
	}
	first.Close()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if _, err := ask(); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("one has left, but there is no room")
		}
	}
}

// The end does not wait for those who wait for something.
func TestServeEnds(t *testing.T) {
	began := make(chan struct{})
	addr, stop := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	}, loopback.Limits{})
	fmt.Fprint(dial(t, addr), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	fmt.Fprint(dial(t, addr), "GET / HT")
	<-began
	stop()
	if nc, err := net.Dial("tcp", addr); err == nil {
		nc.Close()
		t.Error("still listens")
	}
}
