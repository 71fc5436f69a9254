package stp_test

import (
	"testing"

	"pgregory.net/rapid"

	"vnetkit/switch/stp"
)

const normal = 32768

func ring(t testing.TB, n int) (*lab, []*cable) {
	l := newLab(t)
	for range n {
		l.add(normal, stp.Config{})
	}
	var cables []*cable
	for i := range n {
		cables = append(cables, l.plug(l.nodes[i], l.nodes[(i+1)%n], stp.PortConfig{}))
	}
	return l, cables
}

func TestRingConvergesAtOnceAndSurvivesAPulledCable(t *testing.T) {
	for _, n := range []int{2, 3, 4, 7} {
		l, cables := ring(t, n)
		l.check = func() {
			if l.rings() > 0 {
				t.Fatalf("a ring of %d carries frames round at %d s", n, l.now)
			}
		}
		l.mustSettle(3)
		l.run(10)
		l.mustBeRight()
		for _, c := range cables {
			l.set(c, false)
			l.mustSettle(2)
			l.set(c, true)
			l.mustSettle(3)
			l.run(10)
			l.mustBeRight()
		}
	}
}

func TestTwoCablesBlockExactlyOnePort(t *testing.T) {
	l := newLab(t)
	a, b := l.add(normal, stp.Config{}), l.add(normal, stp.Config{})
	one := l.plug(a, b, stp.PortConfig{})
	two := l.plug(a, b, stp.PortConfig{})
	l.mustSettle(3)
	l.run(20)
	blocked := 0
	for _, e := range []end{one.a, one.b, two.a, two.b} {
		if e.state() != stp.Forwarding {
			blocked++
		}
	}
	if blocked != 1 || two.b.role() != stp.Alternate {
		t.Errorf("%d ports are blocked, the second cable's far end is %v\n%v", blocked, two.b.role(), l)
	}
	flushed := a.flushed[one.a.port]
	l.set(one, false)
	if s := two.b.state(); s != stp.Forwarding {
		t.Errorf("the other cable is %v at the moment the first is pulled", s)
	}
	if a.flushed[one.a.port] == flushed {
		t.Error("nothing was forgotten behind the pulled cable")
	}
}

func TestCableIntoTheSameBridge(t *testing.T) {
	l := newLab(t)
	a := l.add(normal, stp.Config{})
	c := l.plug(a, a, stp.PortConfig{})
	l.check = func() {
		if c.carries() {
			t.Fatal("frames go round")
		}
	}
	l.run(60)
	if c.a.role() != stp.Designated || c.b.role() != stp.Backup || c.a.state() != stp.Forwarding || c.b.state() != stp.Discarding {
		t.Errorf("%v %v and %v %v", c.a.role(), c.a.state(), c.b.role(), c.b.state())
	}
	l.set(c, false)
	l.set(c, true)
	l.run(60)
}

// TestCableIntoTheSamePort has a port hear itself: there is nobody else who
// could block.
func TestCableIntoTheSamePort(t *testing.T) {
	l := newLab(t)
	a := l.add(normal, stp.Config{})
	e := a.newPort(stp.PortConfig{})
	l.cables = append(l.cables, &cable{a: e, up: true, b: e})
	a.br.Enable(e.port)
	for range 120 {
		l.run(1)
		if e.state() == stp.Forwarding {
			t.Fatalf("forwards to itself after %d s", l.now)
		}
	}
}

func TestDeadRoot(t *testing.T) {
	l, _ := ring(t, 5)
	l.mustSettle(3)
	l.run(10)
	root := l.nodes[0]
	root.dead = true // its cables stay up: nobody is told
	l.run(60)
	l.mustBeRight()
	if s := l.settled(); s != "" {
		t.Errorf("%s\n%v", s, l)
	}
}

func TestEdgePortForwards(t *testing.T) {
	l := newLab(t)
	a := l.add(normal, stp.Config{})
	on, auto, off := a.newPort(stp.PortConfig{Edge: stp.EdgeOn}), a.newPort(stp.PortConfig{}), a.newPort(stp.PortConfig{Edge: stp.EdgeOff})
	for _, e := range []end{on, auto, off} {
		a.br.Enable(e.port)
	}
	if on.state() != stp.Forwarding {
		t.Error("an edge port does not forward at once")
	}
	l.run(2)
	if auto.state() == stp.Forwarding {
		t.Error("an unknown port forwards before anyone could answer")
	}
	l.run(2)
	if auto.state() != stp.Forwarding || off.state() == stp.Forwarding {
		t.Errorf("after 4 s: auto %v, off %v", auto.state(), off.state())
	}
	l.run(20)
	if off.state() != stp.Forwarding {
		t.Errorf("a port that is no edge is %v after 24 s", off.state())
	}
	if i := a.br.Info(); i.Changes != 1 {
		t.Errorf("%d topology changes, want 1: edge ports make none", i.Changes)
	}
	// A BPDU from behind an edge port: it is none.
	b := l.add(4096, stp.Config{})
	l.join(&cable{a: on, b: b.newPort(stp.PortConfig{})})
	l.run(5)
	if p, _ := a.br.Port(on.port); p.Edge || p.Role != stp.Root {
		t.Errorf("edge %t, role %v with a bridge behind it", p.Edge, p.Role)
	}
}

