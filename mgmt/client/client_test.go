package client_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, path string) *client.Client {
	t.Helper()
	c, err := client.Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func ptr[T any](v T) *T { return &v }

// Every method once, against a real switch.
func TestCalls(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	guest := s.Plug()
	c := connect(t, s.Dir)
	ctx := t.Context()

	info, err := c.Info(ctx)
	if err != nil || info.Name != "lab" || info.Dir != c.Dir() || c.Socket() != filepath.Join(s.Dir, "api") {
		t.Errorf("info: %+v, %v", info, err)
	}
	info, err = c.SetSwitch(ctx, api.SwitchChange{AgeingSeconds: ptr(60.0)})
	if err != nil || info.AgeingSeconds != 60 {
		t.Errorf("set switch: %+v, %v", info, err)
	}
	p, err := c.SetPort(ctx, "1", api.PortChange{Name: ptr("vm1"), PVID: ptr(7), Down: ptr(true)})
	if err != nil || p.Name != "vm1" || p.PVID != 7 || p.State != api.StateDown {
		t.Errorf("set port: %+v, %v", p, err)
	}
	if p, err = c.Port(ctx, "vm1"); err != nil || p.ID != guest.Port {
		t.Errorf("port: %+v, %v", p, err)
	}
	e, err := c.AddFDB(ctx, api.FDBAdd{MAC: "02:00:00:00:00:01", Port: "vm1"})
	if err != nil || e.VLAN != 7 || !e.Static {
		t.Errorf("add address: %+v, %v", e, err)
	}
	all, err := c.FDB(ctx, client.FDBFilter{})
	if err != nil || len(all) != 1 || all[0] != e {
		t.Errorf("addresses: %+v, %v", all, err)
	}
	if none, err := c.FDB(ctx, client.FDBFilter{Port: "vm1", VLAN: 8, MAC: e.MAC, Static: ptr(true)}); err != nil || len(none) != 0 {
		t.Errorf("filtered addresses: %+v, %v", none, err)
	}
	if n, err := c.FlushFDB(ctx, client.FDBFilter{Static: ptr(true)}); err != nil || n != 1 {
		t.Errorf("flush: %d, %v", n, err)
	}
	spec := "stream:unix:" + filepath.Join(s.Dir, "my door")
	added, err := c.AddPort(ctx, spec)
	if err != nil || added.Door == nil || added.Door.Name != spec {
		t.Errorf("add door: %+v, %v", added, err)
	}
	if err := c.RemovePort(ctx, spec); err != nil {
		t.Errorf("remove door: %v", err)
	}
	if err := c.RemovePort(ctx, "vm1"); err != nil {
		t.Errorf("remove port: %v", err)
	}
	if ports, err := c.Ports(ctx); err != nil || len(ports) != 0 {
		t.Errorf("ports: %+v, %v", ports, err)
	}
	if st, err := c.Stats(ctx); err != nil || st.Life != info.Life || len(st.Reasons) == 0 {
		t.Errorf("stats: %+v, %v", st, err)
	}
	if routes, err := c.Routes(ctx); err != nil || !slices.ContainsFunc(routes, func(r api.Route) bool { return r.Path == "/v1/events" }) {
		t.Errorf("routes: %+v, %v", routes, err)
	}
}

// The switch's errors are the same on this side, with their hints.
func TestErrorsSurvive(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	c := connect(t, s.Dir)
	ctx := t.Context()
	_, noPort := c.Port(ctx, "port11")
	_, exists := c.AddPort(ctx, "stream:unix:"+s.Dir+"/peer,connect=on,id=1")
	_, bad := c.SetPort(ctx, "1", api.PortChange{MTU: ptr(1)})
	_, failed := c.AddPort(ctx, "stream:unix:/nonexistent/x")
	_, unknown := c.AddPort(ctx, "stream:unix:"+strings.Repeat("x", api.MaxBody))
	for _, tc := range []struct {
		err  error
		code api.Code
		says string
	}{
		{noPort, api.ErrNoPort, `"port1"`},
		{exists, api.ErrPortExists, "number 1"},
		{bad, api.ErrInvalid, "MTU 1"},
		{failed, api.ErrFailed, "/nonexistent"},
		{unknown, api.ErrTooLarge, "65536"},
	} {
		t.Run(string(tc.code), func(t *testing.T) {
			if !errors.Is(tc.err, tc.code) || !strings.Contains(tc.err.Error(), tc.says) {
				t.Errorf("got %v, want code %s and %q in it", tc.err, tc.code, tc.says)
			}
			for _, other := range api.Codes() {
				if other != tc.code && errors.Is(tc.err, other) {
					t.Errorf("%v is %s, too", tc.err, other)
				}
			}
		})
	}
}

// What is wrong with a path is told with its cause and its cure, before
// anything is sent.
func TestDialErrors(t *testing.T) {
	dir := mgmttest.Dir(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"empty", "odd", "odd/api"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	long := filepath.Join(dir, strings.Repeat("x", 110))
	if err := os.Mkdir(long, 0o755); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Listen("unix", filepath.Join(dir, "l"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := os.Rename(filepath.Join(dir, "l"), filepath.Join(long, "api")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, path string
		code       api.Code
		says, hint string
	}{
		{"no directory", dir + "/nosuch", api.ErrUnreachable, "there is no directory " + dir + "/nosuch", "vswitch -s " + dir + "/nosuch"},
		{"no directory, by socket", dir + "/nosuch/api", api.ErrUnreachable, "there is no directory " + dir + "/nosuch", "vswitch -s"},
		{"no socket", dir + "/empty", api.ErrUnreachable, "has no socket api in it", "vswitch -s " + dir + "/empty"},
		{"no socket, by socket", dir + "/empty/api", api.ErrUnreachable, "has no socket api in it", "vnetctl list"},
		{"a file", dir + "/file", api.ErrUnreachable, "another kind", "vnetctl list"},
		{"a directory called api", dir + "/odd", api.ErrUnreachable, "another kind", "-s DIR"},
		{"path too long", long, api.ErrInvalid, "at most 107", "shorter"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := client.Dial(tc.path)
			if err == nil {
				c.Close()
			}
			check(t, err, tc.code, tc.says, tc.hint)
		})
	}
}

func check(t *testing.T, err error, code api.Code, says, hint string) {
	t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, says) || !strings.Contains(e.Hint, hint) {
		t.Errorf("got %#v, want code %s, %q in the message and %q in the hint", err, code, says, hint)
	}
}

// serve makes a socket in a directory of its own and treats each connection
// with f.
func serve(t *testing.T, f func(net.Conn)) (dir string) {
	t.Helper()
	dir = mgmttest.Dir(t)
	ln, err := net.Listen("unix", filepath.Join(dir, "api"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			f(nc)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return dir
}

// answer is a server that says text, whatever it is asked.
func answer(text string) func(net.Conn) {
	return func(nc net.Conn) {
		_, _ = nc.Read(make([]byte, 4096))
		_, _ = nc.Write([]byte(text))
		nc.Close()
	}
}

func TestBadServers(t *testing.T) {
	stale := mgmttest.Dir(t)
	mgmttest.Stale(t, filepath.Join(stale, "api"))
	var held []net.Conn
	t.Cleanup(func() {
		for _, nc := range held {
			nc.Close()
		}
	})
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
	for _, tc := range []struct {
		name, dir  string
		code       api.Code
		says, hint string
	}{
		{"killed", stale, api.ErrUnreachable, "killed and left the socket behind", "start it again: vswitch -s " + stale},
		{"hangs", serve(t, func(nc net.Conn) { held = append(held, nc) }), api.ErrUnreachable, "did not answer in time", "ps -o"},
		{"hangs up", serve(t, func(nc net.Conn) { nc.Close() }), api.ErrUnreachable, "closed the connection", "vnetctl list"},
		{"speaks no HTTP", serve(t, answer("220 smtp ready\r\n")), api.ErrUnreachable, "malformed HTTP", "vnetctl list"},
		{"another program", serve(t, answer("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n404 page not found")), api.ErrBadAnswer, "404 Not Found", "vswitch --version"},
		{"another program, JSON", serve(t, answer("HTTP/1.1 403 No\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"message\":\"no\"}")), api.ErrBadAnswer, "403", "-s DIR"},
		{"not JSON", serve(t, answer(ok+"<html>")), api.ErrBadAnswer, "invalid character", "vnetctl --version"},
		{"JSON of something else", serve(t, answer(ok+`{"Version":"27.0"}`)), api.ErrBadAnswer, "no switch", "-s DIR"},
		{"ends in the middle", serve(t, answer(ok+`{"schema":1,"na`)), api.ErrBadAnswer, "EOF", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, tc.dir)
			c.Timeout = time.Second
			if tc.name == "hangs" {
				c.Timeout = 10 * time.Millisecond
			}
			_, err := c.Info(t.Context())
			check(t, err, tc.code, tc.says, tc.hint)
		})
	}
}

// A later version may send fields that we do not know.
func TestNewerServer(t *testing.T) {
	c := connect(t, serve(t, answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+`{"schema":1,"name":"x","warp":9}`)))
	if info, err := c.Info(t.Context()); err != nil || info.Name != "x" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestCancelledContext(t *testing.T) {
	var held []net.Conn
	c := connect(t, serve(t, func(nc net.Conn) { held = append(held, nc) }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Info(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	t.Cleanup(func() {
		for _, nc := range held {
			nc.Close()
		}
	})
}

func TestEvents(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	c := connect(t, s.Dir)
	var types []string
	for e, err := range c.Events(t.Context(), client.EventsFrom{}) {
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, e.Type)
	}
	if got := strings.Join(types, " "); got != "door-opened port-added link-up" {
		t.Errorf("got %s", got)
	}

	// Followed, it shows what happens, and can be left.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for e, err := range c.Events(ctx, client.EventsFrom{Since: 2, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; e.Type == string(vswitch.EventLinkUp) && seen == 1 {
			s.Plug()
			continue
		}
		if e.Type == string(vswitch.EventLinkUp) {
			break
		}
	}
	if seen != 3 {
		t.Errorf("saw %d events", seen)
	}

	// Its context ends it without an error, the switch's end with one.
	for _, err := range c.Events(ctx, client.EventsFrom{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	var last error
	first := true
	for _, err := range c.Events(t.Context(), client.EventsFrom{Follow: true}) {
		if last = err; first {
			first = false
			go s.Stop()
		}
	}
	if !errors.Is(last, api.ErrUnreachable) {
		t.Errorf("the switch is gone: %v", last)
	}
	for _, err := range c.Events(t.Context(), client.EventsFrom{Follow: true}) {
		if !errors.Is(err, api.ErrUnreachable) {
			t.Errorf("nobody there: %v", err)
		}
	}
}
