package vswitch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// change is one change of the switch, of one part or of many, in the making.
// Nothing of it is before the data path until it is complete, and if some part
// of it fails the switch is as it was.
type change struct {
	s     *Switch
	next  *topology // what the data path is to see; nil: what it sees now
	undo  []func()  // takes back what was done to the control side, latest last
	then  []func()  // what follows from success, with mu held: events, forgetting
	later []func()  // and what may take time, without mu

	statics  []fdb.Key // that then adds
	doors    []*door   // that are new, but for those it takes out again
	treeless bool      // there is no spanning tree any more
}

// change has f make a change, and puts it into force or takes it back.
func (s *Switch) change(f func(*change) error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	c := &change{s: s}
	err := f(c)
	if err == nil {
		err = c.noRings()
	}
	if err != nil {
		for _, undo := range slices.Backward(c.undo) {
			undo()
		}
		s.mu.Unlock()
		return err
	}
	s.span.follow(c)
	if c.next != nil {
		s.aimMirrors(c.next)
		s.top.Store(c.next)
	}
	for _, do := range c.then {
		do()
	}
	s.mu.Unlock()
	for _, do := range c.later {
		do()
	}
	return nil
}

// topology is the next one, which nobody sees yet and which may be changed.
func (c *change) topology() *topology {
	if c.next == nil {
		old := c.s.top.Load()
		c.next = &topology{views: slices.Clone(old.views), hub: old.hub}
	}
	return c.next
}

// show brings a port's present settings before the data path, or its absence.
func (c *change) show(p *Port) {
	t := c.topology()
	for len(t.views) <= p.id {
		t.views = append(t.views, nil)
	}
	t.views[p.id] = nil
	if !p.removed {
		t.views[p.id] = p.view()
	}
	c.then = append(c.then, p.share)
}

func (c *change) event(typ EventType, p *Port, text string) {
	c.then = append(c.then, func() { c.s.events.add(typ, p, text) })
}

// Op is one part of what Apply carries out. Exactly one field is set.
type Op struct {
	Add      *string // a Spec
	Remove   *string // a port or a door
	SetPort  *SetPortOp
	Set      *Change
	AddFDB   *FDBOp
	FlushFDB *FDBFilter

	nothing bool // removed what stays
}

// SetPortOp is what SetPort takes.
type SetPortOp struct {
	Port   string
	Change PortChange
}

// FDBOp is what AddFDB takes.
type FDBOp struct {
	VID  frame.VID
	MAC  frame.MAC
	Port string
}

// Result is what has come of an Op: Added of an Add, Port of a SetPort, Flushed
// of a FlushFDB.
type Result struct {
	Added   *Added
	Port    *PortInfo
	Flushed int
}

// OpError says which Op of Apply failed.
type OpError struct {
	Index int
	Err   error
}

func (e *OpError) Error() string { return fmt.Sprintf("operation %d: %v", e.Index, e.Err) }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// Apply carries out several changes as one, in order: all or none, and the data
// path goes from the old state to the new one in one step. The error is an
// *OpError, or ErrLoop.
//
// What is added is opened before anything is removed, except where both are
// doors at the same address. If nothing changes but the settings of the door's
// future ports, it stays open and takes them over; else it makes way.
func (s *Switch) Apply(ctx context.Context, ops []Op) ([]Result, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	ops = slices.Clone(ops)
	o := opened{doors: make([]*door, len(ops)), kept: make([]*door, len(ops))}
	fail := func(err error) ([]Result, error) { return nil, errors.Join(err, o.takeBack()) }
	for i, op := range ops {
		if op.Add == nil {
			continue
		}
		d, _, _, err := s.readSpec(*op.Add)
		if err == nil {
			if o.kept[i] = s.takeOver(ops[:i], d); o.kept[i] == nil {
				if old := s.makeWay(ops[:i], d); old != nil {
					o.shut = append(o.shut, old)
				}
				d, err = s.openSpec(ctx, *op.Add)
			}
		}
		if err != nil {
			return fail(&OpError{i, err})
		}
		o.doors[i] = d
	}
	results := make([]Result, len(ops))
	err := s.change(func(c *change) error {
		for i, op := range ops {
			var err error
			if o.kept[i] != nil {
				results[i].Added = c.resetDoor(o.kept[i], o.doors[i])
			} else {
				err = c.apply(op, o.doors[i], &results[i])
			}
			if err != nil {
				return &OpError{i, err}
			}
		}
		return nil
	})
	if err != nil {
		return fail(err)
	}
	return results, nil
}

// takeOver finds the door that one of ops removes and that d would open again,
// and makes that removal do nothing.
func (s *Switch) takeOver(ops []Op, d *door) *door {
	if d.cfg.ID != 0 || d.cfg.Name != "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, op := range ops {
		for _, old := range s.doors {
			if op.Remove != nil && old.listening() && *op.Remove == old.spec.String() && old.own == d.own {
				ops[i] = Op{nothing: true}
				return old
			}
		}
	}
	return nil
}

