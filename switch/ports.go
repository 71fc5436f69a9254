package vswitch

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vnetkit/switch/fdb"
	"vnetkit/switch/link"
)

// Ports lists all ports by number.
func (s *Switch) Ports() []PortInfo {
	s.mu.Lock()
	list := make([]PortInfo, 0, len(s.ports))
	for _, p := range s.ports {
		list = append(list, p.info())
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b PortInfo) int { return cmp.Compare(a.Config.ID, b.Config.ID) })
	return list
}

// Port finds a port by number or name.
func (s *Switch) Port(ref string) (PortInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.find(ref)
	if err != nil {
		return PortInfo{}, err
	}
	return p.info(), nil
}

// find is called with mu held. A port that was given no name answers to
// "port" and its number.
func (s *Switch) find(ref string) (*Port, error) {
	if p := s.names[ref]; p != nil {
		return p, nil
	}
	num := strings.TrimPrefix(ref, "port")
	if id, err := strconv.Atoi(num); err == nil {
		if p := s.ports[id]; p != nil && (num == ref || p.cfg.Name == "") {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNoPort, ref)
}

// addPort makes a port without a link.
func (c *change) addPort(cfg PortConfig, spec link.Spec) (*Port, error) {
	s := c.s
	cfg = cfg.withDefaults()
	id := cfg.ID
	switch id {
	case 0:
		if id = s.nextFree(); id > s.maxPort {
			return nil, fmt.Errorf("%w: all port numbers up to %d are taken", ErrFull, s.maxPort)
		}
		cfg.ID = id
	case NumberZero:
		id = 0
	}
	if id > s.maxPort {
		return nil, fmt.Errorf("%w: port number %d: the highest is %d", ErrInvalid, id, s.maxPort)
	}
	if s.ports[id] != nil {
		return nil, fmt.Errorf("%w: number %d", ErrPortExists, id)
	}
	p := newPort(s, id, spec.Kind, spec.String())
	if err := c.configure(p, cfg); err != nil {
		return nil, err
	}
	s.ports[p.id] = p
	c.undo = append(c.undo, func() {
		delete(s.ports, p.id)
		s.free = min(s.free, p.id)
	})
	s.tapPort(p)
	c.event(EventPortAdded, p, p.spec)
	return p, nil
}

// nextFree is the lowest number that no port has. Called with mu held.
func (s *Switch) nextFree() int {
	for s.ports[s.free] != nil {
		s.free++
	}
	return s.free
}

// configure gives p settings, after a look at whether they go together and with
// the other ports.
func (c *change) configure(p *Port, cfg PortConfig) error {
	s, old := c.s, p.cfg
	if err := errors.Join(cfg.validate(), checkNumberName(cfg.Name, p.id)); err != nil {
		return err
	}
	if cfg.showsItself(p.id) {
		return fmt.Errorf("%w: mirror: the port cannot show itself", ErrInvalid)
	}
	if other := s.names[cfg.Name]; other != nil && other != p {
		return fmt.Errorf("%w: name %q", ErrPortExists, cfg.Name)
	}
	p.cfg = cfg
	s.rename(p, old.Name, cfg.Name)
	c.undo = append(c.undo, func() {
		p.cfg = old
		s.rename(p, cfg.Name, old.Name)
	})
	c.then = append(c.then, func() {
		s.fdb.SetLimit(p.id, cfg.MACLimit)
		p.storm.set(cfg.Storm)
	})
	if cfg.Impair != old.Impair {
		c.then = append(c.then, func() { p.impair(cfg.Impair) })
	}
	c.show(p)
	return nil
}

// rename keeps the index of given names. Called with mu held.
func (s *Switch) rename(p *Port, from, to string) {
	if s.names[from] == p {
		delete(s.names, from)
	}
	if to != "" {
		s.names[to] = p
	}
}

// SetPort changes settings of a port.
func (s *Switch) SetPort(ref string, ch PortChange) (info PortInfo, err error) {
	err = s.change(func(c *change) error {
		p, err := c.setPort(ref, ch)
		if err == nil {
			info = p.info()
		}
		return err
	})
	return info, err
}

func (c *change) setPort(ref string, ch PortChange) (*Port, error) {
	p, err := c.s.find(ref)
	if err != nil {
		return nil, err
	}
	old, was, cfg := p.cfg, p.name(), p.cfg.apply(ch)
	if err := c.configure(p, cfg); err != nil {
		return nil, err
	}
	c.followName(p, was)
	if old.Down != cfg.Down {
		c.then = append(c.then, func() { p.since = time.Now() })
	}
	if old.Down != cfg.Down || old.PVID != cfg.PVID || old.Native != cfg.Native || *old.Tagged != *cfg.Tagged ||
		old.Transparent != cfg.Transparent || old.Sources != cfg.Sources || (len(old.Mirror) > 0) != (len(cfg.Mirror) > 0) {
		// Learned by rules that hold no longer.
		c.forget(p, false)
	}
	c.unshut(p, ch)
	c.event(EventPortChanged, p, describe(cfg))
	return p, nil
}

// describe says in spec's words what a port is set to.
func describe(c PortConfig) string {
	text := fmt.Sprintf("vlan=%d,tagged=%s,mtu=%d", c.PVID, c.Tagged, c.MTU)
	for _, o := range []struct {
		on   bool
		text string
	}{
		{c.Native != NativeUntagged, ",native=" + c.Native.String()},
		{c.Transparent, ",transparent=on"},
		{c.Isolated, ",isolated=on"},
		{c.Down, ",down=on"},
		{c.Unsaved, ",save=off"},
		{c.MACLimit > 0, ",maclimit=" + strconv.Itoa(c.MACLimit)},
		{!c.Impair.Good(), ",impair=" + c.Impair.String()},
	} {
		if o.on {
			text += o.text
		}
	}
	if c.User != nil {
		text += ",allowuser=" + strconv.Itoa(*c.User)
	}
	if c.Group != nil {
		text += ",allowgroup=" + strconv.Itoa(*c.Group)
	}
	for i, m := range c.Mirror {
		text += map[bool]string{true: ",mirror=", false: "+"}[i == 0] + m.String()
	}
	return text + c.Sources.describe() + c.STP.describe() + c.Storm.describe()
}

// plugIn gives p a link, which belongs to the switch from then on, whatever
// comes back.
func (s *Switch) plugIn(p *Port, l link.Link) error {
	peer := link.Peer{UID: -1}
	if pl, ok := l.(link.Peered); ok {
		peer = pl.Peer()
	}
	err := s.change(func(c *change) error {
		if p.whole.removed {
			return errRemoved
		}
		w := slices.MinFunc(s.workers, func(a, b *worker) int { return cmp.Compare(a.ports.Load(), b.ports.Load()) })
		w.ports.Add(1)
		p.worker, p.token = w, w.newToken()
		p.plugLines(w)
		p.abandon()
		p.limitQueue(l)
		p.setLink(l)
		p.attached, p.peer, p.reason, p.since, p.endpoint = true, peer, "", time.Now(), l.FD()
		p.whole.reason = ""
		c.show(p.whole)
		// Only when the port is before the data path: who hears from it may
		// answer at once.
		c.then = append(c.then, func() { s.attachLink(p, l) })
		c.event(EventLinkUp, p, peerText(peer))
		s.log.Info("link up", "port", p.id, "name", p.name(), "peer", peerText(peer))
		return nil
	})
	if err != nil {
		_ = l.Close()
	}
	return err
}

// limitQueue bounds what waits for p's next link.
func (p *Port) limitQueue(l link.Link) {
	limits := defaultRing
	if q, ok := l.(link.Bounded); ok {
		limits.Frames = q.QueueLimit()
	}
	p.tx.qmu.Lock()
	p.tx.ring.Limits = limits
	p.tx.qmu.Unlock()
}

func peerText(p link.Peer) string {
	text := p.Addr
	if p.PID != 0 {
		text = fmt.Sprintf("pid %d uid %d", p.PID, p.UID)
	}
	if p.Description != "" {
		text += " " + strconv.Quote(p.Description)
	}
	return text
}

// unplugged notes that p's link is gone, and why.
func (s *Switch) unplugged(p *Port, reason string) {
	_ = s.change(func(c *change) error { // fails only if the switch is closed
		p.attached, p.peer, p.reason, p.since = false, link.Peer{UID: -1}, reason, time.Now()
		if w := p.whole; !w.removed {
			w.reason = ""
			if !w.plugged() {
				w.reason = reason
			}
			c.show(w)
		}
		c.event(EventLinkDown, p, reason)
		s.log.Info("link down", "port", p.id, "name", p.name(), "reason", reason)
		return nil
	})
}

// unplugAll takes all links of a port away.
func (s *Switch) unplugAll(p *Port, err error) {
	s.mu.Lock()
	more := slices.Clone(p.more)
	s.mu.Unlock()
	for _, e := range append(more, p) {
		s.unplug(e, err)
	}
}

// unplug takes p's link away, if it has one.
func (s *Switch) unplug(p *Port, err error) {
	p.tx.mu.Lock()
	defer p.tx.mu.Unlock()
	if p.tx.link != nil {
		p.endLink(err)
	}
}

// dropPort takes a port out of the switch. Its number may be used again at once.
func (c *change) dropPort(p *Port, why string) {
	s := c.s
	if p.removed {
		return
	}
	p.removed = true
	delete(s.ports, p.id)
	s.rename(p, p.cfg.Name, "")
	c.undo = append(c.undo, func() {
		p.removed = false
		s.ports[p.id] = p
		s.rename(p, "", p.cfg.Name)
	})
	c.show(p)
	c.then = append(c.then, func() {
		s.free = min(s.free, p.id)
		s.fdb.SetLimit(p.id, 0)
	})
	c.forget(p, true)
	c.event(EventPortRemoved, p, why)
}

// FDB lists the addresses that the filter selects, by VLAN, then address.
func (s *Switch) FDB(f FDBFilter) ([]FDBEntry, error) {
	s.mu.Lock()
	match, err := s.matcher(f)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var list []FDBEntry
	for _, e := range s.fdb.Entries(s.seconds()) {
		if match(e) {
			list = append(list, FDBEntry(e))
		}
	}
	return list, nil
}

// matcher turns a filter into a function. Called with mu held.
func (s *Switch) matcher(f FDBFilter) (func(fdb.Entry) bool, error) {
	id := -1
	if f.Port != "" {
		p, err := s.find(f.Port)
		if err != nil {
			return nil, err
		}
		id = p.id
	}
	return func(e fdb.Entry) bool {
		return (id < 0 || e.Port == id) && (f.VID == 0 || e.VID == f.VID) && (f.MAC == nil || e.MAC == *f.MAC)
	}, nil
}
