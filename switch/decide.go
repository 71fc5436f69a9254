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
)

// verdict is what becomes of a frame.
type verdict struct {
	outcome  outcome
	reason   DropReason // of a drop
	learn    bool       // the source address is worth learning
	reserved bool       // of a flood: only transparent ports receive it
	class    class
	to       *view // of a unicast
	edit     frame.Edit
}

// decide says what becomes of frame f that came in by port in, at second now.
// It changes nothing: the data path and the trace command get the same answer.
func decide(t *topology, table *fdb.Table, in *view, f frame.Frame, now uint32) verdict {
	if in.down {
		return verdict{reason: DropPortDown}
	}
	if in.monitor {
		return verdict{reason: DropMirrorPort}
	}
	c, reason := classify(in, f)
	if reason != notDropped {
		return verdict{reason: reason}
	}
	src, dst := f.Src(), f.Dst()
	if src.IsGroup() || src == (frame.MAC{}) {
		return verdict{reason: DropBadSource}
	}
	v := verdict{outcome: flood, class: c, learn: !t.hub}
	if dst.IsReserved() {
		if !in.transparent {
			return verdict{reason: DropReserved}
		}
		v.reserved, v.learn = true, false
		return v
	}
	if dst.IsGroup() || t.hub {
		return v
	}
	id, ok := table.Lookup(fdb.MakeKey(c.vid, dst.Uint64()), now)
	if !ok {
		return v
	}
	v.outcome = unicast
	v.to = t.get(id)
	if reason := refusal(in, v.to, c); reason != notDropped {
		v.outcome, v.reason = drop, reason
		return v
	}
	v.edit = v.to.edit(c)
	return v
}

// classify finds the VLAN of a frame (IEEE 802.1Q-2018, 6.9.1 and 8.6.2).
func classify(in *view, f frame.Frame) (class, DropReason) {
	if in.transparent || f.Type() != frame.TypeVLAN {
		return class{vid: in.pvid}, notDropped
	}
	tci, ok := f.Tag()
	if !ok {
		return class{}, DropRunt
	}
	switch vid := frame.VID(tci & 0x0fff); {
	case vid == 0:
		return class{vid: in.pvid, tci: tci, tag: tagPriority}, notDropped
	case vid.Valid() && in.member(vid):
		return class{vid: vid, tci: tci, tag: tagVLAN}, notDropped
	}
	return class{}, DropVLAN
}

// refusal says why a frame of class c may not go from in to out, whom the
// forwarding table named.
func refusal(in, out *view, c class) DropReason {
	switch {
	case out == in:
		return DropSamePort
	case out == nil || !out.up || out.monitor || !out.member(c.vid):
		return DropReceiverDown
	case in.isolated && out.isolated:
		return DropIsolated
	}
	return notDropped
}