// resetDoor gives an open door the settings of d.
func (c *change) resetDoor(old, d *door) *Added {
	spec, cfg := old.spec, old.cfg
	c.undo = append(c.undo, func() { old.spec, old.cfg = spec, cfg })
	c.event(EventDoorClosed, nil, spec.String())
	old.spec, old.cfg = d.spec, d.cfg
	c.event(EventDoorOpened, nil, d.spec.String())
	info := old.info()
	return &Added{Door: &info}
}

// apply makes one Op part of the change.
func (c *change) apply(op Op, d *door, res *Result) (err error) {
	switch {
	case op.nothing:
	case op.Add != nil:
		res.Added, err = c.addDoor(d)
	case op.Remove != nil:
		err = c.remove(*op.Remove)
	case op.SetPort != nil:
		var p *Port
		if p, err = c.setPort(op.SetPort.Port, op.SetPort.Change); err == nil {
			info := p.info()
			res.Port = &info
		}
	case op.Set != nil:
		err = c.set(*op.Set)
	case op.AddFDB != nil:
		err = c.addFDB(*op.AddFDB)
	case op.FlushFDB != nil:
		err = c.flushFDB(*op.FlushFDB, &res.Flushed)
	default:
		err = fmt.Errorf("%w: empty operation", ErrInvalid)
	}
	return err
}

// set changes settings of the switch.
func (c *change) set(ch Change) error {
	s := c.s
	if ch.Ageing != nil {
		if err := CheckAgeing(*ch.Ageing); err != nil {
			return err
		}
		old := s.ageing
		c.undo = append(c.undo, func() { s.ageing = old })
		s.ageing = *ch.Ageing
		c.then = append(c.then, func() { s.fdb.SetAgeing(*ch.Ageing) })
	}
	if ch.Hub != nil && c.topology().hub != *ch.Hub {
		c.topology().hub = *ch.Hub
		if *ch.Hub {
			c.then = append(c.then, func() { s.fdb.Flush(func(e fdb.Entry) bool { return !e.Static }) })
		}
	}
	if ch.STP != nil {
		c.setSTP(*ch.STP)
		c.treeless = c.s.span.cfg.Mode == STPOff
	}
	if err := s.span.cfg.validate(c.topology().hub); err != nil {
		return err
	}
	if ch.MaxPort != nil {
		if err := c.setMaxPort(*ch.MaxPort); err != nil {
			return err
		}
	}
	if ch.Default != nil {
		if err := ch.Default.validateDefault(); err != nil {
			return err
		}
		old := s.defaults
		c.undo = append(c.undo, func() { s.defaults = old })
		s.defaults = *ch.Default
	}
	c.event(EventSwitchChanged, nil, fmt.Sprintf("ageing %v, hub %t, spanning tree %v", s.ageing, c.topology().hub, s.span.cfg))
	return nil
}

// setMaxPort sets the highest port number.
func (c *change) setMaxPort(n int) error {
	s, old := c.s, c.s.maxPort
	if err := checkMaxPort(n); err != nil {
		return err
	}
	for id := range s.ports {
		if id > n {
			return fmt.Errorf("%w: port %d, which is above %d", ErrPortExists, id, n)
		}
	}
	c.undo = append(c.undo, func() { s.maxPort = old })
	s.maxPort = n
	return nil
}

// addFDB adds a static address.
func (c *change) addFDB(op FDBOp) error {
	s := c.s
	if !op.VID.Valid() || op.MAC.IsGroup() || op.MAC == (frame.MAC{}) {
		return fmt.Errorf("%w: static address %v in VLAN %d: want a station's address and a VLAN from 1 to 4094", ErrInvalid, op.MAC, op.VID)
	}
	p, err := s.find(op.Port)
	if err != nil {
		return err
	}
	key := fdb.MakeKey(op.VID, op.MAC.Uint64())
	if !s.fdb.CanAddStatic(key, c.statics...) {
		return fmt.Errorf("%w: static addresses fill all eight places that %v can have", ErrFull, op.MAC)
	}
	c.statics = append(c.statics, key)
	c.then = append(c.then, func() { s.fdb.AddStatic(key, p.id) })
	c.event(EventFDBChanged, p, fmt.Sprintf("static %v vlan %d", op.MAC, op.VID))
	return nil
}

// flushFDB forgets addresses; n tells how many when the change is done.
func (c *change) flushFDB(f FDBFilter, n *int) error {
	match, err := c.s.matcher(f)
	if err != nil {
		return err
	}
	c.then = append(c.then, func() {
		*n = c.s.fdb.Flush(func(e fdb.Entry) bool { return (f.Static || !e.Static) && match(e) })
		c.s.events.add(EventFDBChanged, nil, fmt.Sprintf("flushed %d addresses", *n))
	})
	return nil
}

// Set changes settings of the switch.
func (s *Switch) Set(ch Change) error {
	return s.change(func(c *change) error { return c.set(ch) })
}

// AddFDB adds a static address: it neither ages nor moves.
func (s *Switch) AddFDB(vid frame.VID, mac frame.MAC, ref string) error {
	return s.change(func(c *change) error { return c.addFDB(FDBOp{vid, mac, ref}) })
}

// FlushFDB forgets the addresses that the filter selects, and returns how many.
func (s *Switch) FlushFDB(f FDBFilter) (n int, err error) {
	err = s.change(func(c *change) error { return c.flushFDB(f, &n) })
	return n, err
}
