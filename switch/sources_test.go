package vswitch

import (
	"errors"
	"strings"
	"testing"

	"vnetkit/switch/frame"
)

// Only frames from an allowed address come in, whatever they are; nothing is
// learned from the others, and what was learned before is forgotten.
func TestForwardSources(t *testing.T) {
	l := newLab(t, Options{})
	a, b, tree := l.plug("tagged=all"), l.plug(""), l.plug("transparent=on")
	forged := mac(77)
	l.expectSame(a, eth(frame.Broadcast, forged), b, tree)
	allowed := Sources{a.mac, mac(78)}
	l.set(a, PortChange{Sources: &allowed})
	if list, _ := l.sw.FDB(FDBFilter{Port: a.ref}); len(list) != 0 {
		t.Errorf("still known: %v", list)
	}
	for _, f := range [][]byte{
		eth(frame.Broadcast, forged), eth(b.mac, forged), eth(frame.Broadcast, forged, vlan(1, 0)), eth(frame.Broadcast, forged, vlan(9, 0)),
		eth(frame.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e}, forged),
	} {
		l.expectDrop(a, f, DropSpoofed)
	}
	l.expectDrop(a, eth(frame.Broadcast, frame.Broadcast), DropBadSource)
	if list, _ := l.sw.FDB(FDBFilter{Port: a.ref}); len(list) != 0 {
		t.Errorf("learned %v", list)
	}
	l.expectSame(a, eth(frame.Broadcast, a.mac), b, tree)
	l.expectSame(a, eth(frame.Broadcast, mac(78)), b, tree)
	l.expectSame(b, eth(forged, b.mac), a, tree) // what goes out is not restricted
	l.set(tree, PortChange{Sources: &Sources{tree.mac}})
	l.expectDrop(tree, eth(frame.MAC{0x01, 0x80, 0xc2, 0, 0, 0}, forged), DropSpoofed)

	tr, err := l.sw.Trace(a.ref, eth(b.mac, forged))
	if err != nil || tr.Reason != DropSpoofed {
		t.Errorf("trace: %v: %+v", err, tr)
	}
	l.set(a, PortChange{Sources: &Sources{}})
	l.expectSame(a, eth(frame.Broadcast, forged), b, tree)
}

func TestParseSources(t *testing.T) {
	const m = "52:54:00:00:00:0"
	for _, c := range []struct{ text, want string }{
		{"", "any"}, {"any", "any"}, {m + "1", m + "1"}, {"52-54-00-AB-CD-EF", "52:54:00:ab:cd:ef"},
		{m + "1+" + m + "2+" + m + "1", m + "1+" + m + "2"},
		{strings.Repeat(m+"1+", 20) + m + "2", m + "1+" + m + "2"},
		{m + "1+" + m + "2+" + m + "3+" + m + "4+" + m + "5+" + m + "6+" + m + "7+" + m + "8", m + "1+" + m + "2+" + m + "3+" + m + "4+" + m + "5+" + m + "6+" + m + "7+" + m + "8"},
		{m + "1+" + m + "2+" + m + "3+" + m + "4+" + m + "5+" + m + "6+" + m + "7+" + m + "8+" + m + "9", "error more than 8"},
		{"any+" + m + "1", "error want six groups"}, {"+", "error want six"}, {"01:00:5e:00:00:01", "error a group"}, {"00:00:00:00:00:00", "error a group or nobody"}, {"none", "error want six"},
	} {
		s, err := ParseSources(c.text)
		if says, bad := strings.CutPrefix(c.want, "error "); bad {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), says) || s != (Sources{}) {
				t.Errorf("%q: %v, %v", c.text, s, err)
			}
		} else if err != nil || s.String() != c.want {
			t.Errorf("%q: %v, %v; want %s", c.text, s, err, c.want)
		}
	}
}

// FuzzSources reads anything; what it accepts it writes so that it reads it back.
func FuzzSources(f *testing.F) {
	for _, text := range []string{"any", "52:54:00:00:00:01+02-00-00-00-00-02", "+", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSources(text)
		if err != nil {
			return
		}
		if back, err := ParseSources(s.String()); err != nil || back != s {
			t.Fatalf("%q is %v, read back %v, %v", text, s, back, err)
		}
		if guard := s.guard(); (guard == nil) != (s.String() == "any") || guard != nil && (!guard.allow(s[0]) || guard.allow(frame.Broadcast)) {
			t.Fatalf("%q is %v", text, s)
		}
	})
}
