package stp_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// end is a port of a bridge in a lab.
type end struct {
	n    *node
	port int
}

// cable joins two ports, which may be of the same bridge.
type cable struct {
	a, b   end
	up     bool
	silent bool // loses BPDUs but keeps its ends enabled
	lost   end  // what this end sends is lost
}

// node is a bridge in a lab, which stands in for the switch around it.
type node struct {
	l       *lab
	name    int
	id      stp.ID
	br      *stp.Bridge
	dead    bool
	state   map[int]stp.State
	flushed map[int]int
	sent    map[int][]stp.BPDU
	speaker func(n *node, port int, b stp.BPDU) // instead of br, if set
}

// letter is a BPDU on its way.
type letter struct {
	to  end
	raw []byte
}

// lab is a net of bridges with a time of its own.
type lab struct {
	t      testing.TB
	nodes  []*node
	cables []*cable
	mail   []letter
	now    int
	check  func() // after each delivery, if set
}

func newLab(t testing.TB) *lab { return &lab{t: t} }

func (l *lab) add(priority uint16, cfg stp.Config) *node {
	n := &node{
		l: l, name: len(l.nodes), id: stp.MakeID(priority, frame.MAC{2, 0, 0, 0, 0, byte(len(l.nodes) + 1)}),
		state: map[int]stp.State{}, flushed: map[int]int{}, sent: map[int][]stp.BPDU{},
	}
	n.br = stp.New(n, n.id, cfg)
	l.nodes = append(l.nodes, n)
	return n
}

// Send, SetState and Flush make node a stp.Host.
func (n *node) Send(port int, b *stp.BPDU) {
	if n.speaker != nil {
		return
	}
	n.sent[port] = append(n.sent[port], *b)
	n.l.post(end{n, port}, stp.AppendFrame(nil, n.id.MAC(), 0, b))
}

func (n *node) SetState(port int, s stp.State) { n.state[port] = s }
func (n *node) Flush(port int)                 { n.flushed[port]++ }

func (l *lab) post(from end, raw []byte) {
	for _, c := range l.cables {
		if !c.up || c.silent || c.lost == from {
			continue
		}
		if c.a == from {
			l.mail = append(l.mail, letter{c.b, raw})
		} else if c.b == from {
			l.mail = append(l.mail, letter{c.a, raw})
		}
	}
}

// plug adds a cable whose ports are the next free numbers.
func (l *lab) plug(a, b *node, cfg stp.PortConfig) *cable {
	c := &cable{a: a.newPort(cfg), b: b.newPort(cfg)}
	return l.join(c)
}

func (l *lab) join(c *cable) *cable {
	l.cables = append(l.cables, c)
	l.set(c, true)
	return c
}

func (n *node) newPort(cfg stp.PortConfig) end {
	port := len(n.state) + 1
	n.br.AddPort(port, cfg)
	return end{n, port}
}

// set plugs a cable in or pulls it.
func (l *lab) set(c *cable, up bool) {
	c.up = up
	for _, e := range []end{c.a, c.b} {
		if e.n.dead {
			continue
		}
		if up {
			e.n.br.Enable(e.port)
		} else {
			e.n.br.Disable(e.port)
		}
	}
	l.deliver()
}

func (l *lab) deliver() {
	for i := 0; len(l.mail) > 0; i++ {
		m := l.mail[0]
		l.mail = l.mail[1:]
		if m.to.n.dead {
			continue
		}
		b, err := stp.Parse(m.raw)
		if err != nil && strings.Contains(err.Error(), "too old") {
			continue // news of a root that is no more
		}
		if err != nil {
			l.t.Fatalf("parse % x: %v", m.raw, err)
		}
		if m.to.n.speaker != nil {
			m.to.n.speaker(m.to.n, m.to.port, b)
		} else {
			m.to.n.br.Input(m.to.port, b)
		}
		if l.check != nil {
			l.check()
		}
		if i > 200000 {
			l.t.Fatal("BPDUs never end")
		}
	}
}

// run lets n seconds go by.
func (l *lab) run(n int) {
	for range n {
		l.now++
		for _, n := range l.nodes {
			if !n.dead {
				n.br.Tick()
			}
			l.deliver()
		}
	}
}

func (e end) state() stp.State {
	if e.n.dead {
		return stp.Discarding
	}
	return e.n.state[e.port]
}

func (e end) role() stp.Role {
	p, _ := e.n.br.Port(e.port)
	return p.Role
}

// carries tells whether frames can cross c.
func (c *cable) carries() bool {
	return c.up && c.a.state() == stp.Forwarding && c.b.state() == stp.Forwarding
}

// rings counts the cables that carry frames and close a ring.
func (l *lab) rings() int {
	group := map[*node]*node{}
	find := func(n *node) *node {
		for group[n] != nil {
			n = group[n]
		}
		return n
	}
	rings := 0
	for _, c := range l.cables {
		if !c.carries() {
			continue
		}
		a, b := find(c.a.n), find(c.b.n)
		if a == b {
			rings++
			continue
		}
		group[a] = b
	}
	return rings
}

