package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

// The status screen names what is wrong.
func TestStatusTrouble(t *testing.T) {
	s := busySwitch(t)
	limit := 1
	if _, err := s.SetPort("1", vswitch.PortChange{MACLimit: &limit}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), "stream:unix:"+filepath.Join(s.Dir, "peer")+",connect=on,name=far"); err != nil {
		t.Fatal(err)
	}
	mgmttest.Until(t, "a reason", func() bool { p, err := s.Port("far"); return err == nil && p.Reason != "" })
	out, _, code := vnetctl(t, s)
	if code != 0 || !strings.Contains(out, "2 of 3 ports up") || !strings.Contains(out, "! port far (3) has no link: ") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestStatusWords(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	s := switchStatus{listed: listed{Dir: "/srv/sw", Info: &api.Info{Name: "sw", User: "root", Doors: []api.Door{{}}}}}
	a.showStatus(s)
	if !strings.Contains(out.String(), "nobody is plugged in") || !strings.Contains(out.String(), "vmrun -s /srv/sw ") {
		t.Errorf("empty: %s", &out)
	}
	out.Reset()
	for i := range 40 {
		s.Ports = append(s.Ports, api.Port{ID: i + 1, Name: fmt.Sprint("p", i+1)})
		s.Trouble = append(s.Trouble, fmt.Sprint("port p", i+1, " is sad"))
	}
	a.showStatus(s)
	if text := out.String(); !strings.Contains(text, "and 24 more: vnetctl -s /srv/sw ports\n") || !strings.Contains(text, "! and 24 more\n") || strings.Contains(text, "p17 ") {
		t.Errorf("many: %s", text)
	}
	out.Reset()
	gone := mgmttest.Dir(t)
	mgmttest.Stale(t, filepath.Join(gone, "api"))
	a.showStatus(a.inspect(t.Context(), client.Found{Dir: gone}))
	if text := out.String(); !strings.Contains(text, gone+"  not reachable\n! nobody listens on") || !strings.Contains(text, "start it again") {
		t.Errorf("gone: %s", text)
	}
}

// What reads too slowly, and what was not learned, is trouble.
func TestStatusCounters(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	limit := 1
	if _, err := s.SetPort("1", vswitch.PortChange{MACLimit: &limit}); err != nil {
		t.Fatal(err)
	}
	a.Send(1, 0xff, 60)
	a.Send(2, 0xff, 60)
	b.Receive()
	b.Receive()
	// b reads no more, and a goes on until b's queue is full.
	mgmttest.Until(t, "b drops", func() bool {
		for range 100 {
			a.Send(1, 0xff, 9000)
		}
		p, err := s.Port("2")
		return err == nil && p.Drops[vswitch.DropRingFull] > 0
	})
	out, _, _ := vnetctl(t, s)
	if !strings.Contains(out, "! port port2 (2) reads too slowly: ") || !strings.Contains(out, " addresses were not learned because of a limit") {
		t.Errorf("%s", out)
	}
}
