package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

func TestFind(t *testing.T) {
	parent := mgmttest.Dir(t)
	sub := func(name string) string {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	usual := mgmttest.StartAt(t, sub("usual"), mgmt.Options{Name: "usual"})
	elsewhere := mgmttest.Start(t, mgmt.Options{Name: "elsewhere"})
	killed := sub("killed")
	mgmttest.Stale(t, filepath.Join(killed, "api"))
	sub("empty")
	if err := os.Symlink(usual.Dir, filepath.Join(parent, "zz-link")); err != nil {
		t.Fatal(err)
	}
	foreign := mgmttest.Dir(t)
	ln, err := net.Listen("unix", filepath.Join(foreign, "api"))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = nc.Read(make([]byte, 4096))
			fmt.Fprint(nc, "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n")
			nc.Close()
		}
	}()
	defer ln.Close()

	proc := filepath.Join(parent, "unix")
	listing := "Num       RefCount Protocol Flags    Type St Inode Path\n"
	for i, path := range []string{usual.Dir + "/api", elsewhere.Dir + "/api", elsewhere.Dir + "/stream", foreign + "/api", "/gone/api", "@abstract/api"} {
		listing += fmt.Sprintf("0000000000000000: 00000002 00000000 00010000 0001 01 %5d %s\n", 1000+i, path)
	}
	listing += "0000000000000000: 00000003 00000000 00000000 0001 03 99999\n" +
		"0000000000000000: 00000003 00000000 00000000 0001 03 99998 /connected/api\n" +
		"0000000000000000: 00000002 00000000 00010000 0005 01 99997 /seqpacket/api\n" +
		"rubbish\n\n"
	if err := os.WriteFile(proc, []byte(listing), 0o600); err != nil {
		t.Fatal(err)
	}

	got := map[string]Found{}
	list := find(t.Context(), []string{parent, "/nonexistent"}, proc)
	for i, f := range list {
		if got[f.Dir] = f; i > 0 && list[i-1].Dir >= f.Dir {
			t.Errorf("%s after %s", f.Dir, list[i-1].Dir)
		}
	}
	if len(list) != 3 || got[usual.Dir].Info.Name != "usual" || got[elsewhere.Dir].Info.Name != "elsewhere" || got[elsewhere.Dir].Err != nil {
		t.Fatalf("found %+v", list)
	}
	if err := got[killed].Err; !errors.Is(err, api.ErrUnreachable) || !strings.Contains(err.Error(), "left the socket behind") {
		t.Errorf("killed one: %v", err)
	}
}

// The kernel's own list shows a switch that is in none of the usual places.
func TestFindByKernel(t *testing.T) {
	if _, err := os.Stat("/proc/net/unix"); err != nil {
		t.Skipf("needs Linux: %v", err)
	}
	s := mgmttest.Start(t, mgmt.Options{Name: "hidden"})
	for _, f := range Find(t.Context()) {
		if f.Dir == s.Dir && f.Info.Name == "hidden" {
			return
		}
	}
	t.Errorf("did not find %s", s.Dir)
}

// A switch that hangs is listed, with the reason.
func TestFindHanging(t *testing.T) {
	dir := mgmttest.Dir(t)
	for _, name := range []string{"api", "stream"} {
		ln, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // it listens, and nobody answers
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // its patience is over at once
	f := Found{Dir: dir, Err: &api.Error{Code: api.ErrUnreachable}}
	if !looksLikeSwitch(f) {
		t.Error("a switch's doors are there, and it is taken for something else")
	}
	if f := ask(ctx, dir); f.Err == nil {
		t.Errorf("%+v", f)
	}
	if f.Dir = mgmttest.Dir(t); looksLikeSwitch(f) {
		t.Error("nothing is there, and it is taken for a switch")
	}
}

func TestRates(t *testing.T) {
	port := func(id int, name string, rx, tx, drops uint64) api.PortStats {
		return api.PortStats{ID: id, Name: name, Traffic: api.Traffic{
			Rx: api.Count{Frames: rx, Bytes: 100 * rx}, Tx: api.Count{Frames: tx, Bytes: 100 * tx}, Drops: map[string]uint64{"mtu": drops},
		}}
	}
	stats := func(life string, ns int64, ports ...api.PortStats) api.Stats {
		return api.Stats{Life: life, MonotonicNS: ns, Ports: ports}
	}
	a := stats("x", 1e9, port(1, "vm1", 10, 20, 1), port(2, "vm2", 5, 5, 0), port(3, "old", 9, 9, 9), port(5, "same", 9, 9, 9))
	b := stats("x", 3e9, port(1, "vm1", 30, 20, 5), port(3, "new", 100, 100, 0), port(4, "vm4", 7, 7, 0), port(5, "same", 1, 1, 0))
	r, ok := RatesBetween(a, b)
	want := Rate{RxFrames: 10, RxBits: 8000, Drops: 2}
	if !ok || r.Seconds != 2 || len(r.Ports) != 1 || r.Ports[1] != want || r.Totals != want {
		t.Errorf("%+v, %t", r, ok)
	}
	for _, tc := range []struct {
		name string
		b    api.Stats
	}{
		{"another life", stats("y", 3e9)},
		{"no time between", stats("x", 1e9)},
		{"backwards", stats("x", 0)},
	} {
		if r, ok := RatesBetween(a, tc.b); ok || r.Ports == nil {
			t.Errorf("%s: %+v", tc.name, r)
		}
	}
}
