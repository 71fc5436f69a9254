package vswitch

import (
	"fmt"
	"slices"
	"time"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// spanning runs the spanning trees of a switch: one in mode rstp, one for each
// VLAN in mode fstp. Package stp decides; this says to it what happens to ports,
// brings BPDUs both ways and puts what was decided before the data path.
//
// All of it but the inbox is guarded by Switch.mu. Ports' links and settings
// reach the trees at the end of every change (follow), so that a port is closed
// in the same topology in which it first appears. What the trees decide meanwhile
// is gathered, and put into force together with that change.
type spanning struct {
	s     *Switch
	cfg   STPConfig
	trees map[frame.VID]*tree // by VLAN; in mode rstp the one of VLAN 0
	stop  chan struct{}       // ends the goroutine; nil: there is none
	inbox inbox

	heard frame.VIDSet // VLANs of which a BPDU came in, in mode fstp
	over  map[treePort]override

	// Gathered during a change.
	moved map[int]bool // ports whose state is another in some tree
	flush []treePort   // forget what was learned there
	again []treePort   // and once more at the next tick

	outbox letters
}

// tree is one instance of the protocol. It is the stp.Host of its bridge.
type tree struct {
	sp      *spanning
	vid     frame.VID // 0: all VLANs
	br      *stp.Bridge
	id      stp.ID     // as the bridge was told
	cfg     stp.Config // likewise
	members map[int]member
	root    stp.ID // when an event told of it last
	changes uint64
}

// member is what a tree was told of a port last.
type member struct {
	cfg stp.PortConfig
	up  bool
}

// treePort is a port in a VLAN, or in all of them if that is 0.
type treePort struct {
	vid  frame.VID
	port int
}

// override is what is set for one port in one VLAN only, as VDE's console can.
type override struct {
	edge  *bool
	bonus uint32
}

// maxTrees bounds the trees of mode fstp. VLANs beyond it follow the tree of the
// port's own VLAN.
const maxTrees = 128

func newSpanning(s *Switch, cfg STPConfig) *spanning {
	return &spanning{
		s: s, cfg: cfg, trees: map[frame.VID]*tree{}, over: map[treePort]override{}, moved: map[int]bool{},
		inbox: inbox{news: make(chan struct{}, 1)},
	}
}

// Send, SetState and Flush make tree a stp.Host.
func (t *tree) Send(port int, b *stp.BPDU) {
	p := t.sp.s.ports[port]
	if p == nil || !p.plugged() {
		return
	}
	tag := t.vid
	if tag == p.cfg.Bare() {
		tag = 0
	}
	t.sp.outbox.put(p, stp.AppendFrame(nil, t.sp.cfg.MAC, tag, b))
}

// SetState notes that a port opens or closes, or has another role.
func (t *tree) SetState(port int, _ stp.State) { t.sp.moved[port] = true }

// Flush notes that a port's addresses are to be forgotten.
func (t *tree) Flush(port int) { t.sp.flush = append(t.sp.flush, treePort{t.vid, port}) }

// follow makes the trees fit the ports and their settings, and what the trees
// decided part of the change.
func (sp *spanning) follow(c *change) {
	sp.startStop()
	if sp.cfg.Mode == STPOff && len(sp.trees) == 0 {
		return
	}
	want := sp.wanted()
	for vid, t := range sp.trees {
		if !slices.Contains(want, vid) {
			delete(sp.trees, vid)
			for port := range t.members {
				sp.moved[port] = true
			}
		}
	}
	for _, vid := range want {
		t := sp.trees[vid]
		if t == nil {
			t = &tree{sp: sp, vid: vid, members: map[int]member{}, id: sp.id(), cfg: sp.cfg.Config, root: sp.id()}
			t.br = stp.New(t, t.id, t.cfg)
			sp.trees[vid] = t
		}
		t.follow()
	}
	for x := range sp.over {
		if sp.s.ports[x.port] == nil {
			delete(sp.over, x)
		}
	}
	sp.settle(c)
}

// startStop has the goroutine run while there are trees.
func (sp *spanning) startStop() {
	on := sp.cfg.Mode != STPOff
	switch {
	case on && sp.stop == nil:
		sp.stop = make(chan struct{})
		sp.s.tending.Add(1)
		go sp.run(sp.stop)
	case !on && sp.stop != nil:
		close(sp.stop)
		sp.stop = nil
		sp.heard = frame.VIDSet{}
		for id, p := range sp.s.ports {
			if p.shut != "" {
				p.shut = ""
				sp.moved[id] = true
			}
		}
	}
}

func (sp *spanning) id() stp.ID { return stp.MakeID(*sp.cfg.Priority, sp.cfg.MAC) }

// wanted lists the VLANs that have trees of their own.
func (sp *spanning) wanted() []frame.VID {
	switch sp.cfg.Mode {
	case STPRapid:
		return []frame.VID{0}
	case STPOff:
		return nil
	}
	var first, then frame.VIDSet
	all := frame.AllVIDs()
	for _, p := range sp.s.ports {
		first.Add(p.cfg.mainVLAN())
		if *p.cfg.Tagged != all && !p.cfg.Transparent {
			for i := range then {
				then[i] |= p.cfg.Tagged[i]
			}
		}
	}
	var list []frame.VID
	for _, set := range []frame.VIDSet{first, then, sp.heard} {
		for vid := frame.MinVID; vid <= frame.MaxVID && len(list) < maxTrees; vid++ {
			if set.Has(vid) && !slices.Contains(list, vid) {
				list = append(list, vid)
			}
		}
	}
	return list
}

// follow tells a tree what has changed about its ports.
func (t *tree) follow() {
	if id, cfg := t.sp.id(), t.sp.cfg.Config; id != t.id || cfg != t.cfg {
		t.id, t.cfg = id, cfg
		t.br.Configure(id, cfg)
	}
	for id := range t.members {
		if p := t.sp.s.ports[id]; p == nil || !t.has(p) {
			t.br.RemovePort(id)
			delete(t.members, id)
			t.sp.moved[id] = true
		}
	}
	for id, p := range t.sp.s.ports {
		if !t.has(p) {
			continue
		}
		old, known := t.members[id]
		m := member{t.config(p), p.plugged() && !p.cfg.Down && p.shut == ""}
		if m == old && known {
			continue
		}
		if !known || m.cfg != old.cfg {
			t.br.AddPort(id, m.cfg)
		}
		if m.up != old.up && m.up {
			t.br.Enable(id)
		} else if m.up != old.up {
			t.br.Disable(id)
		}
		t.members[id] = m
	}
}

// has tells whether p takes part in the tree.
func (t *tree) has(p *Port) bool {
	if len(p.cfg.Mirror) > 0 {
		return false
	}
	return t.vid == 0 || p.cfg.Member(t.vid)
}

func (t *tree) config(p *Port) stp.PortConfig {
	cfg := stp.PortConfig{
		Priority: uint8(p.cfg.STP.Priority), Cost: uint32(p.cfg.STP.Cost),
		Edge: p.cfg.STP.Edge, RootGuard: p.cfg.STP.RootGuard,
		Shared: p.kind == "mcast",
	}
	o := t.sp.over[treePort{t.vid, p.id}]
	cfg.Bonus = o.bonus
	if o.edge != nil {
		cfg.Edge = stp.EdgeOff
		if *o.edge {
			cfg.Edge = stp.EdgeOn
		}
	}
	return cfg
}

// settle makes what the trees decided part of a change.
func (sp *spanning) settle(c *change) {
	for id := range sp.moved {
		delete(sp.moved, id)
		if p := sp.s.ports[id]; p != nil {
			c.show(p)
			c.then = append(c.then, func() { sp.tellState(p) })
		}
	}
	c.then = append(c.then, sp.tellTrees)
	if flush := sp.flush; len(flush) > 0 {
		sp.flush = nil
		// A worker may learn behind a closed port for the rest of its batch.
		sp.again = append(sp.again, flush...)
		c.then = append(c.then, func() { sp.forget(flush) })
	}
	c.later = append(c.later, sp.outbox.send)
}

// forget removes what was learned behind ports.
func (sp *spanning) forget(list []treePort) {
	set := map[treePort]bool{}
	for _, x := range list {
		set[x] = true
	}
	sp.s.fdb.Flush(func(e fdb.Entry) bool {
		return !e.Static && (set[treePort{0, e.Port}] || set[treePort{e.VID, e.Port}])
	})
}

// run is the clock and the mail of the trees, until stop is closed or the switch
// is.
func (sp *spanning) run(stop chan struct{}) {
	s := sp.s
	defer s.tending.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-tick.C:
			err = s.change(func(*change) error { sp.tick(); return nil })
		case <-sp.inbox.news:
			list := sp.inbox.take()
			err = s.change(func(c *change) error { sp.read(c, list); return nil })
		case <-stop:
			return
		case <-s.done:
			return
		}
		if err != nil {
			return // closed
		}
	}
}

