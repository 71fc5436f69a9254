package vswitch

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vnetkit/switch/frame"
)

func TestPortNumbersAndNames(t *testing.T) {
	l := newLab(t, Options{})
	for _, keys := range []string{"", "id=7,name=uplink", "name=x.y_z-1@2", "id=3", ""} {
		l.plug(keys)
	}
	want := []string{"1 port1", "2 x.y_z-1@2", "3 port3", "4 port4", "7 uplink"}
	var got []string
	for _, p := range l.sw.Ports() {
		got = append(got, fmt.Sprint(p.Config.ID, " ", p.Config.Name))
	}
	if !slices.Equal(got, want) {
		t.Errorf("ports are %v, want %v", got, want)
	}
}

func TestPortRefs(t *testing.T) {
	l := newLab(t, Options{})
	l.plug("")
	l.plug("id=7,name=uplink")
	for ref, id := range map[string]int{"1": 1, "port1": 1, "7": 7, "uplink": 7} {
		if p := l.port(ref); p.Config.ID != id {
			t.Errorf("%q is port %d, want %d", ref, p.Config.ID, id)
		}
	}
	for _, ref := range []string{"", "0", "2", "-1", "port", "port7", "port2", "Uplink", "uplink ", "1x"} {
		if p, err := l.sw.Port(ref); !errors.Is(err, ErrNoPort) || err != nil && !strings.Contains(err.Error(), ref) {
			t.Errorf("%q is port %d, %v, want ErrNoPort that names it", ref, p.Config.ID, err)
		}
		if _, err := l.sw.SetPort(ref, PortChange{}); !errors.Is(err, ErrNoPort) {
			t.Errorf("set %q: %v", ref, err)
		}
		if err := l.sw.Remove(ref); !errors.Is(err, ErrNoPort) {
			t.Errorf("remove %q: %v", ref, err)
		}
	}
}

func TestPortsExistOnce(t *testing.T) {
	l := newLab(t, Options{})
	a := l.plug("id=3,name=a")
	l.plug("")
	for _, keys := range []string{"id=3", "name=a", "id=3,name=b", "id=9,name=a"} {
		if _, err := l.sw.Add(t.Context(), "pipe:again,single=on,"+keys); !errors.Is(err, ErrPortExists) {
			t.Errorf("%s: %v", keys, err)
		}
		l.plug("").Close() // what failed has left nothing behind, its pipe neither
	}
	if _, err := l.sw.SetPort("port1", PortChange{Name: ptr("a")}); !errors.Is(err, ErrPortExists) {
		t.Errorf("rename to a name that is taken: %v", err)
	}
	if _, err := l.sw.SetPort("a", PortChange{Name: ptr("a")}); err != nil {
		t.Errorf("rename to its own name: %v", err)
	}
	l.set(a, PortChange{Name: ptr("b")})
	if _, err := l.sw.Port("a"); !errors.Is(err, ErrNoPort) {
		t.Errorf("the old name still works: %v", err)
	}
	l.set(a, PortChange{Name: ptr("")})
	if p := l.port("port3"); p.Config.Name != "port3" {
		t.Errorf("a port without a name is called %q", p.Config.Name)
	}
}

func TestAddRefuses(t *testing.T) {
	l := newLab(t, Options{})
	for _, c := range []struct{ spec, says string }{
		{"", "kind:address"},
		{"pipe", "kind:address"},
		{"tap:x", `unknown kind "tap"; known kinds: pipe`},
		{"pipe:x,colour=red", `unknown key "colour"`},
		{"pipe:x,id=0", "1 to 32767"},
		{"pipe:x,id=32768", "1 to 32767"},
		{"pipe:x,id=x", "number"},
		{"pipe:x,name=12", "number"},
		{"pipe:x,name=all", "mean something else"},
		{"pipe:x,name=a b", "letters, digits"},
		{"pipe:x,name=-a", "dash"},
		{"pipe:x,name=" + strings.Repeat("a", 65), "65 bytes"},
		{"pipe:x,vlan=0", "1 to 4094"},
		{"pipe:x,vlan=4095", "1 to 4094"},
		{"pipe:x,tagged=10-5", "backwards"},
		{"pipe:x,mtu=67", "68 to 65535"},
		{"pipe:x,mtu=65536", "68 to 65535"},
		{"pipe:x,maclimit=-1", "0 to"},
		{"pipe:x,isolated=maybe", "on or off"},
		{"pipe:x,mirror=a:sideways", "direction"},
		{"pipe:x,mirror=:in", "missing"},
		{"pipe:x,vlan=1,vlan=2", "twice"},
	} {
		_, err := l.sw.Add(t.Context(), c.spec)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want an error that says %q", c.spec, err, c.says)
		}
	}
	if i := l.sw.Info(); i.Ports != 0 || len(i.Doors) != 0 {
		t.Errorf("%d ports and %d doors are left of what was refused", i.Ports, len(i.Doors))
	}
}

