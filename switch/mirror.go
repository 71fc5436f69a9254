package vswitch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// followName has whoever shows p by the name that it had name it by the one that
// it has now: mirrors, doors whose clients become mirrors, the default settings.
func (c *change) followName(p *Port, was string) {
	s, now := c.s, p.name()
	if now == was {
		return
	}
	for _, m := range s.ports {
		if c.renameIn(&m.cfg.Mirror, was, now) {
			c.event(EventPortChanged, m, describe(m.cfg))
		}
	}
	for _, d := range s.doors {
		if d.listening() {
			c.renameInDoor(d, was, now)
		}
	}
	if c.renameIn(&s.defaults.Mirror, was, now) {
		c.event(EventSwitchChanged, nil, fmt.Sprintf("default port settings %s", s.defaults.Text()))
	}
}

// renameInDoor is renameIn for what d makes ports of. A door is called what its
// Spec says, so that is another name of the door, too.
func (c *change) renameInDoor(d *door, was, now string) {
	spec := d.spec
	if !c.renameIn(&d.cfg.Mirror, was, now) || !spec.Has("mirror") {
		return // or it is the default settings that say so
	}
	text := mirrorText(d.cfg.Mirror)
	d.spec = spec.With("mirror", text)
	c.undo = append(c.undo, func() { d.spec = spec })
	c.event(EventDoorClosed, nil, spec.String())
	c.event(EventDoorOpened, nil, d.spec.String())
}

// renameIn replaces a name in a list of what is to be shown, and tells whether
// it was there.
func (c *change) renameIn(list *[]MirrorFrom, was, now string) bool {
	old := *list
	if !slices.ContainsFunc(old, func(f MirrorFrom) bool { return f.Port == was }) {
		return false
	}
	*list = slices.Clone(old) // infos share the old one
	for i, f := range old {
		if f.Port == was {
			(*list)[i].Port = now
		}
	}
	c.undo = append(c.undo, func() { *list = old })
	return true
}

// mirrorText writes list as ParseMirror reads it.
func mirrorText(list []MirrorFrom) string {
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.String()
	}
	return strings.Join(parts, "+")
}
