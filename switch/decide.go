package vswitch

import (
	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// tagKind says with what tag a frame came in.
type tagKind uint8

const (
	tagNone     tagKind = iota // none, or one that is payload to the port
	tagPriority                // VID 0: a priority and no VLAN
	tagVLAN
)

// class is the VLAN that a frame belongs to and how it said so.
type class struct {
	vid frame.VID
	tci uint16 // of its tag, if it has one
	tag tagKind
}

// outcome is the kind of a Verdict.
type outcome uint8

const (
	drop outcome = iota
	unicast
	flood
	trap // for the switch itself
)

// verdict is what becomes of a frame.
type verdict struct {
	outcome  outcome
	reason   DropReason // of a drop; notDropped otherwise
	learn    bool       // the source address is worth learning
	reserved bool       // of a flood: only transparent ports receive it
	class    class
	to       *view // of a unicast
	edit     frame.Edit
}

// decide makes v say what becomes of frame f that came in by port in, at second
// now. It changes nothing else: the data path and the trace command get the same
// answer.
func (v *verdict) decide(t *topology, table *fdb.Table, in *view, f frame.Frame, now uint32) {
	*v = verdict{outcome: drop}
	v.reason = v.class.of(in, f)
	src, dst := f.Src(), f.Dst()
	reserved := dst.IsReserved()
	switch {
	case v.reason != notDropped && (v.reason != DropUntagged || !in.hearsBPDU(f)): // BPDUs have no tag, and belong to the port
		return
	case src.IsGroup() || src == (frame.MAC{}):
		v.reason = DropBadSource
		return
	case in.sources != nil && !in.sources.allow(src):
		v.reason = DropSpoofed
		return
	case reserved && in.hearsBPDU(f):
		v.outcome, v.reason = trap, notDropped
		return
	case reserved && !in.transparent:
		v.reason = DropReserved
		return
	case in.gate != nil && !in.gate.forward.Has(v.class.vid):
		v.reason, v.learn = DropBlocked, in.gate.learn.Has(v.class.vid) && !reserved
		return
	}
	v.outcome, v.learn = flood, !t.hub
	if reserved {
		v.reserved, v.learn = true, false
		return
	}
	if dst.IsGroup() || t.hub {
		return
	}
	if dst == src { // which is behind this port, as it says itself
		v.outcome, v.reason = drop, DropSamePort
		return
	}
	id, ok := table.Lookup(fdb.MakeKey(v.class.vid, dst.Uint64()), now)
	if !ok {
		return
	}
	v.to = t.get(id)
	if v.reason = refusal(in, v.to, v.class.vid); v.reason != notDropped {
		v.outcome = drop
		return
	}
	v.outcome, v.edit = unicast, v.to.edit(v.class)
}

// of finds the VLAN of frame f that came in by port in, or the reason why it
// belongs to none (IEEE 802.1Q-2018, 6.9.1 and 8.6.2).
func (c *class) of(in *view, f frame.Frame) DropReason {
	switch {
	case in.shut:
		return DropBPDUGuard
	case in.down:
		return DropPortDown
	case in.monitor:
		return DropMirrorPort
	case in.transparent || f.Type() != frame.TypeVLAN:
		c.vid = in.pvid
		return in.noTag
	}
	tci, ok := f.Tag()
	if !ok {
		return DropRunt
	}
	c.tci = tci
	switch vid := frame.VID(tci & 0x0fff); {
	case vid == 0:
		c.vid, c.tag = in.pvid, tagPriority
		return in.noTag
	case vid.Valid() && in.member(vid):
		c.vid, c.tag = vid, tagVLAN
	default:
		return DropVLAN
	}
	return notDropped
}

// refusal says why a frame of VLAN vid may not go from in to out, whom the
// forwarding table named.
func refusal(in, out *view, vid frame.VID) DropReason {
	switch {
	case out == in:
		return DropSamePort
	case out == nil || !out.up || out.monitor || !out.member(vid):
		return DropReceiverDown
	case !out.open(vid):
		return DropBlocked
	case in.isolated && out.isolated:
		return DropIsolated
	}
	return notDropped
}
