package mgmt_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// A caller whom the kernel does not vouch for may read everything and change
// nothing, whatever route is added later.
func TestUnknownCaller(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Config: noFile{}})
	s.Plug()
	for _, r := range mgmt.Routes() {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			rec := httptest.NewRecorder()
			body := "{}"
			if r.Path == "/v1/trace" {
				body = `{"port":"1"}`
			}
			s.Server.ServeHTTP(rec, httptest.NewRequest(r.Method, strings.ReplaceAll(r.Path, "{port}", "1"), strings.NewReader(body)))
			if !r.Changes {
				if rec.Code != http.StatusOK {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
				return
			}
			if e := failed(t, rec.Code, rec.Body.String(), api.ErrForbidden); !strings.Contains(e.Hint, s.Dir) {
				t.Errorf("hint %q", e.Hint)
			}
		})
	}
	for _, r := range mgmt.Routes() {
		// Frames are private, and tracing one changes nothing.
		unlike := r.Path == "/v1/capture" || r.Path == "/v1/trace"
		if r.Changes == (r.Method == "GET") != unlike {
			t.Errorf("%s %s: changes is %t", r.Method, r.Path, r.Changes)
		}
	}
}

// Over TCP nobody is known.
func TestTCPCaller(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	server := httptest.NewServer(s.Server)
	defer server.Close()
	resp, err := server.Client().Post(server.URL+"/v1/ports", "application/json", strings.NewReader(`{"spec":"stream:unix:/x"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %s", resp.Status)
	}
}

// Half requests, as many as there is room for and more, keep nobody from
// being served once their time is up.
func TestHalfRequestsHeldOpen(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{}, func(s *mgmt.Server) { s.SetLimits(50*time.Millisecond, 50*time.Millisecond, 0, 8, 4) })
	var wait sync.WaitGroup
	for i := range 100 {
		nc := dial(t, s)
		wait.Add(1)
		go func() {
			defer wait.Done()
			// Some stop in the header, some in the body.
			fmt.Fprint(nc, []string{"GET /v1/in", "PATCH /v1/ports/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{\"mtu\":"}[i%2])
			_, _ = io.ReadAll(nc) // until the switch has had enough
		}()
	}
	wait.Wait()
	mgmttest.Until(t, "a place is free", func() bool { return s.Server.Connections() == 0 })
	get[api.Info](t, s, "/v1/info")
}

// Over the limit callers are told so, each that leaves makes room, and those
// who only wait give way.
func TestTooManyConnections(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{}, func(s *mgmt.Server) { s.SetLimits(0, 0, 0, 2, 1) })
	ask := func(path string) (io.Closer, *http.Response) {
		nc := dial(t, s)
		fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		return nc, resp
	}
	var open []io.Closer
	for range 2 {
		nc, resp := ask("/v1/events?follow=1")
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
		open = append(open, nc)
	}
	for range 3 {
		dial(t, s) // and silence
		_, resp := ask("/v1/info")
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		failed(t, resp.StatusCode, string(body), api.ErrBusy)
	}
	open[0].Close()
	mgmttest.Until(t, "one has left", func() bool { return s.Server.Connections() == 1 })
	idle, resp := ask("/v1/info")
	resp.Body.Close()
	get[api.Info](t, s, "/v1/info") // takes the place of the one that was answered
	if n, err := idle.(io.Reader).Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection yields %d bytes, %v", n, err)
	}
}

// Far over the limit, where there is not even time to say so, callers are shut
// out.
func TestFarTooManyConnections(t *testing.T) {
	if got := mgmt.AdmitBusy(6, 3, 2); got != "in in in told told out" {
		t.Error(got)
	}
}

// Readers, writers and guests that come and go do not disturb each other.
func TestManyAtOnce(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	var wait sync.WaitGroup
	for _, f := range []func(i int) (method, path, body string){
		func(int) (string, string, string) { return "GET", "/v1/ports", "" },
		func(int) (string, string, string) { return "GET", "/v1/stats", "" },
		func(int) (string, string, string) { return "GET", "/v1/events", "" },
		func(i int) (string, string, string) {
			return "PATCH", "/v1/ports/1", fmt.Sprintf(`{"pvid":%d,"mtu":%d}`, 1+i, 1000+i)
		},
		func(i int) (string, string, string) {
			return "POST", "/v1/fdb", fmt.Sprintf(`{"mac":"02:00:00:00:01:%02x","port":"1"}`, i)
		},
	} {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range 50 {
				method, path, body := f(i)
				if status, answer, err := exchange(s.Dir+"/api", method, path, body); err != nil || status >= 300 {
					t.Errorf("%s %s: %d %s %v", method, path, status, answer, err)
				}
			}
		}()
	}
	for range 50 {
		s.Plug().Close()
	}
	wait.Wait()
	if p := get[api.Port](t, s, "/v1/ports/1"); p.PVID != 50 || p.MTU != 1049 {
		t.Errorf("at last %+v", p)
	}
	if n := len(get[api.FDB](t, s, "/v1/fdb?static=true").Entries); n != 50 {
		t.Errorf("%d static addresses", n)
	}
}
