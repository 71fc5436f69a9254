package vhost

import (
	"errors"
	"runtime/debug"

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
		left := (len(b.Refs) - i + len(l.receives) - 1) / len(l.receives)
		n := l.parcel.pack(l, b, b.Refs[i:])
		fate, err := l.place(r, left)
		for told := false; err == nil && fate == noRoom && !told; {
			ends := r.ends
			if err = l.awaitRoom(r); err == nil {
				fate, err = l.place(r, left)
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
	l.parcel.copyTo(segs, n)
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