// A removed number is free at once, and whoever gets it inherits nothing.
func TestPortNumberIsUsedAgain(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug("vlan=10,name=old,mtu=100,down=on"), l.plug("")
	l.introduce(a, c)
	if err := l.sw.AddFDB(10, nobody, b.ref); err != nil {
		t.Fatal(err)
	}
	if err := l.sw.Remove("old"); err != nil {
		t.Fatal(err)
	}
	b.ExpectEnd()
	l.awaitGone(b)
	d := l.plug("")
	if d.id != b.id {
		t.Fatalf("the new port is number %d, want %d", d.id, b.id)
	}
	p := l.port(d.ref)
	if p.Config.Name != "port2" || p.Config.PVID != 1 || p.Config.MTU != 65535 || p.State != StateUp || p.MACs != 0 || p.Tx.Frames != 0 {
		t.Errorf("the new port is %+v", p)
	}
	l.expectSame(a, eth(d.mac, a.mac), d, c)
	l.expectSame(d, eth(a.mac, d.mac), a)
	l.expectSame(a, eth(d.mac, a.mac), d)
}

func TestDoorMakesPorts(t *testing.T) {
	l := newLab(t, Options{})
	door := l.door("vlan=10")
	a, b := l.plugInto(door, 0), l.plugInto(door, 0)
	if a.id == b.id {
		t.Fatal("two clients share a port")
	}
	p := l.port(a.ref)
	if p.Config.PVID != 10 || p.Kind != "pipe" || p.State != StateUp || p.Peer.PID == 0 || !strings.Contains(p.Spec, "vlan=10") {
		t.Errorf("the port is %+v", p)
	}
	l.expectSame(a, eth(frame.Broadcast, a.mac), b)
	l.pull(a) // takes its port with it
	if _, err := l.sw.Port(a.ref); !errors.Is(err, ErrNoPort) {
		l.await(func(e Event) bool { return e.Type == EventPortRemoved && e.Port == a.id })
	}
	if _, err := l.sw.Port(a.ref); !errors.Is(err, ErrNoPort) {
		t.Errorf("its port is still there: %v", err)
	}
	if err := l.sw.Remove(b.ref); err != nil { // an admin unplugs b; the door stays
		t.Fatal(err)
	}
	b.ExpectEnd()
	l.awaitGone(b)
	c := l.plugInto(door, 0)
	spec := l.sw.Info().Doors[0].Name
	if err := l.sw.Remove(spec); err != nil {
		t.Fatal(err)
	}
	if n := len(l.sw.Info().Doors); n != 0 {
		t.Errorf("%d doors are left", n)
	}
	d := l.plug("vlan=10") // c lives on when the door is shut
	l.expectSame(c, eth(frame.Broadcast, c.mac), d)
	if err := l.sw.Remove(spec); !errors.Is(err, ErrNoPort) {
		t.Errorf("shut the door again: %v", err)
	}
}

// A port that dials keeps its number, settings and counters from one link to
// the next, but not its addresses.
func TestSinglePortOutlivesItsLink(t *testing.T) {
	l := newLab(t, Options{})
	a := l.plug("")
	b := l.plug("name=b,mtu=1000")
	l.introduce(a, b)
	l.expectSame(a, eth(b.mac, a.mac), b)
	l.pull(b)
	p := l.port("b")
	if p.State != StateWaiting || p.Reason != "closed by the other side" || p.MACs != 0 || p.Peer.UID != -1 {
		t.Errorf("the port is %+v", p)
	}
	before := p.Rx.Frames
	l.expectDrop(a, eth(b.mac, a.mac), DropNoReceiver)
	again := l.plugInto("p2", b.id)
	if p = l.port("b"); p.State != StateUp || p.Config.MTU != 1000 || p.Reason != "" || p.Rx.Frames != before {
		t.Errorf("the port is %+v", p)
	}
	l.expectSame(a, eth(frame.Broadcast, a.mac), again)
}

