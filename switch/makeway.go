package vswitch

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Two doors cannot listen at one address. So where a change removes a door and
// adds another one at the same place, the old one is shut before the new one is
// opened, and opened again should the change fail. In between, which is for as
// long as opening takes, a client that knocks is refused. Ports keep their links
// until the change is made.

// makeWay shuts the door at whose address d would listen, if one of ops removes
// it, and returns it.
func (s *Switch) makeWay(ops []Op, d *door) *door {
	s.mu.Lock()
	i := slices.IndexFunc(s.doors, func(old *door) bool {
		return old.src.Listening() && old.spec.Kind == d.spec.Kind && old.spec.Addr == d.spec.Addr &&
			slices.ContainsFunc(ops, func(op Op) bool { return op.Remove != nil && s.means(old, *op.Remove) })
	})
	var old *door
	if i >= 0 {
		old = s.doors[i]
	}
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
	return old
}

// means tells whether ref, in Remove, means d. Called with mu held.
func (s *Switch) means(d *door, ref string) bool {
	if d.listening() {
		return d.spec.String() == ref
	}
	p, err := s.find(ref)
	return err == nil && p == d.port
}

// reopen opens a door again that made way in vain, unless somebody has removed
// it meanwhile.
func (d *door) reopen() error {
	s := d.sw
	s.mu.Lock()
	spec := d.spec.String()
	s.mu.Unlock()
	again, err := s.openSpec(context.Background(), spec)
	if err != nil {
		d.retrying(err)
		return fmt.Errorf("and the old one could not be opened again: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.doors, d) {
		return again.src.Close()
	}
	d.src = again.src
	d.start()
	return nil
}

// opened is what Apply has opened, and shut for it, so far.
type opened struct {
	doors []*door // by Op
	kept  []*door // by Op: open doors that take over the settings of the new one
	shut  []*door // that have made way
}

// takeBack closes the new doors and opens the old ones.
func (o *opened) takeBack() error {
	var err error
	for _, d := range o.doors {
		if d != nil && d.src != nil {
			err = errors.Join(err, d.src.Close())
		}
	}
	for _, d := range slices.Backward(o.shut) {
		err = errors.Join(err, d.reopen())
	}
	return err
}
