package mgmt_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

func TestPorts(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	a.Send(1, 0xff, 60)
	b.Receive()
	b.Send(2, 1, 100)
	a.Receive()
	b.Send(2, 2, 100) // dropped: to itself
	mgmttest.Until(t, "all counted", func() bool {
		p := get[api.Port](t, s, "/v1/ports/2")
		return p.Drops["same-port"] == 1 && p.Tx.Frames == 1 && get[api.Port](t, s, "/v1/ports/1").Tx.Frames == 1
	})
	ports := get[api.Ports](t, s, "/v1/ports").Ports
	if len(ports) != 2 {
		t.Fatalf("%d ports", len(ports))
	}
	p := ports[1]
	if p.ID != 2 || p.Name != "port2" || p.Kind != "stream" || p.State != api.StateUp || p.Reason != "" || p.Since.IsZero() {
		t.Errorf("who: %+v", p)
	}
	if p.PVID != 1 || p.Native != "untagged" || p.Tagged != "all" || p.MTU != 65535 || p.MACLimit != 0 || p.AllowMAC != "any" || p.Mirror != "none" || p.Transparent || p.Isolated || p.Down {
		t.Errorf("settings: %+v", p)
	}
	if p.Rx != (api.Count{Frames: 2, Bytes: 200}) || p.Tx != (api.Count{Frames: 1, Bytes: 60}) || p.MACs != 1 || p.Queue != 0 || len(p.Drops) != 1 {
		t.Errorf("counters: %+v", p.Traffic)
	}
	if p.Peer == nil || p.Peer.PID != os.Getpid() || p.Peer.UID != os.Geteuid() || p.Peer.User == "" || p.Peer.Command == "" {
		t.Errorf("peer: %+v", p.Peer)
	}
}

func TestPortLife(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	peer := filepath.Join(s.Dir, "x,y") // a comma, doubled in specs
	spec := "stream:unix:" + strings.ReplaceAll(peer, ",", ",,") + ",connect=on,name=vm1,vlan=10"

	status, answer := do(t, s, "POST", "/v1/ports", `{"spec":"`+spec+`"}`)
	added := decode[api.Added](t, answer)
	if status != 201 || added.Port == nil || added.Door != nil || added.Port.Name != "vm1" || added.Port.PVID != 10 || added.Port.Spec != spec {
		t.Fatalf("add: %d %s", status, answer)
	}
	mgmttest.Until(t, "reason for waiting", func() bool { return get[api.Port](t, s, "/v1/ports/vm1").Reason != "" })
	if p := get[api.Port](t, s, "/v1/ports/1"); p.State != api.StateWaiting || p.Peer != nil {
		t.Errorf("nobody there: %+v", p)
	}

	status, answer = do(t, s, "POST", "/v1/ports", `{"spec":"`+spec+`"}`)
	failed(t, status, answer, api.ErrPortExists)

	status, answer = do(t, s, "PATCH", "/v1/ports/vm1",
		`{"name":"vm2","pvid":20,"native":"tagged","tagged":"30-32+5","transparent":true,"isolated":true,"down":true,"mtu":1500,"mac_limit":3,"allow_mac":"52-54-00-00-00-0A","mirror":"vm9:in+all","allow_user":"root","allow_group":"0","impair":"loss:1%+out-delay:20ms"}`)
	p := decode[api.Port](t, answer)
	if status != 200 || p.Name != "vm2" || p.PVID != 20 || p.Native != "tagged" || p.Tagged != "5+30-32" || !p.Transparent || !p.Isolated || !p.Down ||
		p.State != api.StateDown || p.MTU != 1500 || p.MACLimit != 3 || p.AllowMAC != "52:54:00:00:00:0a" || p.Mirror != "vm9:in+all:both" || p.AllowUser != "0" || p.AllowGroup != "0" ||
		p.Impair != "out-delay:20ms+loss:1%" || p.Held == nil || p.Duplicated == nil {
		t.Errorf("change: %d %s", status, answer)
	}
	if again := get[api.Port](t, s, "/v1/ports/vm2"); again.Tagged != p.Tagged || again.Mirror != p.Mirror {
		t.Errorf("reads %+v", again)
	}

	status, answer = do(t, s, "PATCH", "/v1/ports/vm2", `{"impair":"none"}`)
	if p = decode[api.Port](t, answer); status != 200 || p.Impair != "none" || p.Held != nil {
		t.Errorf("good cable again: %d %s", status, answer)
	}

	if status, answer = do(t, s, "DELETE", "/v1/ports/vm2", ""); status != 204 || answer != "" {
		t.Errorf("remove: %d %q", status, answer)
	}
	status, answer = do(t, s, "DELETE", "/v1/ports/vm2", "")
	failed(t, status, answer, api.ErrNoPort)
}

