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
	"vnetkit/switch/frame"
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
func (s *Switch) addPort(cfg PortConfig, spec link.Spec) (*Port, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if cfg.ID == 0 {
		for s.ports[s.free] != nil {
			s.free++
		}
		cfg.ID = s.free
	}
	switch {
	case cfg.ID > MaxPorts:
		return nil, fmt.Errorf("%w: all %d port numbers are taken", ErrFull, MaxPorts)
	case s.ports[cfg.ID] != nil:
		return nil, fmt.Errorf("%w: number %d", ErrPortExists, cfg.ID)
	case s.names[cfg.Name] != nil:
		return nil, fmt.Errorf("%w: name %q", ErrPortExists, cfg.Name)
	}
	if err := checkNumberName(cfg.Name, cfg.ID); err != nil {
		return nil, err
	}
	p := &Port{
		sw: s, id: cfg.ID, kind: spec.Kind, spec: spec.String(), cfg: cfg,
		peer: link.Peer{UID: -1}, since: time.Now(), lost: make(chan error, 1),
	}
	p.tx.ring.Limits = defaultRing
	s.ports[p.id] = p
	if cfg.Name != "" {
		s.names[cfg.Name] = p
	}
	s.fdb.SetLimit(p.id, cfg.MACLimit)
	s.show(p)
	s.events.add(EventPortAdded, p, p.spec)
	return p, nil
}

// show brings a port's present settings before the data path. Called with mu
// held.
func (s *Switch) show(p *Port) {
	next := s.top.Load().with(p.id, p.view())
	s.aimMirrors(next)
	s.top.Store(next)
}

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

// SetPort changes settings of a port.
func (s *Switch) SetPort(ref string, ch PortChange) (PortInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.find(ref)
	if err != nil {
		return PortInfo{}, err
	}
	old := p.cfg
	cfg := old.apply(ch)
	if err := errors.Join(cfg.validate(), checkNumberName(cfg.Name, p.id)); err != nil {
		return PortInfo{}, err
	}
	if other := s.names[cfg.Name]; other != nil && other != p {
		return PortInfo{}, fmt.Errorf("%w: name %q", ErrPortExists, cfg.Name)
	}
	delete(s.names, old.Name)
	if cfg.Name != "" {
		s.names[cfg.Name] = p
	}
	p.cfg = cfg
	if old.Down != cfg.Down {
		p.since = time.Now()
	}
	s.fdb.SetLimit(p.id, cfg.MACLimit)
	s.show(p)
	if old.Down != cfg.Down || old.PVID != cfg.PVID || *old.Tagged != *cfg.Tagged ||
		old.Transparent != cfg.Transparent || (len(old.Mirror) > 0) != (len(cfg.Mirror) > 0) {
		s.fdb.FlushPort(p.id, false) // learned by rules that hold no longer
	}
	s.events.add(EventPortChanged, p, describe(cfg))
	return p.info(), nil
}

// describe says in spec's words what a port is set to.
func describe(c PortConfig) string {
	text := fmt.Sprintf("vlan=%d,tagged=%s,mtu=%d", c.PVID, c.Tagged, c.MTU)
	for _, o := range []struct {
		on   bool
		text string
	}{
		{c.Transparent, ",transparent=on"},
		{c.Isolated, ",isolated=on"},
		{c.Down, ",down=on"},
		{c.MACLimit > 0, ",maclimit=" + strconv.Itoa(c.MACLimit)},
	} {
		if o.on {
			text += o.text
		}
	}
	for i, m := range c.Mirror {
		text += map[bool]string{true: ",mirror=", false: "+"}[i == 0] + m.String()
	}
	return text
}