// tick is one second.
func (sp *spanning) tick() {
	again := sp.again
	sp.again = nil
	if len(again) > 0 {
		sp.forget(again)
	}
	for _, t := range sp.trees {
		t.br.Tick()
	}
}

// read gives BPDUs that came in to the trees they are for.
func (sp *spanning) read(c *change, list []heard) {
	for _, h := range list {
		p := sp.s.ports[h.port.id]
		if p != h.port || !p.plugged() || sp.cfg.Mode == STPOff || p.shut != "" {
			continue
		}
		b, err := stp.Parse(h.bytes[:h.len])
		if err != nil {
			p.badBPDUs++
			sp.s.log.Debug("bad BPDU", "port", p.id, "error", err)
			continue
		}
		if p.cfg.STP.BPDUGuard {
			sp.shut(c, p, b)
			continue
		}
		vid := h.vid
		if sp.cfg.Mode == STPRapid {
			if h.tagged {
				continue // of one VLAN's tree; ours is for all
			}
			vid = 0
		} else if vid == 0 {
			continue // without a tag where there is no native VLAN: of no VLAN's tree
		}
		if sp.trees[vid] == nil {
			sp.heard.Add(vid)
			continue // the next one finds a tree
		}
		sp.trees[vid].br.Input(p.id, b)
	}
}

// shut is the BPDU guard at work.
func (sp *spanning) shut(c *change, p *Port, b stp.BPDU) {
	p.shut = fmt.Sprintf("BPDU guard: bridge %v is behind this port", b.Vector.Bridge)
	if b.Type == stp.TypeTCN {
		p.shut = "BPDU guard: a bridge is behind this port"
	}
	p.since = time.Now()
	c.show(p)
	c.forget(p, false)
	c.event(EventSTPGuard, p, p.shut)
	sp.s.log.Warn("port shut", "port", p.id, "name", p.name(), "reason", p.shut)
}
