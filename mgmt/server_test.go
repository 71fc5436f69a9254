package mgmt_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

func TestInfo(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	s.Plug()
	in := get[api.Info](t, s, "/v1/info")
	want := s.Info()
	if in.Schema != api.SchemaVersion || in.Name != "lab" || in.Dir != s.Dir || in.Version != "1.2.3" || in.Commit != "abcdef0" {
		t.Errorf("who I am: %+v", in)
	}
	if !in.MayChange || in.Life == "" || !in.Started.Equal(want.Started) || in.UptimeSeconds <= 0 || in.User == "" {
		t.Errorf("who runs me: %+v", in)
	}
	if in.Ports != 1 || in.Workers != want.Workers || in.FDB.Cap != want.FDBCap || in.AgeingSeconds != 300 || in.EventSeq != want.EventSeq {
		t.Errorf("what I am: %+v", in)
	}
	if len(in.Doors) != 1 || in.Doors[0].Name != "stream:unix:"+filepath.Join(s.Dir, "stream") || in.Doors[0].Kind != "stream" {
		t.Errorf("doors: %+v", in.Doors)
	}
}

func TestSwitchSettings(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	for _, tc := range []struct {
		name, body string
		code       api.Code // "": works
	}{
		{"ageing", `{"ageing_seconds":60}`, ""},
		{"hub", `{"hub":true}`, ""},
		{"both", `{"hub":false,"ageing_seconds":1000000}`, ""},
		{"nothing", `{}`, ""},
		{"default settings of ports", `{"port_default":"vlan=7,mtu=1400"}`, ""},
		{"bad default", `{"port_default":"vlan=5000"}`, api.ErrInvalid},
		{"default with a key of a kind", `{"port_default":"connect=on"}`, api.ErrInvalid},
		{"default with a name", `{"port_default":"name=x"}`, api.ErrInvalid},
		{"too short", `{"ageing_seconds":0}`, api.ErrInvalid},
		{"negative", `{"ageing_seconds":-5}`, api.ErrInvalid},
		{"fraction", `{"ageing_seconds":1.5}`, api.ErrInvalid},
		{"would overflow", `{"ageing_seconds":1e300}`, api.ErrInvalid},
		{"not a number", `{"ageing_seconds":"60"}`, api.ErrBadRequest},
		{"misspelt", `{"aging_seconds":60}`, api.ErrBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := s.Info()
			status, answer := do(t, s, "PATCH", "/v1/switch", tc.body)
			if tc.code != "" {
				failed(t, status, answer, tc.code)
				if now := s.Info(); now.Ageing != before.Ageing || now.Hub != before.Hub || now.Default.Text() != before.Default.Text() {
					t.Errorf("changed all the same: %+v", now)
				}
				return
			}
			in := decode[api.Info](t, answer)
			if now := s.Info(); status != 200 || in.AgeingSeconds != now.Ageing.Seconds() || in.Hub != now.Hub || in.PortDefault != now.Default.Text() {
				t.Errorf("%d %s, but the switch has %+v", status, answer, now)
			}
		})
	}
	if now := s.Info(); now.Ageing.Seconds() != 1000000 || now.Hub {
		t.Errorf("in the end %+v", now)
	}
	if status, answer := do(t, s, "POST", "/v1/ports", fmt.Sprintf(`{"spec":"stream:unix:%s/late,name=late"}`, s.Dir)); status != 201 {
		t.Errorf("%d %s", status, answer)
	}
	if p := get[api.Port](t, s, "/v1/ports/late"); p.PVID != 7 || p.MTU != 1400 || p.Tagged != "none" {
		t.Errorf("a new port is %+v", p)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	for _, tc := range []struct {
		method, path string
		code         api.Code
		hint         string
	}{
		{"GET", "/", api.ErrNoRoute, "GET /v1 lists"},
		{"GET", "/v1/prots", api.ErrNoRoute, "did you mean /v1/ports?"},
		{"GET", "/v2/info", api.ErrNoRoute, "/v1/info"},
		{"GET", "/v1/ports/", api.ErrNoRoute, "/v1/ports"},
		{"GET", "/v1/ports/1/2", api.ErrNoRoute, ""},
		{"GET", "/" + strings.Repeat("x", 10000), api.ErrNoRoute, "GET /v1"},
		{"PUT", "/v1/ports", api.ErrMethod, "use GET, POST"},
		{"DELETE", "/v1/info", api.ErrMethod, "use GET"},
		{"GET", "/v1/switch", api.ErrMethod, "use PATCH"},
		{"BREW", "/v1/ports/1", api.ErrMethod, "use DELETE, GET, PATCH"},
		{"GET", "/v1/info?verbose=1", api.ErrBadRequest, "takes no query"},
		{"GET", "/v1/fdb?prot=1", api.ErrBadRequest, `did you mean "port"?`},
		{"GET", "/v1/fdb?port=1&port=2", api.ErrBadRequest, "once"},
		{"GET", "/v1/fdb?static=perhaps", api.ErrBadRequest, "static=true"},
		{"GET", "/v1/fdb?x=%zz", api.ErrBadRequest, ""},
		{"GET", "/v1/events?since=-1", api.ErrBadRequest, "event_seq"},
		{"GET", "/v1/events?follow=maybe", api.ErrBadRequest, "follow=true"},
	} {
		t.Run(tc.method+" "+tc.path[:min(len(tc.path), 40)], func(t *testing.T) {
			status, answer := do(t, s, tc.method, tc.path, "")
			if e := failed(t, status, answer, tc.code); !strings.Contains(e.Hint, tc.hint) {
				t.Errorf("hint %q, want %q in it", e.Hint, tc.hint)
			}
			if len(answer) > 1000 {
				t.Errorf("an answer of %d bytes to nonsense", len(answer))
			}
		})
	}
	if status, answer := do(t, s, "HEAD", "/v1/info", ""); status != 200 || answer != "" {
		t.Errorf("HEAD: %d %q", status, answer)
	}
}

