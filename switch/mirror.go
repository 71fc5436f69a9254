package vswitch

import (
	"slices"
	"strconv"
)

// aimMirrors tells the ports of a new topology who watches them. Most switches
// have no mirror, and then this looks no further than the settings.
func (s *Switch) aimMirrors(t *topology) {
	mirrors := slices.ContainsFunc(t.views, func(v *view) bool { return v != nil && v.monitor })
	for i, v := range t.views {
		if v == nil || !mirrors && v.mirrorIn == nil && v.mirrorOut == nil {
			continue
		}
		c := *v // the old topology keeps its own
		c.mirrorIn, c.mirrorOut = nil, nil
		for id, m := range t.views {
			if m == nil || !m.up || !m.monitor || v.monitor {
				continue
			}
			in, out := m.port.watches(v.port)
			if in {
				c.mirrorIn = append(c.mirrorIn, id)
			}
			if out {
				c.mirrorOut = append(c.mirrorOut, id)
			}
		}
		t.views[i] = &c
	}
}

// watches tells what mirror port p shows of port q. Called with mu held.
func (p *Port) watches(q *Port) (in, out bool) {
	for _, m := range p.cfg.Mirror {
		if m.Port == "all" || m.Port == q.name() || m.Port == strconv.Itoa(q.id) {
			in = in || m.In
			out = out || m.Out
		}
	}
	return in, out
}

// followName has mirrors that show p, by the name that it had, name it by the one
// that it has now.
func (c *change) followName(p *Port, was string) {
	now := p.name()
	if now == was {
		return
	}
	for _, m := range c.s.ports {
		old := m.cfg.Mirror
		if !slices.ContainsFunc(old, func(f MirrorFrom) bool { return f.Port == was }) {
			continue
		}
		m.cfg.Mirror = slices.Clone(old) // infos share the old one
		for i, f := range old {
			if f.Port == was {
				m.cfg.Mirror[i].Port = now
			}
		}
		c.undo = append(c.undo, func() { m.cfg.Mirror = old })
		c.event(EventPortChanged, m, describe(m.cfg))
	}
}
