package vswitch

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	sockets "vnetkit/switch/plug"
)

func TestForwardMirror(t *testing.T) {
	for _, c := range []struct {
		mirror string
		aToB   int // copies of a unicast frame from a to b that the mirror shows
		bToA   int
		aToC   int
		flood  int // of a broadcast from a
	}{
		{"1", 1, 1, 1, 1},
		{"1:both", 1, 1, 1, 1},
		{"1:in", 1, 0, 1, 1},
		{"1:out", 0, 1, 0, 0},
		{"2:out", 1, 0, 0, 1},
		{"1:in+2:in", 1, 1, 1, 1},
		{"1:out+2:out+3:out", 1, 1, 1, 2},
		{"1+2", 2, 2, 1, 2},
		{"all:in", 1, 1, 1, 1},
		{"all:out", 1, 1, 1, 2},
		{"all", 2, 2, 2, 3},
		{"alpha", 1, 1, 1, 1}, // by name
		{"port2:in", 0, 1, 0, 0},
		{"17", 0, 0, 0, 0}, // not there (yet)
	} {
		t.Run(c.mirror, func(t *testing.T) {
			l := newLab(t, Options{})
			a, b, x := l.plug("name=alpha"), l.plug(""), l.plug("")
			l.introduce(a, b, x)
			m := l.plug("mirror=" + c.mirror)
			show := func(f []byte, n int) (list []delivery) {
				for range n {
					list = append(list, delivery{m, f})
				}
				return list
			}
			ab, ba, ax, all := eth(b.mac, a.mac), eth(a.mac, b.mac), eth(x.mac, a.mac), eth(frame.Broadcast, a.mac)
			l.expect(a, ab, append(show(ab, c.aToB), delivery{b, ab})...)
			l.expect(b, ba, append(show(ba, c.bToA), delivery{a, ba})...)
			l.expect(a, ax, append(show(ax, c.aToC), delivery{x, ax})...)
			l.expect(a, all, append(show(all, c.flood), delivery{b, all}, delivery{x, all})...)
		})
	}
}

// Frames that come in are shown as they came, those that go out as they leave.
func TestForwardMirrorShowsTags(t *testing.T) {
	l := newLab(t, Options{})
	access, trunk := l.plug("vlan=10"), l.plug("vlan=1,tagged=10")
	in, out := l.plug("mirror=1:in"), l.plug("mirror=2:out")
	f := eth(frame.Broadcast, access.mac)
	tagged := retag(f, vlan(10, 0))
	l.expect(access, f, delivery{trunk, tagged}, delivery{in, f}, delivery{out, tagged})
}

// What is dropped on the way in was seen on the way in.
func TestForwardMirrorShowsDropped(t *testing.T) {
	l := newLab(t, Options{})
	a, b, m := l.plug("vlan=10"), l.plug("vlan=10"), l.plug("mirror=all:in")
	f := retag(eth(frame.Broadcast, a.mac), vlan(99, 0))
	l.expect(a, f, delivery{m, f})
	l.expectDrop(m, eth(frame.Broadcast, m.mac), DropMirrorPort)
	l.expectDrop(m, eth(b.mac, m.mac), DropMirrorPort)
	if list, _ := l.sw.FDB(FDBFilter{Port: m.ref}); len(list) != 0 {
		t.Errorf("learned %v from a mirror port", list)
	}
}

// Two mirror ports do not show each other's copies, and a mirror's MTU holds.
func TestForwardMirrorsDoNotMultiply(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	m1, m2 := l.plug("mirror=all:out"), l.plug("mirror=all:out,mtu=68")
	f := eth(frame.Broadcast, a.mac)
	l.expectSame(a, f, b, m1, m2)
	long := ethLen(83, frame.Broadcast, a.mac)
	l.expectSame(a, long, b, m1)
	if d := l.port(m2.ref).Drops[DropMTU]; d != 1 {
		t.Errorf("%d drops at the mirror, want 1", d)
	}
}

func TestForwardMirrorChanges(t *testing.T) {
	l := newLab(t, Options{})
	a, b, m := l.plug(""), l.plug(""), l.plug("")
	f := eth(frame.Broadcast, a.mac)
	l.expectSame(a, f, b, m)
	l.set(m, PortChange{Mirror: &[]MirrorFrom{{Port: a.ref, In: true}}})
	l.expectSame(a, f, b, m) // now as a copy
	l.expectSame(b, eth(frame.Broadcast, b.mac), a)
	l.set(m, PortChange{Mirror: &[]MirrorFrom{{Port: "late", Out: true}}})
	l.expectSame(a, f, b)
	l.set(b, PortChange{Name: ptr("late")}) // a source may come, or be named, later
	l.expectSame(a, f, b, m)
	l.set(m, PortChange{Down: ptr(true)})
	l.expectSame(a, f, b)
	l.set(m, PortChange{Down: ptr(false), Mirror: &[]MirrorFrom{}})
	l.expectSame(a, f, b, m) // takes part again
	l.expectSame(m, eth(frame.Broadcast, m.mac), a, b)
}

