package vswitch

import (
	"fmt"
	"slices"
	"strings"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// A port that does not listen is a cable to somewhere. Two cables to one place are
// a ring, in which the first broadcast goes round for ever; only a spanning tree can
// make a reserve of the second one, and not always: it must hear what the other
// cable carries. A cable back into this switch is a ring by itself.
//
// What is known is looked at when a port is added, or the spanning tree taken away.
// Rings that others make meanwhile are the loop detector's (loops.go).

// noRings fails if this change makes a ring that nothing breaks.
func (c *change) noRings() error {
	s := c.s
	if len(c.doors) == 0 && !c.treeless {
		return nil
	}
	tree := s.span.cfg.Mode != STPOff
	at := map[string][]*door{}
	cables := map[*door]link.Cable{}
	for _, d := range s.doors {
		cable := d.cable()
		if cable.Place == "" {
			continue
		}
		for _, o := range at[cable.Place] {
			if !c.joins(o, d) {
				continue
			}
			if err := together(o, d, cables[o], cable, tree); err != nil {
				return err
			}
		}
		at[cable.Place], cables[d] = append(at[cable.Place], d), cable
	}
	if tree {
		return nil
	}
	return c.noWayBack(cables)
}

// joins tells whether a ring by way of a and b is this change's.
func (c *change) joins(a, b *door) bool {
	return c.treeless || slices.Contains(c.doors, a) || slices.Contains(c.doors, b)
}

// together says why cables a and b, to the same place, cannot be. Where they are
// different ways into a bridge of the kernel, they can if no frame goes from one to
// the other here.
func together(a, b *door, x, y link.Cable, tree bool) error {
	oneWay := x.Way != "" && x.Way == y.Way
	if tree && x.Apart(y) || x.Name != "" && !oneWay && separate(a.port, b.port) {
		return nil
	}
	what, there := fmt.Sprintf("%s and %s are the same cable", a.called(), b.called()), ", at both ends"
	if x.Name != "" {
		what, there = fmt.Sprintf("%s and %s both lead to %s", a.called(), b.called(), x.Name), ""
	}
	if !x.Apart(y) {
		return fmt.Errorf("%w: %s, and one of them does not hear what the other sends, so that no spanning tree helps: leave one out", ErrLoop, what)
	}
	return fmt.Errorf("%w: %s: leave one out, or have the spanning tree on first%s (--stp rstp)", ErrLoop, what, there)
}

// separate tells whether no frame goes from one port to the other.
func separate(a, b *Port) bool {
	x, y := &a.cfg, &b.cfg
	if x.Isolated && y.Isolated || x.Down || y.Down {
		return true
	}
	for vid := frame.VID(frame.MinVID); vid <= frame.MaxVID; vid++ {
		if x.Member(vid) && y.Member(vid) {
			return false
		}
	}
	return true
}

// noWayBack fails if one of the cables leads to a door of this switch.
func (c *change) noWayBack(cables map[*door]link.Cable) error {
	at := map[string]*door{}
	for _, d := range c.s.doors {
		if d.src.Listening() {
			at[whence(d)] = d
		}
	}
	for _, d := range c.s.doors {
		if cables[d].Place == "" {
			continue
		}
		if o := at[whence(d)]; o != nil && c.joins(o, d) {
			return fmt.Errorf("%w: %s leads back into this switch, by %s: leave it out, or have the spanning tree on first (--stp rstp)", ErrLoop, d.called(), o.called())
		}
	}
	return nil
}

// cable says where d leads; the zero value: nowhere, or nobody knows.
func (d *door) cable() link.Cable {
	if _, vacant := d.src.(link.Vacancy); vacant || d.src.Listening() || d.port == nil || d.port.removed {
		return link.Cable{}
	}
	if c, ok := d.src.(link.Cabled); ok {
		return c.Cable()
	}
	spec, err := link.ParseSpec(d.own)
	if err != nil {
		return link.Cable{}
	}
	spec.Addr = ""
	return link.Cable{Place: d.src.String() + " " + spec.Sorted().String()}
}

// whence tells where d's links come from.
func whence(d *door) string {
	text, _, _ := strings.Cut(d.src.String(), ",")
	return d.spec.Kind + " " + place(text)
}

// called is what people call d.
func (d *door) called() string {
	if d.port == nil {
		return "door " + d.spec.String()
	}
	return fmt.Sprintf("port %s (%s)", d.port.name(), d.spec)
}
