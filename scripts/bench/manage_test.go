//go:build linux

package main

import (
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// Round trips are sorted by request, wherever in the turn the interval begins.
func TestAskTimes(t *testing.T) {
	o := &outcome{jobs: []job{{Role: "send"}, {Role: "ask"}}, before: []snapshot{{}, {samples: 5}}, all: [][]uint32{nil, nil}}
	for n := range 5 + 400 { // info takes 1 us, ports 2 us and so on; those of the warm-up take for ever
		ns := uint32(n%len(asked)+1) * 1000
		if n < 5 {
			ns = 1 << 31
		}
		o.all[1] = append(o.all[1], ns)
	}
	v := values{}
	askTimes(o, v)
	for i, name := range []string{"info", "ports", "fdb", "stats"} {
		if got := v[name+" "+mP99]; got != float64(i+1) {
			t.Errorf("%s takes %v us, want %d", name, got, i+1)
		}
	}
}

// Requests go as they are written down, several on one connection, and an
// answer that is not good ends the worker.
func TestCaller(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "api"))
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		r.Body.Read(body)
		asked = append(asked, r.Method+" "+r.URL.String()+" "+string(body))
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTeapot)
		}
	})}
	go server.Serve(ln)
	defer server.Close()
	c, err := callSwitch(&job{Link: linkSpec{Addr: filepath.Join(dir, "stream")}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, text := range []string{"GET /v1/info?x=1", `PATCH /v1/switch {"a": 1}`} {
		resp, err := c.request(text)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if _, err := c.request("GET /bad"); err == nil {
		t.Error("a bad answer was taken")
	}
	if len(asked) != 3 || asked[0] != "GET /v1/info?x=1 " || asked[1] != `PATCH /v1/switch {"a": 1}` {
		t.Errorf("asked %q", asked)
	}
}