// parts counts the groups of live bridges that the cables join, those that
// count only.
func (l *lab) parts(counts func(*cable) bool) int {
	group := map[*node]*node{}
	find := func(n *node) *node {
		for group[n] != nil {
			n = group[n]
		}
		return n
	}
	parts := 0
	for _, n := range l.nodes {
		if !n.dead {
			parts++
		}
	}
	for _, c := range l.cables {
		if c.a.n.dead || c.b.n.dead || !counts(c) {
			continue
		}
		if a, b := find(c.a.n), find(c.b.n); a != b {
			group[a] = b
			parts--
		}
	}
	return parts
}

// settled says what is wrong with the tree; "" if nothing is.
func (l *lab) settled() string {
	if n := l.rings(); n > 0 {
		return fmt.Sprintf("%d rings", n)
	}
	want := l.parts(func(c *cable) bool { return c.up })
	if got := l.parts((*cable).carries); got != want {
		return fmt.Sprintf("%d parts, want %d", got, want)
	}
	return ""
}

func (l *lab) mustSettle(within int) {
	l.t.Helper()
	start := l.now
	for l.settled() != "" {
		if l.now-start >= within {
			l.t.Fatalf("after %d s: %s\n%s", within, l.settled(), l)
		}
		l.run(1)
	}
}

// expect is what the standard says a bridge's way to the root is, found another
// way: by relaxing all cables until nothing changes.
type expect struct {
	root   stp.ID
	cost   uint32
	bridge stp.ID
	port   stp.PortID
	via    int // own port
}

func (e expect) less(f expect) int {
	return cmp.Or(cmp.Compare(e.root, f.root), cmp.Compare(e.cost, f.cost), cmp.Compare(e.bridge, f.bridge),
		cmp.Compare(e.port, f.port), cmp.Compare(e.via, f.via))
}

func (l *lab) expected() map[*node]expect {
	best := map[*node]expect{}
	for _, n := range l.nodes {
		best[n] = expect{root: n.id, bridge: n.id}
	}
	for again := true; again; {
		again = false
		for _, c := range l.cables {
			if !c.up || c.a.n == c.b.n || c.a.n.dead || c.b.n.dead {
				continue
			}
			for _, d := range [][2]end{{c.a, c.b}, {c.b, c.a}} {
				from, to := d[0], d[1]
				in, _ := to.n.br.Port(to.port)
				out, _ := from.n.br.Port(from.port)
				e := expect{best[from.n].root, best[from.n].cost + in.Cost, from.n.id, out.ID, to.port}
				if e.root != to.n.id && e.less(best[to.n]) < 0 {
					best[to.n], again = e, true
				}
			}
		}
	}
	return best
}

// mustBeRight compares every role with the expected one.
func (l *lab) mustBeRight() {
	l.t.Helper()
	best := l.expected()
	for _, n := range l.nodes {
		if n.dead {
			continue
		}
		i := n.br.Info()
		if want := best[n]; i.Root != want.root || i.Cost != want.cost || i.RootPort != want.via {
			l.t.Errorf("bridge %d: root %v cost %d by %d, want %v %d by %d", n.name, i.Root, i.Cost, i.RootPort, want.root, want.cost, want.via)
		}
	}
	for _, c := range l.cables {
		if !c.up || c.a.n.dead || c.b.n.dead {
			continue
		}
		// The end whose bridge is nearer to the root serves the cable.
		ends := []end{c.a, c.b}
		slices.SortFunc(ends, func(e, f end) int {
			x, y := best[e.n], best[f.n]
			ei, _ := e.n.br.Port(e.port)
			fi, _ := f.n.br.Port(f.port)
			return cmp.Or(cmp.Compare(x.cost, y.cost), cmp.Compare(e.n.id, f.n.id), cmp.Compare(ei.ID, fi.ID))
		})
		want := stp.Alternate
		switch {
		case c.a.n == c.b.n:
			want = stp.Backup
		case best[ends[1].n].via == ends[1].port:
			want = stp.Root
		}
		if r0, r1 := ends[0].role(), ends[1].role(); r0 != stp.Designated || r1 != want {
			l.t.Errorf("cable %v: %v and %v, want designated and %v", c, r0, r1, want)
		}
	}
	if l.t.Failed() {
		l.t.Log(l)
	}
}

func (c *cable) String() string {
	return fmt.Sprintf("%d/%d-%d/%d", c.a.n.name, c.a.port, c.b.n.name, c.b.port)
}

func (l *lab) String() string {
	var out strings.Builder
	for _, n := range l.nodes {
		i := n.br.Info()
		fmt.Fprintf(&out, "bridge %d id %v root %v cost %d via %d\n", n.name, i.ID, i.Root, i.Cost, i.RootPort)
		for _, p := range i.Ports {
			fmt.Fprintf(&out, "  port %d %v %v speaks %s edge %t designated %v\n", p.Port, p.Role, p.State, p.Speaks, p.Edge, p.Designated)
		}
	}
	for _, c := range l.cables {
		fmt.Fprintf(&out, "cable %v up %t carries %t\n", c, c.up, c.carries())
	}
	return out.String()
}
