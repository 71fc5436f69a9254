package vswitch

import (
	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// gate says in which VLANs the spanning tree lets a port learn and carry frames.
// A port that is open in all of them has none, so that nobody has to look.
type gate struct {
	learn, forward frame.VIDSet
}

// The gates of a port that is the same in all VLANs.
var (
	gateDiscarding = &gate{}
	gateLearning   = &gate{learn: frame.AllVIDs()}
)

func gateOf(s stp.State) *gate {
	switch s {
	case stp.Discarding:
		return gateDiscarding
	case stp.Learning:
		return gateLearning
	}
	return nil
}

// open tells whether the port may carry frames of VLAN vid.
func (v *view) open(vid frame.VID) bool { return v.gate == nil || v.gate.forward.Has(vid) }

// gate is what the trees decided about p. Called with mu held.
func (sp *spanning) gate(p *Port) *gate {
	if sp.cfg.Mode == STPOff || len(p.cfg.Mirror) > 0 {
		return nil
	}
	if sp.cfg.Mode == STPRapid {
		return gateOf(sp.state(0, p))
	}
	// VLANs without a tree follow that of the port's main one.
	g := gate{}
	fill(&g, frame.AllVIDs(), sp.state(p.cfg.mainVLAN(), p))
	for vid, t := range sp.trees {
		if t.has(p) {
			var one frame.VIDSet
			one.Add(vid)
			fill(&g, one, sp.state(vid, p))
		}
	}
	if g.forward == frame.AllVIDs() {
		return nil
	}
	return &g
}

// fill sets g to state s in some VLANs.
func fill(g *gate, vids frame.VIDSet, s stp.State) {
	for i, m := range vids {
		g.learn[i] &^= m
		g.forward[i] &^= m
		if s >= stp.Learning {
			g.learn[i] |= m
		}
		if s == stp.Forwarding {
			g.forward[i] |= m
		}
	}
}

// state is p's state in the tree of a VLAN. A port whose link is gone is closed
// there, which nobody sees.
func (sp *spanning) state(vid frame.VID, p *Port) stp.State {
	if t := sp.trees[vid]; t != nil {
		if i, ok := t.br.Port(p.id); ok {
			return i.State
		}
	}
	return stp.Discarding
}
