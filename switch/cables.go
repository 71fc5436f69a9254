package vswitch

import (
	"fmt"

	"vnetkit/switch/link"
)

// A port that does not listen is a cable to somewhere. The same cable twice is a
// ring, in which the first broadcast goes round for ever; only a spanning tree
// can make a reserve of the second one.

// oneCableEach fails if two ports are the same cable and no spanning tree is on.
func (c *change) oneCableEach() error {
	s := c.s
	if !c.cables || s.span.cfg.Mode != STPOff {
		return nil
	}
	first := map[string]*door{}
	for _, d := range s.doors {
		cable := d.cable()
		if other := first[cable]; other != nil {
			return fmt.Errorf("%w: %s and %s are the same cable: leave one out, or have the spanning tree on first, at both ends (--stp rstp)",
				ErrLoop, other.called(), d.called())
		}
		if cable != "" {
			first[cable] = d
		}
	}
	return nil
}

// cable tells d's cable from others; "": it is none.
func (d *door) cable() string {
	if _, vacant := d.src.(link.Vacancy); vacant || d.src.Listening() {
		return ""
	}
	spec, err := link.ParseSpec(d.own)
	if err != nil {
		return ""
	}
	spec.Addr = ""
	return d.src.String() + " " + spec.Sorted().String()
}

// called is what people call d.
func (d *door) called() string {
	if d.port == nil {
		return "door " + d.spec.String()
	}
	return fmt.Sprintf("port %s (%s)", d.port.name(), d.spec)
}