// A handler's panic is answered, logged by nobody's terminal, and harms no
// later request; one in the middle of an answer cuts it off.
func TestPanic(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{}, func(s *mgmt.Server) {
		s.Replace("GET", "/v1/stats", func(http.ResponseWriter, *http.Request) { panic("oops") })
		s.Replace("GET", "/v1/fdb", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat(" ", 1<<20)) // more than net/http keeps back
			panic("oops")
		})
	})
	status, answer := do(t, s, "GET", "/v1/stats", "")
	if e := failed(t, status, answer, api.ErrInternal); strings.Contains(answer, "oops") {
		t.Errorf("told the caller about the inside: %v", e)
	}
	if _, _, err := exchange(filepath.Join(s.Dir, api.SocketName), "GET", "/v1/fdb", ""); err == nil {
		t.Error("half an answer looked whole")
	}
	get[api.Info](t, s, "/v1/info")
}

func TestEverySentinelHasItsCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want api.Code
	}{
		{vswitch.ErrNoPort, api.ErrNoPort},
		{vswitch.ErrPortExists, api.ErrPortExists},
		{vswitch.ErrFull, api.ErrFull},
		{vswitch.ErrInvalid, api.ErrInvalid},
		{vswitch.ErrClosed, api.ErrClosed},
		{fmt.Errorf("listen: address in use"), api.ErrFailed},
		{&api.Error{Code: api.ErrTooLarge, Message: "x"}, api.ErrTooLarge},
	} {
		t.Run(tc.err.Error(), func(t *testing.T) {
			e := mgmt.Explain(fmt.Errorf("open port: %w", tc.err))
			if e.Code != tc.want || e.Message == "" {
				t.Errorf("got %+v, want code %s", e, tc.want)
			}
		})
	}
}

// Serve ends with its context, whatever callers are doing, and its listener
// can be reused at once.
func TestServeEnds(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	idle, busy := dial(t, s), dial(t, s)
	fmt.Fprint(idle, "GET /v1/in")
	fmt.Fprint(busy, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	line(t, busy) // it is being served
	s.Stop()
	if _, _, err := exchange(filepath.Join(s.Dir, api.SocketName), "GET", "/v1/info", ""); err == nil {
		t.Error("still answers")
	}
	mgmttest.StartAt(t, s.Dir, mgmt.Options{})
}