func TestRootGuard(t *testing.T) {
	l := newLab(t)
	a, b := l.add(normal, stp.Config{}), l.add(4096, stp.Config{})
	c := l.join(&cable{a: a.newPort(stp.PortConfig{RootGuard: true}), b: b.newPort(stp.PortConfig{})})
	l.run(30)
	p, _ := a.br.Port(c.a.port)
	if p.Role != stp.Alternate || !p.Guarded || a.br.Info().Root != a.id {
		t.Errorf("role %v, guarded %t, root %v", p.Role, p.Guarded, a.br.Info().Root)
	}
	if c.carries() {
		t.Error("the stranger is let in")
	}
	a.br.Configure(stp.MakeID(0, a.id.MAC()), stp.Config{})
	l.deliver()
	l.run(30)
	if p, _ := a.br.Port(c.a.port); p.Role != stp.Designated || p.Guarded || !c.carries() {
		t.Errorf("with the better bridge here: %v, guarded %t, carries %t\n%v", p.Role, p.Guarded, c.carries(), l)
	}
}

func TestCostAndPriorityChooseTheWay(t *testing.T) {
	l := newLab(t)
	a, b := l.add(4096, stp.Config{}), l.add(normal, stp.Config{})
	one := l.plug(a, b, stp.PortConfig{})
	two := l.plug(a, b, stp.PortConfig{})
	l.mustSettle(3)
	a.br.AddPort(two.a.port, stp.PortConfig{Priority: 16})
	l.deliver()
	l.mustSettle(3)
	if two.b.role() != stp.Root || one.b.role() != stp.Alternate {
		t.Errorf("after a better priority: %v and %v", one.b.role(), two.b.role())
	}
	b.br.AddPort(two.b.port, stp.PortConfig{Cost: 50000})
	l.deliver()
	l.mustSettle(3)
	if one.b.role() != stp.Root || two.b.role() != stp.Alternate {
		t.Errorf("after a higher cost: %v and %v", one.b.role(), two.b.role())
	}
	b.br.AddPort(two.b.port, stp.PortConfig{Cost: 50000, Bonus: 45000})
	l.deliver()
	l.mustSettle(3)
	if two.b.role() != stp.Root || b.br.Info().Cost != 5000 {
		t.Errorf("with a bonus: %v, cost %d", two.b.role(), b.br.Info().Cost)
	}
}

// TestSilentCable has BPDUs get lost both ways while frames pass: what was heard
// is too old after three hellos, and both ends then serve the cable.
func TestSilentCable(t *testing.T) {
	l, cables := ring(t, 3)
	l.mustSettle(3)
	l.run(10)
	for _, c := range cables {
		c.silent = true
	}
	l.run(3)
	for _, n := range l.nodes[1:] {
		if n.br.Info().Root != l.nodes[0].id {
			t.Errorf("bridge %d forgot the root before three hellos were missed", n.name)
		}
	}
	l.run(30)
	for _, n := range l.nodes {
		if n.br.Info().Root != n.id {
			t.Errorf("bridge %d still believes in a root it does not hear", n.name)
		}
	}
}

// TestUnidirectionalCable has only one end of the blocked cable hear. What the
// deaf end says is inferior, so that the other end sees it does not listen, and
// does not forward to it (dispute).
func TestUnidirectionalCable(t *testing.T) {
	l := newLab(t)
	a, b := l.add(4096, stp.Config{}), l.add(normal, stp.Config{})
	l.plug(a, b, stp.PortConfig{})
	two := l.plug(a, b, stp.PortConfig{})
	l.mustSettle(3)
	l.run(10)
	two.lost = two.a
	disputed := false
	l.check = func() { disputed = disputed || two.a.state() != stp.Forwarding }
	l.run(60)
	if !disputed {
		t.Errorf("a port forwards to one that does not hear it\n%v", l)
	}
}

func TestRandomNets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := newLab(t)
		n := rapid.IntRange(1, 9).Draw(rt, "bridges")
		for range n {
			l.add(uint16(rapid.IntRange(0, 15).Draw(rt, "priority"))<<12, stp.Config{})
		}
		for range rapid.IntRange(0, 16).Draw(rt, "cables") {
			a := rapid.IntRange(0, n-1).Draw(rt, "from")
			b := rapid.IntRange(0, n-1).Draw(rt, "to")
			l.plug(l.nodes[a], l.nodes[b], stp.PortConfig{Cost: uint32(rapid.IntRange(1, 4).Draw(rt, "cost"))})
			l.run(rapid.IntRange(0, 3).Draw(rt, "wait"))
		}
		for range rapid.IntRange(0, 6).Draw(rt, "events") {
			if len(l.cables) == 0 {
				break
			}
			c := rapid.SampledFrom(l.cables).Draw(rt, "cable")
			l.set(c, !c.up)
			l.run(rapid.IntRange(0, 5).Draw(rt, "wait"))
		}
		l.run(60)
		l.mustBeRight()
		if s := l.settled(); s != "" {
			t.Errorf("%s\n%v", s, l)
		}
		if t.Failed() {
			rt.FailNow()
		}
	})
}
