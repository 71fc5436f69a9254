package vswitch

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vnetkit/switch/frame"
)

// What Trace foretells is what happens, for any frame on a switch with
// everything set somewhere.
func TestTraceForetells(t *testing.T) {
	l := newLab(t, Options{})
	for _, keys := range []string{
		"", "", "vlan=10", "vlan=10", "vlan=7,tagged=10", "isolated=on", "isolated=on", "mtu=100", "down=on",
		"transparent=on", "transparent=on", "mirror=1:in+3:out",
		"allowmac=52:54:00:00:00:0d", "allowmac=52:54:00:00:00:0d",
	} {
		l.plug(keys)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	outcomes := map[string]int{}
	for range 400 {
		from, to := l.stations[rnd.IntN(len(l.stations))], l.stations[rnd.IntN(len(l.stations))]
		f := ethLen(60+rnd.IntN(100), to.mac, from.mac)
		switch rnd.IntN(8) {
		case 0, 1:
			f = retag(f, vlan(frame.VID(rnd.IntN(12)), 5))
		case 2:
			copy(f, frame.Broadcast[:])
		case 3:
			copy(f, []byte{0x01, 0x80, 0xc2, 0, 0, 0})
		case 4:
			f = f[:1+rnd.IntN(20)]
		}
		tr, err := l.sw.Trace(from.ref, f)
		if err != nil {
			t.Fatal(err)
		}
		outcomes[tr.Outcome+tr.Reason.String()]++
		before := l.sw.Ports()
		if err := l.sw.Inject(from.ref, f); err != nil {
			t.Fatal(err)
		}
		for _, s := range l.stations {
			_, got := s.Poll()
			want := slices.ContainsFunc(tr.Receivers, func(r TraceReceiver) bool { return r.Port == s.id && !r.Dropped })
			if got != want {
				t.Fatalf("port %d received %t; trace of % x from port %d says %+v", s.id, got, f[:min(len(f), 18)], from.id, tr)
			}
		}
		for i, p := range l.sw.Ports() {
			want := before[i].Drops
			if p.Config.ID == from.id && tr.Outcome == "drop" {
				want[tr.Reason]++
			}
			for _, r := range tr.Receivers {
				if r.Port == p.Config.ID && r.Dropped {
					want[r.Reason]++
				}
			}
			if p.Drops != want {
				t.Fatalf("drops of port %d are %v, want %v; trace of % x from port %d says %+v", p.Config.ID, p.Drops, want, f[:min(len(f), 18)], from.id, tr)
			}
		}
	}
	if len(outcomes) < 8 {
		t.Errorf("only these outcomes were tried: %v", outcomes)
	}
}

func TestTraceChangesNothing(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("name=a"), l.plug("name=b")
	tr, err := l.sw.Trace("a", eth(b.mac, a.mac))
	if err != nil {
		t.Fatal(err)
	}
	if n := l.sw.Info().FDBSize; n != 0 || l.port("a").Rx.Frames != 0 {
		t.Errorf("%d addresses and %d frames after a trace", n, l.port("a").Rx.Frames)
	}
	var words []string
	for _, s := range tr.Steps {
		words = append(words, s.Stage+": "+s.Text)
	}
	const want = `port: comes in by a (port 1), 60 bytes
vlan: VLAN 1, the port's own, for a frame without a tag
source: 52:54:00:00:00:01 is learned (or refreshed) in VLAN 1 behind a
flood: to all of VLAN 1: 52:54:00:00:00:02 is not in the forwarding table
egress: b (port 2): 60 bytes, as it came`
	if got := strings.Join(words, "\n"); got != want {
		t.Errorf("trace says\n%s\nwant\n%s", got, want)
	}
	for _, f := range []func() error{
		func() error { _, err := l.sw.Trace("nobody", eth(b.mac, a.mac)); return err },
		func() error { return l.sw.Inject("nobody", eth(b.mac, a.mac)) },
	} {
		if err := f(); !errors.Is(err, ErrNoPort) {
			t.Errorf("error is %v", err)
		}
	}
	if err := l.sw.Inject("a", make([]byte, frame.MaxLen+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a frame that is too large: error %v", err)
	}
}