// A door's name has slashes in it, and still is one element of the path.
func TestDoorLife(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	spec := "stream:unix:" + filepath.Join(s.Dir, "second door")
	status, answer := do(t, s, "POST", "/v1/ports", `{"spec":"`+spec+`"}`)
	added := decode[api.Added](t, answer)
	if status != 201 || added.Door == nil || added.Port != nil || added.Door.Name != spec {
		t.Fatalf("add: %d %s", status, answer)
	}
	if status, answer = do(t, s, "DELETE", "/v1/ports/"+url.PathEscape(added.Door.Name), ""); status != 204 {
		t.Errorf("remove: %d %s", status, answer)
	}
	if doors := get[api.Info](t, s, "/v1/info").Doors; len(doors) != 1 {
		t.Errorf("left: %+v", doors)
	}
}

func TestPortErrors(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	name := "vm1"
	if _, err := s.SetPort("1", vswitch.PortChange{Name: &name}); err != nil {
		t.Fatal(err)
	}
	before := get[api.Port](t, s, "/v1/ports/1")
	for _, tc := range []struct {
		name, method, path, body string
		code                     api.Code
		says                     string
	}{
		{"no such port", "GET", "/v1/ports/nosuch", "", api.ErrNoPort, "vm1"},
		{"near name", "DELETE", "/v1/ports/vm11", "", api.ErrNoPort, `did you mean "vm1"?`},
		{"empty spec", "POST", "/v1/ports", `{}`, api.ErrInvalid, "missing"},
		{"no kind", "POST", "/v1/ports", `{"spec":"x"}`, api.ErrInvalid, "kind:address"},
		{"unknown kind", "POST", "/v1/ports", `{"spec":"pigeon:x"}`, api.ErrInvalid, "stream"},
		{"bad common key", "POST", "/v1/ports", `{"spec":"stream:unix:/x,vlan=0"}`, api.ErrInvalid, "4094"},
		{"system says no", "POST", "/v1/ports", `{"spec":"stream:unix:/nonexistent/x"}`, api.ErrFailed, "no such file"},
		{"NUL", "POST", "/v1/ports", `{"spec":"stream:unix:\u0000"}`, api.ErrInvalid, "NUL"},
		{"pvid 0", "PATCH", "/v1/ports/vm1", `{"pvid":0}`, api.ErrInvalid, "4094"},
		{"pvid that would wrap to 1", "PATCH", "/v1/ports/vm1", `{"pvid":65537}`, api.ErrInvalid, "65537"},
		{"negative pvid", "PATCH", "/v1/ports/vm1", `{"pvid":-1}`, api.ErrInvalid, "-1"},
		{"tagged", "PATCH", "/v1/ports/vm1", `{"tagged":"5-1"}`, api.ErrInvalid, "backwards"},
		{"native", "PATCH", "/v1/ports/vm1", `{"native":"both"}`, api.ErrInvalid, "untagged, tagged or none"},
		{"allow_user", "PATCH", "/v1/ports/vm1", `{"allow_user":"no-such-user"}`, api.ErrInvalid, "allow_user"},
		{"mirror", "PATCH", "/v1/ports/vm1", `{"mirror":"vm2:up"}`, api.ErrInvalid, "up"},
		{"impair", "PATCH", "/v1/ports/vm1", `{"impair":"loss:2"}`, api.ErrInvalid, "percentage"},
		{"mtu", "PATCH", "/v1/ports/vm1", `{"mtu":20}`, api.ErrInvalid, "68"},
		{"name", "PATCH", "/v1/ports/vm1", `{"name":"all"}`, api.ErrInvalid, "all"},
		{"one of two is bad", "PATCH", "/v1/ports/vm1", `{"isolated":true,"mtu":1}`, api.ErrInvalid, "MTU"},
		{"no such port", "PATCH", "/v1/ports/17", `{"mtu":1500}`, api.ErrNoPort, "17"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, answer := do(t, s, tc.method, tc.path, tc.body)
			if e := failed(t, status, answer, tc.code); !strings.Contains(e.Message, tc.says) {
				t.Errorf("message %q, want %q in it", e.Message, tc.says)
			}
		})
	}
	after := get[api.Port](t, s, "/v1/ports/1")
	after.Traffic, before.Traffic = api.Traffic{}, api.Traffic{}
	if peer := *after.Peer; peer != *before.Peer {
		t.Errorf("peer changed: %+v", peer)
	}
	after.Peer, before.Peer = nil, nil
	if after.Name != before.Name || after.Isolated || after.MTU != before.MTU || after.PVID != before.PVID {
		t.Errorf("refused changes changed something:\n%+v\n%+v", before, after)
	}
}
