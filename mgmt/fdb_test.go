package mgmt_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

func TestFDB(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	a.Send(1, 0xff, 60)
	b.Receive()
	b.Send(2, 1, 60)
	a.Receive()

	status, answer := do(t, s, "POST", "/v1/fdb", `{"mac":"02-00-00-00-00-AA","vlan":7,"port":"port2"}`)
	if e := decode[api.FDBEntry](t, answer); status != 201 || e != (api.FDBEntry{MAC: "02:00:00:00:00:aa", VLAN: 7, Port: 2, PortName: "port2", Static: true}) {
		t.Fatalf("add: %d %s", status, answer)
	}
	do(t, s, "PATCH", "/v1/ports/1", `{"name":"vm1"}`)

	for _, tc := range []struct{ query, want string }{
		{"", "1/01@vm1 1/02@port2 7/aa@port2s"},
		{"?port=vm1", "1/01@vm1"},
		{"?port=2", "1/02@port2 7/aa@port2s"},
		{"?vlan=7", "7/aa@port2s"},
		{"?vlan=4094", ""},
		{"?mac=02:00:00:00:00:02", "1/02@port2"},
		{"?static=true", "7/aa@port2s"},
		{"?static=false&port=2", "1/02@port2"},
	} {
		t.Run("get"+tc.query, func(t *testing.T) {
			got := ""
			for _, e := range get[api.FDB](t, s, "/v1/fdb"+tc.query).Entries {
				got += fmt.Sprintf(" %d/%s@%s%s", e.VLAN, e.MAC[15:], e.PortName, map[bool]string{true: "s"}[e.Static])
			}
			if got != "" {
				got = got[1:]
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}

	for _, tc := range []struct {
		query string
		want  int
	}{
		{"?vlan=7", 0}, // static ones stay
		{"?mac=02:00:00:00:00:02", 1},
		{"", 1},
		{"?static=true", 1},
		{"?static=true", 0},
	} {
		status, answer := do(t, s, "DELETE", "/v1/fdb"+tc.query, "")
		if r := decode[api.Removed](t, answer); status != 200 || r.Removed != tc.want {
			t.Errorf("delete%s: %d %s, want %d removed", tc.query, status, answer, tc.want)
		}
	}
	if left := get[api.FDB](t, s, "/v1/fdb").Entries; len(left) != 0 || left == nil {
		t.Errorf("left: %#v", left)
	}
}

func TestFDBErrors(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	for _, tc := range []struct {
		name, method, path, body string
		code                     api.Code
	}{
		{"no mac", "POST", "/v1/fdb", `{"port":"1"}`, api.ErrInvalid},
		{"bad mac", "POST", "/v1/fdb", `{"mac":"1:2:3:4:5:6","port":"1"}`, api.ErrInvalid},
		{"group mac", "POST", "/v1/fdb", `{"mac":"01:00:5e:00:00:01","port":"1"}`, api.ErrInvalid},
		{"vlan", "POST", "/v1/fdb", `{"mac":"02:00:00:00:00:01","port":"1","vlan":4095}`, api.ErrInvalid},
		{"vlan that would wrap", "POST", "/v1/fdb", `{"mac":"02:00:00:00:00:01","port":"1","vlan":65537}`, api.ErrInvalid},
		{"no such port", "POST", "/v1/fdb", `{"mac":"02:00:00:00:00:01","port":"9"}`, api.ErrNoPort},
		{"port is a number", "POST", "/v1/fdb", `{"mac":"02:00:00:00:00:01","port":1}`, api.ErrBadRequest},
		{"filter by no port", "GET", "/v1/fdb?port=9", "", api.ErrNoPort},
		{"filter by bad vlan", "GET", "/v1/fdb?vlan=0", "", api.ErrInvalid},
		{"flush bad mac", "DELETE", "/v1/fdb?mac=x", "", api.ErrInvalid},
		{"flush no port", "DELETE", "/v1/fdb?port=nosuch", "", api.ErrNoPort},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, answer := do(t, s, tc.method, tc.path, tc.body)
			failed(t, status, answer, tc.code)
		})
	}
	// Without a VLAN the address goes into the port's own.
	do(t, s, "PATCH", "/v1/ports/1", `{"pvid":42}`)
	_, answer := do(t, s, "POST", "/v1/fdb", `{"mac":"02:00:00:00:00:01","port":"1"}`)
	if e := decode[api.FDBEntry](t, answer); e.VLAN != 42 {
		t.Errorf("VLAN by default: %s", answer)
	}
	do(t, s, "PATCH", "/v1/ports/1", `{"native":"none"}`)
	status, answer := do(t, s, "POST", "/v1/fdb", `{"mac":"02:00:00:00:00:01","port":"1"}`)
	if e := failed(t, status, answer, api.ErrInvalid); !strings.Contains(e.Message, "no native VLAN") {
		t.Errorf("behind a port without a native VLAN: %s", answer)
	}
}

// The sums are those of the ports, and every reason has its sentence.
func TestStats(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	for range 5 {
		a.Send(1, 0xff, 60)
		b.Receive()
	}
	a.Send(1, 1, 60)
	mgmttest.Until(t, "all counted", func() bool {
		st := get[api.Stats](t, s, "/v1/stats")
		return st.Totals.Tx.Frames == 5 && st.Totals.Drops["same-port"] == 1
	})
	first := get[api.Stats](t, s, "/v1/stats")
	second := get[api.Stats](t, s, "/v1/stats")
	if second.MonotonicNS <= first.MonotonicNS || second.Life != first.Life || first.Life == "" {
		t.Errorf("clock: %d then %d", first.MonotonicNS, second.MonotonicNS)
	}
	if tot := first.Totals; tot.Ports != 2 || tot.PortsUp != 2 || tot.Rx != (api.Count{Frames: 6, Bytes: 360}) || tot.Tx != (api.Count{Frames: 5, Bytes: 300}) || tot.Queue != 0 {
		t.Errorf("totals: %+v", tot)
	}
	if first.FDB.Entries != 1 || len(first.Ports) != 2 || first.Ports[0].Name != "port1" {
		t.Errorf("%+v", first)
	}
	var names []string
	for name, sentence := range first.Reasons {
		if names = append(names, name); sentence == "" || sentence == name {
			t.Errorf("reason %s has no sentence", name)
		}
	}
	if !slices.Contains(names, "ring-full") || !slices.Contains(names, "same-port") {
		t.Errorf("reasons: %v", names)
	}
}
