package vswitch

import (
	"context"
	"errors"
	"strings"
	"testing"

	"vnetkit/switch/link"
)

// A door makes way for another one at its address.
func TestApplyMakesWay(t *testing.T) {
	for _, c := range []struct {
		name, from, ref, to string
		id                  int // that clients get afterwards
	}{
		{"number", ",id=5", "5", ",id=6", 6},
		{"number, by name", ",id=5,name=a", "a", ",id=6,name=a", 6},
		{"name", ",name=a", "a", ",name=b", 1},
		{"door becomes port", "", "", ",id=7", 7},
		{"port becomes door", ",id=7", "7", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, Options{})
			old, next := "pipe:x"+c.from, "pipe:x"+c.to
			if c.ref == "" {
				c.ref = old
			}
			if _, err := l.sw.Add(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			if _, err := l.sw.Apply(t.Context(), []Op{{Remove: &c.ref}, {Add: &next}}); err != nil {
				t.Fatal(err)
			}
			if s := l.plugInto("x", 0); s.id != c.id {
				t.Errorf("a client gets port %d, want %d", s.id, c.id)
			}
			if n := len(l.sw.Ports()); n != 1 {
				t.Errorf("%d ports", n)
			}
		})
	}
}

// If the change fails the door is as it was: who was plugged in has noticed
// nothing, and others can plug in.
func TestApplyMakesWayInVain(t *testing.T) {
	l := newLab(t, Options{})
	for _, spec := range []string{"pipe:port,id=5", "pipe:door"} {
		if _, err := l.sw.Add(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	a, b := l.plugInto("port", 5), l.plugInto("door", 0)
	l.introduce(a, b)
	ports, doors, fdb, info := l.state()
	for _, bad := range []Op{{Add: ptr("pipe:door,mtu=1")}, {Remove: ptr("nobody")}} {
		_, err := l.sw.Apply(t.Context(), []Op{{Remove: ptr("5")}, {Remove: ptr("pipe:door")}, {Add: ptr("pipe:port,id=6")}, {Add: ptr("pipe:door,id=7")}, bad})
		var op *OpError
		if !errors.As(err, &op) || op.Index != 4 {
			t.Fatalf("error is %v", err)
		}
		sameState(t, l, ports, doors, fdb, info)
		l.expectSame(a, eth(b.mac, a.mac), b)
	}
	if s := l.plugInto("door", 0); s.id == 7 {
		t.Error("the new door is open")
	}
	l.pull(a)
	l.plugInto("port", 5)
}

// The worst case: neither the new door nor the old one can be opened. It is
// said, and the port can still be removed.
func TestApplyCannotReopen(t *testing.T) {
	refuse := false
	var inner link.Kind
	kind := link.Kind{Name: "picky", Open: func(ctx context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
		if refuse {
			return nil, errors.New("not today")
		}
		return inner.Open(ctx, spec, opt)
	}}
	l := newLab(t, Options{Kinds: []link.Kind{kind}})
	inner = l.pipes.Kind()
	if _, err := l.sw.Add(t.Context(), "picky:x,id=5"); err != nil {
		t.Fatal(err)
	}
	refuse = true
	_, err := l.sw.Apply(t.Context(), []Op{{Remove: ptr("5")}, {Add: ptr("picky:x,id=6")}})
	if err == nil || strings.Count(err.Error(), "not today") != 2 || !strings.Contains(err.Error(), "the old one could not be opened again") {
		t.Errorf("error is %v", err)
	}
	if p := l.port("5"); p.State != StateWaiting || !strings.Contains(p.Reason, "not today") {
		t.Errorf("port is %+v", p)
	}
	refuse = false
	if _, err := l.sw.Apply(t.Context(), []Op{{Remove: ptr("5")}, {Add: ptr("picky:x,id=6")}}); err != nil {
		t.Fatal(err)
	}
	l.plugInto("x", 6)
}
