package vhost

import (
	"errors"
	"runtime/debug"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/offload"
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
	err = l.fill(b)
	for _, r := range l.receives {
		if r.publish() && r.call >= 0 {
			signal(r.call)
		}
	}
	return err
}

// guardWrite is guard where another guest's memory is read. What this guest has
// taken of the present frame is as if it had not been.
func (l *Link) guardWrite(before bool, b *frame.Batch, err *error) {
	debug.SetPanicOnFault(before)
	switch at, fault := l.faulted(recover()); {
	case fault == nil:
	case l.contains(at):
		*err = l.cut(fault)
	case b.Lender != nil && b.Lender.Lent(at):
		l.filling.at = l.began
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
			r = l.receives[offload.Flow(b.Own(ref))%uint32(len(l.receives))]
		}
		n := l.parcel.pack(l, b, b.Refs[i:])
		fate, err := l.place(r)
		if err == nil && fate == noRoom {
			if err = l.awaitRoom(r); err == nil {
				fate, err = l.place(r)
			}
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

// place puts the parcel into r.
func (l *Link) place(r *ring) (fate, error) {
	want := l.parcel.size
	at := r.at
	l.filling, l.began = r, at
	r.segs, l.took = r.segs[:0], l.took[:0]
	have := uint64(0)
	for have < uint64(want) {
		more, err := r.pending()
		if err != nil {
			return noRoom, err
		}
		if !more {
			r.ends, r.at = r.at, at
			if len(l.took) == int(r.num) {
				return tooLarge, nil // there will never be more
			}
			return noRoom, nil
		}
		first := len(r.segs)
		id, err := r.next(l.mem)
		if err != nil {
			return noRoom, err
		}
		for _, s := range r.segs[first:] {
			have += uint64(s.n)
		}
		if have == 0 {
			return noRoom, errEmpty
		}
		l.took = append(l.took, taken{id, r.descs, len(r.segs)})
		if have < uint64(want) && l.features&featMergeable == 0 {
			r.at = at // the guest keeps this one for smaller frames
			return tooLarge, nil
		}
		if len(l.took) > int(r.num) {
			return noRoom, errCount
		}
	}
	l.parcel.copyTo(r.segs, len(l.took))
	if r.log != nil {
		r.logSegments(r.segs, want)
	}
	l.giveBack(r, want)
	return placed, nil
}

// giveBack gives the chains in l.took back to the guest, n bytes written.
func (l *Link) giveBack(r *ring, n uint32) {
	first := 0
	for _, t := range l.took {
		k := uint32(0)
		for _, s := range r.segs[first:t.end] {
			k += min(s.n, n-k)
		}
		r.use(t.id, t.descs, k)
		n -= k
		first = t.end
	}
	r.quiet()
}
