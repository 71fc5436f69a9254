package vswitch

import (
	"sync"

	"vnetkit/switch/frame"
	"vnetkit/switch/offload"
)

// What a receiver does not take is done before it is sent: super-frames are cut
// and checksums completed, see package offload. Whether it does is a property of
// its link.
//
// The rule of counting: a port counts the frames that its link gave, or took.
// A super-frame that passes whole is one frame on both sides. One that is cut
// for a receiver comes in as one and goes out as its segments; the receiver
// counts both, so that what comes in, and Segments less Cut of all receivers,
// is what goes out and what is dropped, exactly. Frames that a link merges are
// still those that it took; Merged says how many of them were not sent alone.

// OffloadCount is what was done for a port's link on frames that went out to it.
type OffloadCount struct {
	Cut       uint64 // super-frames that were cut, because the link does not take them
	Segments  uint64 // frames that they became
	Completed uint64 // other frames whose checksum was completed
	Merged    uint64 // frames that left inside the one before
}

// unloadSize is room for what becomes of a few super-frames: it should be in the
// cache when it is written.
const unloadSize = 192 << 10

// unloader is what one transmit needs to do the work on its frames.
type unloader struct {
	cutter offload.Cutter
	in     frame.Batch // some of the frames
	out    frame.Batch // what becomes of them
}

var unloaders = sync.Pool{New: func() any {
	return &unloader{out: frame.Batch{Buf: make([]byte, 0, unloadSize)}}
}}

// taken tells whether links that take a set take r's frame as it is.
func taken(b *frame.Batch, r frame.Ref, takes frame.OffloadSet) bool {
	o := b.Offload(r)
	return o == nil || o.Needs()&^takes == 0
}

// transmitUnloaded is transmitOne where there may be work left on frames that the
// link does not take.
func (p *Port) transmitUnloaded(b *frame.Batch, takes frame.OffloadSet) (ok bool) {
	u := unloaders.Get().(*unloader)
	defer unloaders.Put(u)
	b.Bring(b.Refs)
	ok = true
	for rest := b.Refs; len(rest) > 0; {
		whole := taken(b, rest[0], takes)
		n := 1
		for n < len(rest) && taken(b, rest[n], takes) == whole {
			n++
		}
		u.in = frame.Batch{Buf: b.Buf, Refs: rest[:n], Offloads: b.Offloads, Prefixed: b.Prefixed}
		rest = rest[n:]
		if whole {
			ok = p.transmitReady(&u.in, 0, takes)
			continue
		}
		u.cutter.Start(&u.in)
		for u.cutter.Next(&u.out) {
			ok = p.transmitReady(&u.out, 0, takes)
		}
		c := &u.cutter
		p.cut.Add(c.Cut)
		p.segments.Add(c.Segments)
		p.completed.Add(c.Completed)
	}
	u.in = frame.Batch{}
	return ok
}

// fit tells whether r's frame may go to a receiver with this MTU, if need be as
// smaller segments, which it makes r say.
func fit(b *frame.Batch, r *frame.Ref, mtu int) bool {
	f, o := b.Frame(*r), b.Offload(*r)
	if offload.Largest(f, o) <= mtu {
		return true
	}
	s, ok := offload.Shrink(f, o, mtu)
	if !ok {
		return false
	}
	i, ok := b.AddOffload(s)
	if ok {
		r.Edit = r.Edit.WithOffload(i)
	}
	return ok
}

// explainOffload says what would become of a super-frame on its way to out, if
// the link it came from has such.
func (t *tracer) explainOffload(out *view) {
	if t.in.takes == 0 {
		return
	}
	switch missing := t.in.takes &^ out.takes; missing {
	case 0:
		t.say("offload", "%s takes super-frames and unfinished checksums from %s as they are; TCP whose segments exceed MTU %d is cut smaller, other frames too large are dropped", out.name, t.in.name, out.mtu)
	default:
		t.say("offload", "%s does not take everything that %s may leave to be done (%v): before it super-frames are cut and checksums completed; TCP is cut to MTU %d, other frames too large are dropped", out.name, t.in.name, missing, out.mtu)
	}
}
