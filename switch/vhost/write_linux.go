package vhost

import (
	"encoding/binary"
	"runtime/debug"
	"unsafe"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/offload"
)

// Lengths of struct virtio_net_hdr (virtio 1.2, 5.1.6): with the number of
// buffers that a frame has, and the old one without.
const (
	longHead  = 12
	shortHead = 10
)

// taken is a chain of the guest's that a frame goes into.
type taken struct {
	id, descs uint16
	end       int // behind its last segment in ring.segs
}

// WriteBatch implements link.Link. Frames for a guest that does not receive now,
// because its driver is not there or it has disabled its rings, are gone.
func (l *Link) WriteBatch(b *frame.Batch) (n int, err error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	defer l.guard(debug.SetPanicOnFault(true), &err)
	if err := l.ended(); err != nil {
		return 0, err
	}
	if len(l.receives) == 0 {
		for _, r := range b.Refs {
			refuse(b, r)
		}
		return len(b.Refs), nil
	}
	n, err = l.fill(b)
	for _, r := range l.receives {
		if r.publish() && r.call >= 0 {
			signal(r.call)
		}
	}
	return n, err
}

// refuse counts a frame that the guest cannot be given.
func refuse(b *frame.Batch, r frame.Ref) {
	b.Refused++
	b.RefusedBytes += r.Edit.Len(int(r.Len))
}

// fill puts frames into the guest's receive rings until one is full.
func (l *Link) fill(b *frame.Batch) (int, error) {
	r := l.receives[0]
	for i, ref := range b.Refs {
		f, o := b.Frame(ref), b.Offload(ref)
		if o != nil && o.Needs()&^l.Takes() != 0 {
			refuse(b, ref) // it was made for the driver before
			continue
		}
		if len(l.receives) > 1 {
			r = l.receives[offload.Flow(f)%uint32(len(l.receives))]
		}
		ok, err := l.place(r, b, ref)
		if err == nil && !ok {
			err = l.awaitRoom(r)
			if err == nil {
				ok, err = l.place(r, b, ref)
			}
			if err == nil && !ok {
				err = link.ErrFull
			}
		}
		if err != nil {
			return i, err
		}
	}
	return len(b.Refs), nil
}

// awaitRoom has room rung when the guest makes more buffers available in r, or
// fails if the guest is gone.
func (l *Link) awaitRoom(r *ring) error {
	if l.hasLeft() {
		return errGone
	}
	l.room.still()
	_, err := r.listen(r.ends)
	return err
}

// place puts one frame into r, or tells that there is no room.
func (l *Link) place(r *ring, b *frame.Batch, ref frame.Ref) (ok bool, err error) {
	size := uint32(max(ref.Edit.Len(int(ref.Len)), frame.MinLen))
	want := l.headLen + size
	at := r.at
	r.segs, l.took = r.segs[:0], l.took[:0]
	have := uint64(0)
	for have < uint64(want) {
		more, err := r.pending()
		if err != nil {
			return false, err
		}
		if !more {
			r.ends, r.at = r.at, at
			return false, nil
		}
		first := len(r.segs)
		id, err := r.next(l.mem)
		if err != nil {
			return false, err
		}
		for _, s := range r.segs[first:] {
			have += uint64(s.n)
		}
		if have == 0 {
			return false, errEmpty
		}
		l.took = append(l.took, taken{id, r.descs, len(r.segs)})
		if have < uint64(want) && l.features&featMergeable == 0 {
			// The guest has only smaller buffers. It keeps this one.
			r.at = at
			refuse(b, ref)
			return true, nil
		}
		if len(l.took) > int(r.num) {
			return false, errCount
		}
	}
	l.copyOut(r, b, ref, want)
	return true, nil
}

// copyOut writes a frame behind its header into the segments of r, and gives the
// chains in l.took back.
func (l *Link) copyOut(r *ring, b *frame.Batch, ref frame.Ref, want uint32) {
	var head [longHead + 32]byte
	f, e := b.Frame(ref), ref.Edit
	if o := b.Offload(ref); o != nil && l.features&featTakesCsum != 0 {
		offload.Put(head[:], *o, e.Len(0))
	}
	binary.LittleEndian.PutUint16(head[10:], uint16(len(l.took)))
	start, skip := e.Head(head[:l.headLen], f)
	if s := r.segs[0]; s.n >= want { // most
		to := unsafe.Slice((*byte)(s.p), want)
		k := copy(to, start)
		k += copy(to[k:], f[skip:])
		clear(to[k:])
	} else {
		o := outlet{segs: r.segs}
		o.write(start)
		o.write(f[skip:])
		if short := int(want) - len(start) - len(f) + skip; short > 0 {
			o.write(zeros[:short])
		}
	}
	if r.log != nil {
		r.logSegments(r.segs, want)
	}
	first := 0
	for _, t := range l.took {
		n := uint32(0)
		for _, s := range r.segs[first:t.end] {
			n += min(s.n, want-n)
		}
		r.use(t.id, t.descs, n)
		want -= n
		first = t.end
	}
	r.quiet()
}

var zeros [frame.MinLen]byte

// outlet is where the next byte goes.
type outlet struct {
	segs []segment
	used uint32 // of the first
}

// write copies b; there is room.
func (o *outlet) write(b []byte) {
	for len(b) > 0 {
		s := &o.segs[0]
		n := copy(unsafe.Slice((*byte)(unsafe.Add(s.p, o.used)), s.n-o.used), b)
		b = b[n:]
		o.used += uint32(n)
		if o.used == s.n {
			o.segs, o.used = o.segs[1:], 0
		}
	}
}