// plugIn gives p a link, which belongs to the switch from then on, whatever
// comes back.
func (s *Switch) plugIn(p *Port, l link.Link) error {
	peer := link.Peer{UID: -1}
	if pl, ok := l.(link.Peered); ok {
		peer = pl.Peer()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || p.removed {
		_ = l.Close()
		return ErrClosed
	}
	w := slices.MinFunc(s.workers, func(a, b *worker) int { return cmp.Compare(a.ports.Load(), b.ports.Load()) })
	w.ports.Add(1)
	p.worker = w
	w.mu.Lock()
	w.token++
	p.token = w.token
	w.mu.Unlock()
	p.abandon()
	p.tx.mu.Lock()
	p.tx.link = l
	p.tx.mu.Unlock()
	p.attached, p.peer, p.reason, p.since = true, peer, "", time.Now()
	s.show(p)
	w.do(func() { w.attach(p, l) })
	s.events.add(EventLinkUp, p, peerText(peer))
	s.log.Info("link up", "port", p.id, "name", p.name(), "peer", peerText(peer))
	return nil
}

func peerText(p link.Peer) string {
	if p.PID != 0 {
		return fmt.Sprintf("pid %d uid %d", p.PID, p.UID)
	}
	return p.Addr
}

// unplugged notes that p's link is gone, and why.
func (s *Switch) unplugged(p *Port, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.attached, p.peer, p.reason, p.since = false, link.Peer{UID: -1}, reasonText(err), time.Now()
	if !p.removed {
		s.show(p)
	}
	s.events.add(EventLinkDown, p, p.reason)
	s.log.Info("link down", "port", p.id, "name", p.name(), "reason", p.reason)
}

// unplug takes p's link away, if it has one.
func (s *Switch) unplug(p *Port, err error) {
	p.tx.mu.Lock()
	l := p.tx.link
	p.tx.mu.Unlock()
	if l != nil {
		w := p.worker
		w.do(func() { w.detach(p, l, err) })
	}
}

// dropPort takes a port without a link out of the switch. Its number may be
// used again at once.
func (s *Switch) dropPort(p *Port, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[p.id] != p {
		return
	}
	p.removed = true
	delete(s.ports, p.id)
	delete(s.names, p.cfg.Name)
	s.free = min(s.free, p.id)
	next := s.top.Load().with(p.id, nil)
	s.aimMirrors(next)
	s.top.Store(next)
	s.fdb.SetLimit(p.id, 0)
	s.fdb.FlushPort(p.id, true)
	s.events.add(EventPortRemoved, p, why)
}

// FDB lists the addresses that the filter selects, by VLAN, then address.
func (s *Switch) FDB(f FDBFilter) ([]FDBEntry, error) {
	match, err := s.matcher(f)
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

// AddFDB adds a static address: it neither ages nor moves.
func (s *Switch) AddFDB(vid frame.VID, mac frame.MAC, ref string) error {
	if !vid.Valid() || mac.IsGroup() || mac == (frame.MAC{}) {
		return fmt.Errorf("%w: static address %v in VLAN %d: want a station's address and a VLAN from 1 to 4094", ErrInvalid, mac, vid)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.find(ref)
	if err != nil {
		return err
	}
	if !s.fdb.AddStatic(fdb.MakeKey(vid, mac.Uint64()), p.id) {
		return fmt.Errorf("%w: static addresses fill all eight places that %v can have", ErrFull, mac)
	}
	s.events.add(EventFDBChanged, p, fmt.Sprintf("static %v vlan %d", mac, vid))
	return nil
}

// FlushFDB forgets the addresses that the filter selects, and returns how many.
func (s *Switch) FlushFDB(f FDBFilter) (int, error) {
	match, err := s.matcher(f)
	if err != nil {
		return 0, err
	}
	n := s.fdb.Flush(func(e fdb.Entry) bool { return (f.Static || !e.Static) && match(e) })
	s.events.add(EventFDBChanged, nil, fmt.Sprintf("flushed %d addresses", n))
	return n, nil
}

// matcher turns a filter into a function.
func (s *Switch) matcher(f FDBFilter) (func(fdb.Entry) bool, error) {
	id := 0
	if f.Port != "" {
		s.mu.Lock()
		p, err := s.find(f.Port)
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		id = p.id
	}
	return func(e fdb.Entry) bool {
		return (id == 0 || e.Port == id) && (f.VID == 0 || e.VID == f.VID) && (f.MAC == nil || e.MAC == *f.MAC)
	}, nil
}