// A listening port with a name or a number takes one client.
func TestNamedDoorTakesOneClient(t *testing.T) {
	l := newLab(t, Options{})
	l.count++
	if _, err := l.sw.Add(t.Context(), "pipe:one,name=one"); err != nil {
		t.Fatal(err)
	}
	first := l.plugInto("one", 1)
	second := l.pipes.Plug(t, "one")
	second.ExpectEnd() // told at once or after a moment's patience
	other := l.plug("")
	l.expectSame(first, eth(frame.Broadcast, first.mac), other)
	l.pull(first)
	third := l.plugInto("one", 1)
	l.expectSame(other, eth(frame.Broadcast, other.mac), third)
}

func TestThousandPorts(t *testing.T) {
	const count = 1000
	l := newLab(t, Options{})
	door := l.door("")
	for range count {
		l.plugInto(door, 0)
	}
	ports := l.sw.Ports()
	if len(ports) != count || ports[0].Config.ID != 1 || ports[count-1].Config.ID != count {
		t.Fatalf("%d ports, from %d to %d", len(ports), ports[0].Config.ID, ports[len(ports)-1].Config.ID)
	}
	from := l.stations[500]
	l.expectSame(from, eth(frame.Broadcast, from.mac), slices.DeleteFunc(slices.Clone(l.stations), func(s *station) bool { return s == from })...)
	last := l.stations[count-1]
	l.expectSame(last, eth(from.mac, last.mac), from)
	if err := l.sw.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range l.stations {
		s.ExpectEnd()
	}
}

func TestPortsRunOut(t *testing.T) {
	l := newLab(t, Options{})
	l.plug("id=32767")
	if p := l.plug(""); p.id != 1 {
		t.Errorf("the next port is %d, want 1", p.id)
	}
	// As if all others were there.
	l.sw.mu.Lock()
	l.sw.free = MaxPorts
	l.sw.mu.Unlock()
	if _, err := l.sw.Add(t.Context(), "pipe:x,single=on"); !errors.Is(err, ErrFull) {
		t.Errorf("one port too many: %v", err)
	}
}

// After Close nothing works, everything is unplugged, and nothing hangs.
func TestClose(t *testing.T) {
	l := newLab(t, Options{})
	door := l.door("")
	a, b := l.plugInto(door, 0), l.plug("")
	waits := make(chan error)
	go func() {
		seq := l.sw.Info().EventSeq
		for {
			list, err := l.sw.Events(t.Context(), seq)
			if err != nil {
				waits <- err
				return
			}
			seq = list[len(list)-1].Seq
		}
	}()
	if err := l.sw.Close(); err != nil {
		t.Fatal(err)
	}
	a.ExpectEnd()
	b.ExpectEnd()
	if err := <-waits; !errors.Is(err, ErrClosed) {
		t.Errorf("who waited for events was told: %v", err)
	}
	if err := l.sw.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
	if _, err := l.sw.Add(t.Context(), "pipe:late"); !errors.Is(err, ErrClosed) {
		t.Errorf("added to a closed switch: %v", err)
	}
	if _, err := l.sw.Add(t.Context(), "pipe:late,single=on"); !errors.Is(err, ErrClosed) {
		t.Errorf("added to a closed switch: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, opt := range map[string]Options{
		"ageing":     {Ageing: 1},
		"table":      {FDBSize: -1},
		"huge table": {FDBSize: MaxFDBSize + 1},
		"default":    {Default: PortConfig{MTU: 1}},
		"VLAN":       {Default: PortConfig{PVID: 4095}},
	} {
		if sw, err := New(opt); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v", name, sw, err)
		}
	}
}

func TestDefaultSettings(t *testing.T) {
	cfg, err := ParsePortConfig("vlan=30,isolated=on,mtu=1500")
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, Options{Default: cfg})
	a, b := l.plug(""), l.plug("vlan=40,isolated=off")
	if c := l.port(a.ref).Config; c.PVID != 30 || !c.Isolated || c.MTU != 1500 || !c.Tagged.Empty() {
		t.Errorf("with defaults %+v", c)
	}
	if c := l.port(b.ref).Config; c.PVID != 40 || c.Isolated || c.MTU != 1500 || !c.Tagged.Empty() {
		t.Errorf("with its own %+v", c)
	}
	for _, text := range []string{"colour=red", "mtu=1", "vlan", "vlan=1,vlan=2"} {
		if _, err := ParsePortConfig(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
