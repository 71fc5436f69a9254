package vhost

import (
	"encoding/binary"
	"errors"
	"runtime/debug"
	"unsafe"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/offload"
)

// WriteBatch implements link.Link. Frames for a guest that does not receive now,
// because its driver is not there or it has disabled its rings, are gone.
func (l *Link) WriteBatch(b *frame.Batch) (n int, err error) {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if err := l.ended(); err != nil {
		return 0, err
	}
	if len(l.receives) == 0 {
		for _, r := range b.Refs {
			refuse(b, r)
		}
		return len(b.Refs), nil
	}
	l.wrote = 0
	for {
		err = l.write(b)
		if err != errLender { //nolint:errorlint // it is never wrapped
			return l.wrote, err
		}
		b.Bring(b.Refs[l.wrote:]) // which finds out what is wrong there
	}
}

// errLender says that memory is gone which another guest has lent.
var errLender = errors.New("lent memory is gone")

// write goes on with b from frame l.wrote on.
func (l *Link) write(b *frame.Batch) (err error) {
	defer l.guardWrite(debug.SetPanicOnFault(true), b, &err)
	for _, r := range l.receives {
		r.restart()
	}
	err = l.fill(b)
	for _, r := range l.receives {
		if r.publish() && r.call >= 0 {
			signal(r.call)
		}
	}
	return err
}

// guardWrite is guard where another guest's memory is read. This guest keeps
// the buffers of the present frame.
func (l *Link) guardWrite(before bool, b *frame.Batch, err *error) {
	debug.SetPanicOnFault(before)
	switch at, fault := l.faulted(recover()); {
	case fault == nil:
	case l.contains(at):
		*err = l.cut(fault)
	case b.Lender != nil && b.Lender.Lent(at):
		*err = errLender
	default:
		panic(fault)
	}
}

// refuse counts a frame that the guest cannot be given.
func refuse(b *frame.Batch, r frame.Ref) {
	b.Refused++
	b.RefusedBytes += r.Edit.Len(int(r.Len))
}

// fill puts frames into the guest's receive rings until one is full.
func (l *Link) fill(b *frame.Batch) error {
	r := l.receives[0]
	// What is lent was sent by a guest, which makes super-frames itself if it can.
	merge := b.Lender == nil && l.Takes()&canMerge == canMerge
	for l.wrote < len(b.Refs) {
		i := l.wrote
		ref := b.Refs[i]
		if o := b.Offload(ref); o != nil && o.Needs()&^l.Takes() != 0 {
			refuse(b, ref) // it was made for the driver before
			l.wrote++
			continue
		}
		if len(l.receives) > 1 {
			// What is lent of a frame is not here, but its headers are.
			r = l.receives[offload.Flow(b.Frame(ref))%uint32(len(l.receives))]
		}
		n := 1
		if merge {
			n = l.parcel.merge(b, b.Refs[i:], l.headLen)
		}
		if n == 1 {
			done, err := l.placeOne(r, b, ref)
			if err != nil {
				return err
			}
			if done {
				l.wrote++
				continue
			}
			l.parcel.pack(l, b, ref)
		}
		fate, err := l.place(r, l.left(b))
		for told := false; err == nil && fate == noRoom && !told; {
			ends := r.ends
			if err = l.awaitRoom(r); err == nil {
				fate, err = l.place(r, l.left(b))
			}
			// If there is more by now, and not enough, the guest has passed the
			// place from which on it was to say so.
			told = r.ends == ends
		}
		switch {
		case err != nil:
			return err
		case fate == noRoom:
			return link.ErrFull
		case fate == tooLarge:
			for _, ref := range b.Refs[i : i+n] {
				refuse(b, ref)
			}
		default:
			b.Merged += n - 1
		}
		l.wrote += n
	}
	return nil
}

