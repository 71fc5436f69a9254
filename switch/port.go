package vswitch

import (
	"strconv"
	"sync/atomic"
	"time"

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
	lost chan error // receives why a link ended; one at a time

	// Guarded by Switch.mu.
	cfg      PortConfig
	attached bool
	peer     link.Peer
	reason   string // why there is no link
	since    time.Time
	removed  bool

	// Set before a link is attached, static while it is.
	worker *worker
	token  uint64

	// Owned by the worker that reads the link, read by anyone.
	rxFrames, rxBytes atomic.Uint64

	taps  atomic.Pointer[[]*Capture] // who captures frames here; nil: nobody
	drops [numDropReasons]atomic.Uint64
	tx    egress
	lines lines
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
	case p.cfg.Down:
		return StateDown
	case !p.attached:
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
	}
	i.Config.ID, i.Config.Name = p.id, p.name()
	i.Held, i.Duplicated = p.heldFrames(), p.duplicates()
	i.Queue += i.Held[DirIn] + i.Held[DirOut]
	for r := range p.drops {
		i.Drops[r] = p.drops[r].Load()
	}
	return i
}

// view is p as the data path is to see it. Called with Switch.mu held.
func (p *Port) view() *view {
	return &view{
		port:        p,
		id:          p.id,
		name:        p.name(),
		pvid:        p.cfg.PVID,
		tagged:      p.cfg.Tagged,
		transparent: p.cfg.Transparent,
		isolated:    p.cfg.Isolated,
		down:        p.cfg.Down,
		up:          p.attached && !p.cfg.Down,
		mtu:         p.cfg.MTU,
		monitor:     len(p.cfg.Mirror) > 0,
		badIn:       p.badLine(DirIn),
		badOut:      p.badLine(DirOut),
	}
}
