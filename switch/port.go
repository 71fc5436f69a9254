package vswitch

import (
	"strconv"
	"sync/atomic"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Port is a place in the switch where a link can be plugged in: its settings
// and its counters, which outlive the link.
type Port struct {
	// Static.
	sw   *Switch
	id   int
	kind string
	spec string
	door string     // name of the door that made it; "": it was added
	from *door      // the same; nil: it was added
	lost chan error // receives why a link ended; one at a time
	// whole is the port that this is an endpoint of: itself, unless it is one
	// beyond the first.
	whole   *Port
	vacancy bool // clients of doors of its kind may ask for it

	// Guarded by Switch.mu.
	cfg      PortConfig
	attached bool
	peer     link.Peer
	linkMTU  int    // what the link's far end can take; 0: anything
	reason   string // why there is no link
	shut     string // why the BPDU guard shut it; "": it did not
	badBPDUs uint64
	told     map[frame.VID]string // what events said of its place in the trees
	since    time.Time
	removed  bool
	taken    bool    // a client has its seat; only of ports with claims
	more     []*Port // endpoints beyond the first
	endpoint int     // number of the present link

	// Set before a link is attached, static while it is.
	worker *worker
	token  uint64
	queues []*plug // further places where the link is read

	// Changed by the workers that read the link, read by anyone.
	rxFrames, rxBytes atomic.Uint64
	storm             stormGuard

	// What was done for the link, see OffloadCount.
	cut, segments, completed, merged atomic.Uint64

	shared atomic.Pointer[[]*Port] // endpoints that have a link; nil: p is the only one

	taps  atomic.Pointer[[]*Capture] // who captures frames here; nil: nobody
	drops [numDropReasons]atomic.Uint64
	tx    egress
	lines lines
}

// newPort makes a port that nobody sees yet.
func newPort(s *Switch, id int, kind, spec string) *Port {
	p := &Port{
		sw: s, id: id, kind: kind, spec: spec,
		peer: link.Peer{UID: -1}, since: time.Now(), lost: make(chan error, 1),
	}
	p.whole = p
	p.tx.ring.Limits = defaultRing
	return p
}

// countIn adds one batch to the port's counters.
func (p *Port) countIn(frames, bytes uint64, drops *[numDropReasons]uint64) {
	p.rxFrames.Add(frames)
	p.rxBytes.Add(bytes)
	for r, n := range drops {
		if n > 0 {
			p.drops[r].Add(n)
		}
	}
}

// name is what humans call the port. Called with Switch.mu held.
func (p *Port) name() string {
	if p.cfg.Name != "" {
		return p.cfg.Name
	}
	return defaultName(p.id)
}

func defaultName(id int) string { return "port" + strconv.Itoa(id) }

// state is what p is up to. Called with Switch.mu held.
func (p *Port) state() State {
	switch {
	case p.cfg.Down || p.shut != "":
		return StateDown
	case !p.plugged():
		return StateWaiting
	}
	return StateUp
}

// info is p as it is now. Called with Switch.mu held.
func (p *Port) info() PortInfo {
	i := PortInfo{
		Config: p.cfg,
		Kind:   p.kind,
		Spec:   p.spec,
		Door:   p.door,
		State:  p.state(),
		Reason: p.reason,
		Since:  p.since,
		Peer:   p.peer,
		Rx:     Count{p.rxFrames.Load(), p.rxBytes.Load()},
		Tx:     Count{p.tx.frames.Load(), p.tx.bytes.Load()},
		Queue:  int(p.tx.len.Load()),
		MACs:   p.sw.fdb.PortLen(p.id),
		Tree:   p.tree(),
		Loop:   p.loop(),
		Takes:  frame.OffloadSet(p.tx.takes.Load()),
		Offload: OffloadCount{
			Cut: p.cut.Load(), Segments: p.segments.Load(), Completed: p.completed.Load(), Merged: p.merged.Load(),
		},
	}
	if p.shut != "" {
		i.Reason = p.shut
	}
	i.Config.ID, i.Config.Name = p.id, p.name()
	i.Held, i.Duplicated = p.heldFrames(), p.duplicates()
	i.Queue += i.Held[DirIn] + i.Held[DirOut]
	for r := range p.drops {
		i.Drops[r] = p.drops[r].Load()
	}
	i.Endpoints = p.endpointInfos()
	for _, e := range p.more {
		i.add(e)
	}
	return i
}

// mtu is the largest payload that may leave here. Called with Switch.mu held.
func (p *Port) mtu() int {
	if p.linkMTU > 0 {
		return min(p.linkMTU, p.cfg.MTU)
	}
	return p.cfg.MTU
}

// add makes an endpoint's counts part of its port's.
func (i *PortInfo) add(e *Port) {
	i.Tx.Frames += e.tx.frames.Load()
	i.Tx.Bytes += e.tx.bytes.Load()
	i.Queue += int(e.tx.len.Load())
	i.Offload.Cut += e.cut.Load()
	i.Offload.Segments += e.segments.Load()
	i.Offload.Completed += e.completed.Load()
	i.Offload.Merged += e.merged.Load()
	for r := range e.drops {
		i.Drops[r] += e.drops[r].Load()
	}
	if e.attached && i.Peer.UID < 0 && i.Peer.PID == 0 {
		i.Peer = e.peer
	}
}

// view is p as the data path is to see it. Called with Switch.mu held.
func (p *Port) view() *view {
	return &view{
		port:        p,
		id:          p.id,
		name:        p.name(),
		pvid:        p.cfg.Home(),
		noTag:       p.cfg.noTag(),
		bare:        p.cfg.Bare(),
		tagged:      p.cfg.Tagged,
		transparent: p.cfg.Transparent,
		isolated:    p.cfg.Isolated,
		down:        p.cfg.Down || p.shut != "",
		shut:        p.shut != "",
		up:          p.plugged() && !p.cfg.Down && p.shut == "",
		gate:        p.sw.span.gate(p),
		hears:       p.sw.span.cfg.Mode != STPOff && len(p.cfg.Mirror) == 0,
		storm:       p.cfg.Storm != Storm{},
		sources:     p.cfg.Sources.guard(),
		mtu:         p.mtu(),
		takes:       frame.OffloadSet(p.tx.takes.Load()),
		monitor:     len(p.cfg.Mirror) > 0,
		badIn:       p.badLine(DirIn),
		badOut:      p.badLine(DirOut),
	}
}
