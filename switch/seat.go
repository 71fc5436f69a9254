package vswitch

import (
	"errors"
	"fmt"
	"math"
	"os/user"
	"slices"
	"strings"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// A client that claims a port is given a seat: the place of one link at a port.
//
// It may leave the number to the switch and gets the lowest that is free, or
// name one: a port that does not exist yet, one that an admin made for clients
// to ask for (a Vacancy), or one that other clients of the same door have. In
// the last case the port has several endpoints. What leaves by it is sent to
// each of them, and what one of them sends never goes to the others, since all
// of it comes in by the same port.
//
// An endpoint beyond the first is a Port of its own as far as sending, polling
// and losing a link go; its settings, its number and what it receives are those
// of its whole. A port with one endpoint, which is nearly all there are, pays for
// this with the look at a nil pointer for each batch.

// admitClaimant plugs in a client that claims a port, or sends it away and says
// why.
func (d *door) admitClaimant(l link.Claimant) error {
	claim := l.Claim()
	var p *Port
	err := d.sw.change(func(c *change) (err error) {
		p, err = c.seat(d, claim)
		return err
	})
	if err != nil {
		_ = l.Close()
		return err
	}
	if err := d.sw.plugIn(p, l); err != nil {
		d.leave(p, err.Error())
		return err
	}
	d.sw.tending.Add(1)
	go d.tend(p)
	// Only now may the client speak: what it is answered must find its port.
	if err := l.Welcome(p.id); err != nil {
		d.sw.unplug(p, err)
		return err
	}
	return nil
}

// seat finds a place for a client, and makes it taken.
func (c *change) seat(d *door, claim link.Claim) (*Port, error) {
	s, id := c.s, claim.Port
	switch {
	case d.port != nil && (id == link.AnyPort || id == d.port.id):
		id = d.port.id
	case d.port != nil:
		return nil, fmt.Errorf("%w: the client asks for port %d, and here is only port %d", ErrInvalid, id, d.port.id)
	case id == link.AnyPort:
		if id = s.freeSeat(d, claim); id > s.maxPort {
			return nil, fmt.Errorf("%w: all port numbers up to %d are taken", ErrFull, s.maxPort)
		}
	}
	p := s.ports[id]
	if p == nil {
		cfg := d.cfg
		cfg.ID, cfg.Pool = id, true
		if id == 0 {
			cfg.ID = NumberZero
		}
		p, err := c.addPort(cfg, d.spec)
		if err == nil {
			p.from, p.door, p.taken = d, d.spec.String(), true
		}
		return p, err
	}
	if err := s.mayJoin(p, d, claim); err != nil {
		return nil, fmt.Errorf("port %d: %w", id, err)
	}
	if !p.taken {
		p.taken = true
		c.undo = append(c.undo, func() { p.taken = false })
		return p, nil
	}
	return c.addEndpoint(p), nil
}

// freeSeat is the lowest number that a client may have who asks for none.
func (s *Switch) freeSeat(d *door, claim link.Claim) int {
	best := s.nextFree()
	for id, p := range s.ports {
		if id > 0 && id < best && p.cfg.Pool && !p.plugged() && s.mayJoin(p, d, claim) == nil {
			best = id
		}
	}
	return best
}

// mayJoin tells why a client at door d may not have port p.
func (s *Switch) mayJoin(p *Port, d *door, claim link.Claim) error {
	switch {
	case p.from != d && p != d.port && !(p.vacancy && d.leadsTo(p)):
		return fmt.Errorf("%w: it belongs to another door, or is no port of clients", ErrPortExists)
	case !p.cfg.admits(claim):
		return fmt.Errorf("%w: uid %d is not among those it is for", ErrRefused, claim.UID)
	}
	for _, e := range p.endpoints() {
		if e.peer.UID != claim.UID {
			return fmt.Errorf("%w: uid %d uses it, and the client is uid %d", ErrPortExists, e.peer.UID, claim.UID)
		}
	}
	return nil
}

// leadsTo tells whether clients at d may ask for p, which is a Vacancy.
func (d *door) leadsTo(p *Port) bool {
	f, ok := d.src.(link.FrontDoor)
	return ok && f.FrontDoor() && d.port == nil && p.kind == d.spec.Kind
}

// admits tells whether a client may use a port with these settings.
func (c PortConfig) admits(claim link.Claim) bool {
	return c.User == nil && c.Group == nil || claim.UID == 0 ||
		c.User != nil && *c.User == claim.UID ||
		c.Group != nil && slices.Contains(claim.GIDs, *c.Group)
}

// ParseUser finds a user by name or number; "any" is nil, everybody.
func ParseUser(v string) (*int, error) {
	return accountID(v, func() (string, error) {
		u, err := user.Lookup(v)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

// ParseGroup finds a group by name or number; "any" is nil, everybody.
func ParseGroup(v string) (*int, error) {
	return accountID(v, func() (string, error) {
		g, err := user.LookupGroup(v)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

func accountID(v string, lookup func() (string, error)) (*int, error) {
	if v == "any" {
		return nil, nil
	}
	if strings.Trim(v, "0123456789") != "" {
		var err error
		if v, err = lookup(); err != nil {
			return nil, err
		}
	}
	id, err := number(v, 0, math.MaxInt32)
	return &id, err
}

// leave gives p's seat back, after its link has ended or when there never was
// one. A port that a client made goes with the last of its endpoints.
func (d *door) leave(p *Port, why string) {
	_ = d.sw.change(func(c *change) error { // fails only if the switch is closed
		whole := p.whole
		if p != whole {
			whole.more = slices.DeleteFunc(whole.more, func(e *Port) bool { return e == p })
			whole.adopt(p)
		} else {
			p.taken = false
		}
		switch {
		case whole.removed:
		case whole.from != nil && !whole.cfg.Keep && !whole.taken && len(whole.more) == 0:
			c.dropPort(whole, why)
		default:
			c.show(whole)
		}
		return nil
	})
}

// addEndpoint makes room for another link at p.
func (c *change) addEndpoint(p *Port) *Port {
	e := newPort(c.s, p.id, p.kind, p.spec)
	e.whole = p
	p.more = append(p.more, e)
	c.undo = append(c.undo, func() { p.more = slices.DeleteFunc(p.more, func(o *Port) bool { return o == e }) })
	return e
}

// endpoints lists those of p that have a link, oldest first. Called with
// Switch.mu held.
func (p *Port) endpoints() []*Port {
	var list []*Port
	if p.attached {
		list = append(list, p)
	}
	for _, e := range p.more {
		if e.attached {
			list = append(list, e)
		}
	}
	return list
}

// plugged tells whether p has a link. Called with Switch.mu held.
func (p *Port) plugged() bool {
	return p.attached || slices.ContainsFunc(p.more, func(e *Port) bool { return e.attached })
}

// share tells the data path where to send what leaves by p. Called with
// Switch.mu held.
func (p *Port) share() {
	if len(p.more) == 0 {
		p.shared.Store(nil)
		return
	}
	list := p.endpoints()
	p.shared.Store(&list)
}

// adopt keeps what an endpoint has counted when it is gone.
func (p *Port) adopt(e *Port) {
	p.tx.frames.Add(e.tx.frames.Load())
	p.tx.bytes.Add(e.tx.bytes.Load())
	p.cut.Add(e.cut.Load())
	p.segments.Add(e.segments.Load())
	p.completed.Add(e.completed.Load())
	p.merged.Add(e.merged.Load())
	for r := range e.drops {
		p.drops[r].Add(e.drops[r].Load())
	}
}

// transmitAll is transmit for a port that has, or had, several endpoints. No
// sender is held for one that is slow: its ring overflows for itself.
func (p *Port) transmitAll(b *frame.Batch, bytes uint64, list []*Port) {
	for _, e := range list {
		e.transmitOne(b, bytes)
	}
	if len(list) == 0 {
		p.drops[DropLinkLost].Add(uint64(len(b.Refs)))
		p.note(b, b.Refs, DirOut, DropLinkLost)
	}
}

// EndpointInfo is a link at a port.
type EndpointInfo struct {
	ID    int // tells those of one port apart
	Peer  link.Peer
	Since time.Time
	Tx    Count
	Queue int // frames that wait for it now
}

// endpointInfos lists p's endpoints. Called with Switch.mu held.
func (p *Port) endpointInfos() []EndpointInfo {
	var list []EndpointInfo
	for _, e := range p.endpoints() {
		list = append(list, EndpointInfo{
			ID: e.endpoint, Peer: e.peer, Since: e.since,
			Tx:    Count{e.tx.frames.Load(), e.tx.bytes.Load()},
			Queue: int(e.tx.len.Load()),
		})
	}
	return list
}

// CloseEndpoint ends one link of a port. Its client may plug in again.
func (s *Switch) CloseEndpoint(ref string, id int) error {
	s.mu.Lock()
	p, err := s.find(ref)
	var found *Port
	if err == nil {
		for _, e := range p.endpoints() {
			if e.endpoint == id {
				found = e
			}
		}
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		return err
	case found == nil:
		return fmt.Errorf("%w: port %s has no endpoint %d", ErrNoPort, ref, id)
	}
	s.unplug(found, errEndpointClosed)
	return nil
}

var errEndpointClosed = errors.New("closed by an admin")