// left is about how many frames are left to be put into each ring.
func (l *Link) left(b *frame.Batch) int {
	return (len(b.Refs) - l.wrote + len(l.receives) - 1) / len(l.receives)
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

// fate is what became of a parcel.
type fate int

const (
	placed   fate = iota
	noRoom        // now
	tooLarge      // for any buffer, or all of them together, that the guest has
)

// placeOne puts a frame into the next chain of r if that is one buffer with room
// for it, as it mostly is. It does what place does with a parcel, but everything is
// written where it belongs at once: what was written in pieces and is read as a
// whole has to wait until all that was written before is out of the processor, and
// for a small frame that takes as long as the rest.
func (l *Link) placeOne(r *ring, b *frame.Batch, ref frame.Ref) (done bool, err error) {
	if r.spent == len(r.took) {
		r.restart()
		if err := r.gather(l.mem, min(ahead, l.left(b))); err != nil {
			return false, err
		}
		if len(r.took) == 0 {
			return false, nil
		}
	}
	segs, size := r.chain(0), l.sizeOf(ref)
	if len(segs) != 1 || segs[0].n < size || r.log != nil {
		return false, nil
	}
	to := unsafe.Slice((*byte)(segs[0].p), size)
	if o := b.Offload(ref); o != nil && l.features&featTakesCsum != 0 {
		offload.Put(to, *o, ref.Edit.Len(0))
	} else {
		binary.NativeEndian.PutUint64(to, 0)
		binary.NativeEndian.PutUint16(to[8:], 0)
	}
	if l.headLen == longHead {
		binary.LittleEndian.PutUint16(to[shortHead:], 1) // buffer
	}
	k := int(l.headLen)
	if ref.Edit == 0 && ref.Rest == 0 {
		k += copy(to[k:], b.Frame(ref))
	} else {
		f := b.Own(ref)
		head, skip := ref.Edit.Head(to[:k], f)
		k = len(head)
		k += copy(to[k:], f[skip:])
		for _, rest := range b.RestOf(ref) {
			k += copy(to[k:], rest.Bytes)
		}
	}
	if k < len(to) {
		clear(to[k:])
	}
	t := &r.took[r.spent]
	r.use(t.id, t.descs, size)
	r.spent++
	r.quiet()
	return true, nil
}

// sizeOf is how long a frame is in the guest's buffers.
func (l *Link) sizeOf(r frame.Ref) uint32 {
	return l.headLen + uint32(max(r.Edit.Len(int(r.Len)), frame.MinLen))
}

// place puts the parcel into r, in which about so many frames are left to be put.
func (l *Link) place(r *ring, left int) (fate, error) {
	if r.spent == len(r.took) {
		r.restart()
	}
	want := l.parcel.size
	have, n := uint64(0), 0 // bytes, chains
	for ; have < uint64(want); n++ {
		if r.spent+n == len(r.took) {
			if err := r.gather(l.mem, min(ahead, left)); err != nil {
				return noRoom, err
			}
		}
		switch {
		case n > int(r.num):
			return noRoom, errCount
		case r.spent+n < len(r.took):
		case n == int(r.num):
			return tooLarge, nil // there will never be more
		default:
			r.ends = r.at
			return noRoom, nil
		}
		for _, s := range r.chain(n) {
			have += uint64(s.n)
		}
		switch {
		case have == 0:
			return noRoom, errEmpty
		case have < uint64(want) && l.features&featMergeable == 0:
			return tooLarge, nil // the guest keeps this one for smaller frames
		}
	}
	segs := r.chains(n)
	l.parcel.copyTo(segs, n, l.headLen)
	if r.log != nil {
		r.logSegments(segs, want)
	}
	r.giveBack(n, want)
	return placed, nil
}

// giveBack gives the next chains back to the guest, n bytes written.
func (r *ring) giveBack(chains int, n uint32) {
	for range chains {
		k := uint32(0)
		for _, s := range r.chain(0) {
			k += min(s.n, n-k)
		}
		t := &r.took[r.spent]
		r.use(t.id, t.descs, k)
		r.spent++
		n -= k
	}
	r.quiet()
}