// A mirror goes on showing a port that gets another name, and says so; one that
// names it by number has nothing to follow. If the change fails, nothing is other.
func TestForwardMirrorFollowsName(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("name=alpha"), l.plug("")
	m, n := l.plug("mirror=alpha:in+port2:out"), l.plug("mirror=1:in")
	f := eth(frame.Broadcast, a.mac)
	shows := func(want string) {
		t.Helper()
		text := ""
		for _, from := range l.port(m.ref).Config.Mirror {
			text += " " + from.String()
		}
		if text != want {
			t.Errorf("the mirror shows%s, want%s", text, want)
		}
		l.expect(a, f, delivery{b, f}, delivery{m, f}, delivery{m, f}, delivery{n, f})
	}
	shows(" alpha:in port2:out")
	l.set(a, PortChange{Name: ptr("gamma")})
	l.set(b, PortChange{Name: ptr("beta")})
	shows(" gamma:in beta:out")
	if e := l.await(func(e Event) bool { return e.Type == EventPortChanged && e.Port == m.id }); !strings.Contains(e.Text, "mirror=gamma:in+port2:out") {
		t.Errorf("event %+v", e)
	}
	rename := func(ref, name string) Op {
		return Op{SetPort: &SetPortOp{ref, PortChange{Name: &name}}}
	}
	if _, err := l.sw.Apply(t.Context(), []Op{rename("gamma", "delta"), rename("beta", "delta")}); !errors.Is(err, ErrPortExists) {
		t.Errorf("two of a name: %v", err)
	}
	shows(" gamma:in beta:out")
	if _, err := l.sw.Apply(t.Context(), []Op{rename("gamma", ""), rename("2", "gamma"), rename("1", "beta")}); err != nil {
		t.Fatal(err)
	}
	shows(" beta:in gamma:out") // they have swapped names
	l.set(a, PortChange{Name: ptr("")})
	shows(" port1:in gamma:out")
}

// What will make mirrors follows names, too: doors and the default settings. A
// change that fails leaves them alone.
func TestForwardMirrorDoorsFollowName(t *testing.T) {
	dir := cableDir(t)
	l := newLab(t, Options{Kinds: []link.Kind{sockets.VDE(), sockets.Stream()}, Default: PortConfig{Mirror: []MirrorFrom{{Port: "b", In: true}}}})
	sw := l.sw
	for _, spec := range []string{"vde:,id=1,name=a,mirror=none", "vde:,id=2,name=b,mirror=none", "stream:unix:" + dir + "/s,mirror=a:in+2:out,mtu=100", "stream:unix:" + dir + "/t"} {
		if _, err := sw.Add(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	says := func(first, def string) {
		t.Helper()
		in := sw.Info()
		if want := "stream:unix:" + dir + "/s,mirror=" + first + "+2:out,mtu=100"; in.Doors[0].Name != want || in.Doors[0].Spec != want {
			t.Errorf("door %+v, want %s", in.Doors[0], want)
		}
		if want := "stream:unix:" + dir + "/t"; in.Doors[1].Name != want {
			t.Errorf("door %+v, want %s", in.Doors[1], want)
		}
		if text := in.Default.Text(); text != "mirror="+def {
			t.Errorf("the default settings are %s, want %s", text, def)
		}
	}
	rename := func(ref, name string) Op {
		return Op{SetPort: &SetPortOp{Port: ref, Change: PortChange{Name: &name}}}
	}
	for _, ops := range [][]Op{{rename("a", "x"), rename("b", "x")}, {rename("a", "b")}} {
		if _, err := sw.Apply(t.Context(), ops); !errors.Is(err, ErrPortExists) {
			t.Fatalf("error %v", err)
		}
		says("a:in", "b:in")
	}
	if _, err := sw.Apply(t.Context(), []Op{rename("a", "x"), rename("b", "")}); err != nil {
		t.Fatal(err)
	}
	says("x:in", "port2:in")
	for _, door := range []struct{ socket, shows string }{{"s", "x:in+2:out"}, {"t", "port2:in"}} {
		nc, err := net.Dial("unix", dir+"/"+door.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		e := l.await(func(e Event) bool { return e.Type == EventLinkUp })
		if p, err := sw.Port(strconv.Itoa(e.Port)); err != nil || mirrorText(p.Config.Mirror) != door.shows {
			t.Errorf("a client of %s shows %v, want %s (%v)", door.socket, p.Config.Mirror, door.shows, err)
		}
	}
	if err := sw.Remove("stream:unix:" + dir + "/s,mirror=x:in+2:out,mtu=100"); err != nil {
		t.Errorf("the door by its new name: %v", err)
	}
}

// A port that becomes a mirror knows its stations no longer.
func TestForwardMirrorForgetsStations(t *testing.T) {
	l := newLab(t, Options{})
	a, b, m := l.plug(""), l.plug(""), l.plug("")
	l.introduce(a, b, m)
	l.set(m, PortChange{Mirror: &[]MirrorFrom{{Port: "all", In: true}}})
	f := eth(m.mac, a.mac)
	l.expect(a, f, delivery{m, f}, delivery{b, f}) // shown, and flooded
}

func TestForwardMirrorIsUnplugged(t *testing.T) {
	l := newLab(t, Options{})
	a, b, m := l.plug(""), l.plug(""), l.plug("mirror=all")
	l.pull(m)
	l.expectSame(a, eth(frame.Broadcast, a.mac), b)
	if err := l.sw.Remove(m.ref); err != nil {
		t.Fatal(err)
	}
	l.expectSame(a, eth(frame.Broadcast, a.mac), b)
}
