package stp_test

import (
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// stranger is a bridge that answers by a script.
func stranger(l *lab, priority uint16) (n *node, hear func() []stp.BPDU) {
	n = l.add(priority, stp.Config{})
	var heard []stp.BPDU
	n.speaker = func(_ *node, _ int, b stp.BPDU) { heard = append(heard, b) }
	return n, func() []stp.BPDU {
		all := heard
		heard = nil
		return all
	}
}

func (n *node) say(b stp.BPDU) {
	n.l.post(end{n, 1}, stp.AppendFrame(nil, n.id.MAC(), 0, &b))
	n.l.deliver()
}

func (n *node) claim() stp.Vector { return stp.Vector{Root: n.id, Bridge: n.id, Port: 0x8001} }

// TestOldSTPNeighbour has a bridge of 1998 next door: it is spoken to in STP, and
// in RSTP again when it is replaced.
func TestOldSTPNeighbour(t *testing.T) {
	l := newLab(t)
	a := l.add(normal, stp.Config{})
	old, hear := stranger(l, 4096)
	c := l.plug(a, old, stp.PortConfig{})
	l.run(5)
	for _, b := range hear() {
		if b.Type != stp.TypeRST {
			t.Fatalf("the first BPDUs are of type %v", b.Type)
		}
	}
	config := stp.BPDU{Type: stp.TypeConfig, Vector: old.claim(), Times: times(0, 20, 2, 15), Role: stp.Designated}
	old.say(config)
	for range 40 {
		l.run(2)
		old.say(config)
	}
	p, _ := a.br.Port(c.a.port)
	if p.Speaks != "stp" || p.Role != stp.Root || p.State != stp.Forwarding {
		t.Fatalf("speaks %s, %v, %v", p.Speaks, p.Role, p.State)
	}
	hear()
	// A change behind us goes to the root as a TCN, until it is acknowledged.
	other := l.add(61440, stp.Config{})
	l.plug(a, other, stp.PortConfig{})
	tcn := 0
	for range 6 {
		l.run(1)
		old.say(config)
		for _, b := range hear() {
			if b.Type != stp.TypeTCN {
				t.Errorf("a root port towards STP says %+v", b)
			}
			tcn++
		}
	}
	if tcn == 0 {
		t.Error("the root was not told of a topology change")
	}
	config.TCAck = true
	old.say(config)
	hear()
	config.TCAck = false
	l.run(4)
	if got := hear(); len(got) > 0 {
		t.Errorf("still says %+v after the acknowledgement", got)
	}
	// The old bridge goes, and its successor speaks RSTP.
	l.run(10)
	rst := config
	rst.Type, rst.Proposal = stp.TypeRST, true
	old.say(rst)
	l.run(1)
	old.say(rst)
	if p, _ := a.br.Port(c.a.port); p.Speaks != "rstp" {
		t.Errorf("speaks %s to a neighbour that speaks RSTP", p.Speaks)
	}
}

func TestTowardsOldSTPItWaits(t *testing.T) {
	l := newLab(t)
	a := l.add(4096, stp.Config{})
	old, hear := stranger(l, normal)
	c := l.plug(a, old, stp.PortConfig{})
	config := stp.BPDU{Type: stp.TypeConfig, Vector: old.claim(), Times: times(0, 20, 2, 15), Role: stp.Designated}
	forwarding := 0
	for i := range 60 {
		if i < 10 {
			old.say(config)
		}
		l.run(1)
		if c.a.state() == stp.Forwarding && forwarding == 0 {
			forwarding = l.now
		}
	}
	if forwarding < 30 {
		t.Errorf("forwards after %d s to a bridge that cannot agree, want twice the forward delay", forwarding)
	}
	last := hear()
	if b := last[len(last)-1]; b.Type != stp.TypeConfig || b.Vector.Root != a.id {
		t.Errorf("says %+v to it", b)
	}
	a.br.Migrate(c.a.port)
	l.deliver()
	l.run(1)
	a.br.Tick()
	if p, _ := a.br.Port(c.a.port); p.Speaks != "rstp" {
		t.Errorf("speaks %s after it was told to try again", p.Speaks)
	}
}

// TestFSTPDialect holds the trap: what a root port says to a vde_switch must be
// in its own code, or it cuts us off.
func TestFSTPDialect(t *testing.T) {
	l := newLab(t)
	a := l.add(normal, stp.Config{})
	vde, hear := stranger(l, 4096)
	c := l.plug(a, vde, stp.PortConfig{})
	hello := stp.BPDU{Type: stp.TypeRST, Vector: vde.claim(), Times: times(0, 40, 4, 0), Role: stp.Designated,
		Agreement: true, Learning: true, Forwarding: true, FSTP: true}
	vde.say(hello)
	vde.say(hello)
	hear()
	l.run(9)
	p, _ := a.br.Port(c.a.port)
	if p.Speaks != "fstp" || p.Role != stp.Root || p.State != stp.Forwarding || p.Cost != 20_000_000 {
		t.Errorf("speaks %s, %v, %v, cost %d", p.Speaks, p.Role, p.State, p.Cost)
	}
	if a.br.Info().Times.Forward != 15<<8 {
		t.Errorf("passes on a forward delay of %d", a.br.Info().Times.Forward>>8)
	}
	said := hear()
	for _, b := range said {
		if !b.FSTP || b.Role != stp.Root {
			t.Errorf("a root port says %+v", b)
		}
	}
	if len(said) < 3 {
		t.Errorf("%d hellos in 9 s: it takes silence for absence", len(said))
	}
	raw := stp.AppendFrame(nil, station, 0, &a.sent[c.a.port][len(a.sent[c.a.port])-1])
	if len(raw) != 53 || raw[21]&0x0c != 0x04 {
		t.Errorf("% x", raw)
	}
	// Three of its own hellos missed.
	l.run(13)
	if a.br.Info().Root != a.id {
		t.Error("still believes in a root that is silent for 13 s")
	}
	// A bridge that speaks RSTP in its place is spoken to in RSTP.
	rst := hello
	rst.Times, rst.FSTP = times(0, 20, 2, 15), false
	vde.say(rst)
	if p, _ := a.br.Port(c.a.port); p.Speaks != "rstp" || p.Cost != stp.DefaultCost {
		t.Errorf("speaks %s, cost %d", p.Speaks, p.Cost)
	}
}

// TestFSTPBlockedPort is about the code that means a blocked port: it agrees when
// the port is ours to serve, and asks when it is theirs.
func TestFSTPBlockedPort(t *testing.T) {
	l := newLab(t)
	a := l.add(4096, stp.Config{})
	vde, _ := stranger(l, normal)
	c := l.plug(a, vde, stp.PortConfig{})
	worse := stp.Vector{Root: a.id, Cost: 20_000_000, Bridge: vde.id, Port: 0x8001}
	blocked := stp.BPDU{Type: stp.TypeRST, Vector: worse, Times: times(0, 40, 4, 0), Role: stp.Alternate, Agreement: true, FSTP: true}
	vde.say(blocked)
	vde.say(blocked)
	if c.a.role() != stp.Designated || c.a.state() != stp.Forwarding {
		t.Errorf("%v %v towards a blocked port that agreed", c.a.role(), c.a.state())
	}
	better := blocked
	better.Vector = stp.Vector{Root: stp.MakeID(0, frame.MAC{2, 0, 0, 0, 0, 99}), Cost: 20_000_000, Bridge: vde.id, Port: 0x8001}
	better.Agreement = false
	vde.say(better)
	if c.a.role() != stp.Root || c.a.state() != stp.Forwarding {
		t.Errorf("%v %v towards one that leads to a better root", c.a.role(), c.a.state())
	}
	if b := a.sent[c.a.port][len(a.sent[c.a.port])-1]; b.Role != stp.Root || !b.Agreement {
		t.Errorf("answers %+v, want an agreement", b)
	}
}

// TestGhostRootDies lets news of a dead root go round between neighbours of
// which one never ages it: the cost tells.
func TestGhostRootDies(t *testing.T) {
	l := newLab(t)
	a := l.add(normal, stp.Config{})
	vde, _ := stranger(l, normal)
	l.plug(a, vde, stp.PortConfig{})
	ghost := stp.MakeID(0, frame.MAC{2, 0, 0, 0, 0, 77})
	m := stp.BPDU{Type: stp.TypeRST, Times: times(0, 40, 4, 0), Role: stp.Designated, FSTP: true}
	for hop := uint32(1); hop < 60; hop++ {
		m.Vector = stp.Vector{Root: ghost, Cost: hop * 20_000_000, Bridge: vde.id, Port: 0x8001}
		vde.say(m)
		l.run(1)
	}
	l.run(5)
	if a.br.Info().Root == ghost {
		t.Errorf("still believes in %v after 60 rounds", ghost)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  stp.Config
		ok   bool
	}{
		{"defaults", stp.Config{}, true},
		{"fastest", stp.Config{Hello: 1, MaxAge: 6, Forward: 4}, true},
		{"slowest", stp.Config{Hello: 10, MaxAge: 40, Forward: 30}, true},
		{"hello", stp.Config{Hello: 11}, false},
		{"negative", stp.Config{Hello: -1}, false},
		{"age", stp.Config{MaxAge: 41}, false},
		{"forward", stp.Config{Forward: 31}, false},
		{"hello too long for the age", stp.Config{Hello: 10, MaxAge: 20}, false},
		{"age too long for the delay", stp.Config{MaxAge: 20, Forward: 5}, false},
	} {
		if err := c.cfg.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
