package vswitch

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// STPInfo is the spanning tree as it is now.
type STPInfo struct {
	Config STPConfig // with every default filled in
	Trees  []TreeInfo
}

// TreeInfo is one tree as it is now.
type TreeInfo struct {
	VID frame.VID // 0: of all VLANs
	stp.Info
	Names  map[int]string // of its ports
	Tagged map[int]bool   // ports where its BPDUs carry a tag
	Bonus  map[int]uint32 // taken off ports' costs, where there is one
}

// PortTree is a port's place in the tree: the one of its own VLAN, if there are
// several. Role is "" where there is no tree.
type PortTree struct {
	Role, State string
	Edge        bool   // leads to stations only
	Speaks      string // rstp, stp or fstp
	Guarded     bool   // blocked by its root guard
	Blocked     int    // trees in which it is discarding
	Rx, Tx, Bad uint64 // BPDUs
}

// SpanningTree is the spanning tree as it is now, with trees by VLAN.
func (s *Switch) SpanningTree() STPInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := STPInfo{Config: s.span.cfg}
	for _, vid := range slices.Sorted(maps.Keys(s.span.trees)) {
		t := s.span.trees[vid]
		ti := TreeInfo{VID: vid, Info: t.br.Info(), Names: map[int]string{}, Tagged: map[int]bool{}, Bonus: map[int]uint32{}}
		for id, m := range t.members {
			p := s.ports[id]
			ti.Names[id] = p.name()
			ti.Tagged[id] = vid != 0 && vid != p.cfg.Bare()
			if m.cfg.Bonus > 0 {
				ti.Bonus[id] = m.cfg.Bonus
			}
		}
		i.Trees = append(i.Trees, ti)
	}
	return i
}

// tree is p's place in the tree. Called with mu held.
func (p *Port) tree() PortTree {
	sp := p.sw.span
	t := PortTree{Bad: p.badBPDUs}
	home := sp.trees[p.cfg.mainVLAN()]
	if sp.cfg.Mode == STPRapid {
		home = sp.trees[0]
	}
	if home == nil {
		return t
	}
	i, ok := home.br.Port(p.id)
	if !ok {
		return t
	}
	t.Role, t.State, t.Edge, t.Speaks, t.Guarded = i.Role.String(), i.State.String(), i.Edge, i.Speaks, i.Guarded
	for _, other := range sp.trees {
		i, ok := other.br.Port(p.id)
		if ok {
			t.Rx += i.Rx
			t.Tx += i.Tx
		}
		if ok && i.Role != stp.Disabled && i.State == stp.Discarding {
			t.Blocked++
		}
	}
	return t
}

// tellState makes an event of a port's state.
func (sp *spanning) tellState(p *Port) {
	if p.removed || !p.plugged() {
		return
	}
	now := map[frame.VID]string{}
	for vid, t := range sp.trees {
		i, ok := t.br.Port(p.id)
		if !ok || i.Role == stp.Disabled {
			continue
		}
		now[vid] = fmt.Sprintf("vlan=%d role=%v state=%v", vid, i.Role, i.State)
	}
	for _, vid := range slices.Sorted(maps.Keys(now)) {
		if now[vid] != p.told[vid] {
			sp.s.events.add(EventSTPPort, p, now[vid])
		}
	}
	p.told = now
}

// tellTrees makes events of new roots and of changes of the topology.
func (sp *spanning) tellTrees() {
	for _, t := range slices.SortedFunc(maps.Values(sp.trees), func(a, b *tree) int { return cmp.Compare(a.vid, b.vid) }) {
		i := t.br.Brief()
		via := sp.s.ports[i.RootPort]
		if i.Root != t.root {
			t.root = i.Root
			text := fmt.Sprintf("vlan=%d root=%v", t.vid, i.Root)
			if via == nil {
				text += " (this switch)"
			}
			sp.s.events.add(EventSTPRoot, via, text)
		}
		if i.Changes != t.changes {
			t.changes = i.Changes
			sp.s.events.add(EventSTPTopology, nil, fmt.Sprintf("vlan=%d changes=%d", t.vid, i.Changes))
		}
	}
}

// setSTP changes the spanning tree.
func (c *change) setSTP(ch STPChange) {
	sp := c.s.span
	old := sp.cfg
	c.undo = append(c.undo, func() { sp.cfg = old })
	sp.cfg = old.apply(ch)
}

// unshut lifts the BPDU guard's verdict on p, if what was set means that.
func (c *change) unshut(p *Port, ch PortChange) {
	old := p.shut
	if old == "" || (ch.Down == nil || *ch.Down) && p.cfg.STP.BPDUGuard {
		return
	}
	c.undo = append(c.undo, func() { p.shut = old })
	p.shut = ""
	c.then = append(c.then, func() { p.since = time.Now() })
	c.show(p)
}

// SetTreeEdge says for one VLAN only whether a port leads to stations only. In
// mode rstp, where there is one tree, it says so for all.
func (s *Switch) SetTreeEdge(vid frame.VID, ref string, on bool) error {
	return s.override(vid, ref, func(_ treePort, o *override) { o.edge = &on })
}

// SetTreeBonus takes a bonus off the cost of a port in one VLAN's tree. One port
// in each VLAN has a bonus: another that had one loses it.
func (s *Switch) SetTreeBonus(vid frame.VID, ref string, bonus uint32) error {
	return s.override(vid, ref, func(x treePort, o *override) {
		for y, other := range s.span.over {
			if y.vid == x.vid && y.port != x.port {
				other.bonus = 0
				s.span.over[y] = other
			}
		}
		o.bonus = bonus
	})
}

func (s *Switch) override(vid frame.VID, ref string, set func(treePort, *override)) error {
	return s.change(func(c *change) error {
		p, err := s.find(ref)
		if err != nil {
			return err
		}
		if !vid.Valid() {
			return fmt.Errorf("%w: VLAN %d: want 1 to %d", ErrInvalid, vid, frame.MaxVID)
		}
		x := treePort{vid, p.id}
		if s.span.cfg.Mode == STPRapid {
			x.vid = 0
		}
		o := s.span.over[x]
		set(x, &o)
		s.span.over[x] = o
		c.event(EventPortChanged, p, fmt.Sprintf("spanning tree of VLAN %d", vid))
		return nil
	})
}
