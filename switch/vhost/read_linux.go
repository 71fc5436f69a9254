package vhost

import (
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"vnetkit/switch/frame"
	"vnetkit/switch/offload"
)

// ReadBatch implements link.Link. It takes what the guest has put into its
// transmit rings, each of them at most once around.
func (l *Link) ReadBatch(b *frame.Batch) (err error) {
	l.rmu.Lock()
	defer l.rmu.Unlock()
	defer l.guard(debug.SetPanicOnFault(true), &err)
	ended := l.ended() // whatever came before that is read first
	in := inlet{b: b, head: l.headLen, leaves: l.leaves}
	b.Changed, l.retake = l.retake, false
	in.notice(&l.notices)
	for i := range l.sends {
		r := l.sends[(l.turn+i)%len(l.sends)]
		if err := in.take(l.mem, r); err != nil {
			return err
		}
		if in.full {
			b.More = true
			l.turn = (l.turn + i) % len(l.sends) // it was cut short: it goes on first
			break
		}
	}
	if len(b.Refs) > 0 || b.More || in.used {
		b.More = b.More || len(l.sends) > 0 // look again before sleeping
		return nil
	}
	for _, r := range l.sends {
		more, err := r.listen(r.at)
		if err != nil {
			return err
		}
		b.More = b.More || more
	}
	if b.More {
		return nil
	}
	return ended
}

// inlet is where the frames of one ReadBatch go.
type inlet struct {
	b      *frame.Batch
	off    int
	head   uint32
	leaves frame.OffloadSet
	full   bool // there was no room for the next frame
	used   bool // something was taken
}

// notice takes the frame that the session wants sent, if there is one.
func (in *inlet) notice(from *atomic.Pointer[[]byte]) {
	if from.Load() == nil {
		return
	}
	f := *from.Swap(nil)
	copy(in.b.Buf, f)
	in.add(uint32(len(f)), 0)
}

// take takes chains from r until it is empty, has gone around, or there is no
// more room.
func (in *inlet) take(m *memory, r *ring) (err error) {
	for n := uint32(0); n < r.num; n++ {
		more, err := r.pending()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		at := r.at
		r.segs = r.segs[:0]
		id, err := r.next(m)
		if err != nil {
			return err
		}
		fits, err := in.put(r)
		if err != nil {
			return err
		}
		if !fits {
			r.at = at
			in.full = true
			break
		}
		if n == 0 {
			r.quiet()
			in.used = true
		}
		r.use(id, r.descs, 0)
	}
	if r.publish() && r.call >= 0 {
		signal(r.call)
	}
	return nil
}

// put copies the frame in r.segs. It returns false if there is no room.
func (in *inlet) put(r *ring) (fits bool, err error) {
	if len(r.segs) == 1 && r.segs[0].n >= in.head+frame.HeaderLen { // most
		s := r.segs[0]
		return in.putOne(r, s.p, s.n-in.head)
	}
	total := uint64(0)
	for _, s := range r.segs {
		total += uint64(s.n)
	}
	if total < uint64(in.head)+frame.HeaderLen {
		if r.enabled {
			in.b.Runts++
		}
		return true, nil
	}
	n := total - uint64(in.head)
	if n > frame.MaxLen {
		return false, errHuge
	}
	if !r.enabled {
		return true, nil
	}
	if in.off+int(n) > len(in.b.Buf) {
		return false, nil
	}
	var head [longHead]byte
	skip, to := in.head, in.b.Buf[in.off:in.off]
	for _, s := range r.segs {
		k := min(skip, s.n)
		copy(head[in.head-skip:], unsafe.Slice((*byte)(s.p), k))
		skip -= k
		to = append(to, unsafe.Slice((*byte)(unsafe.Add(s.p, k)), s.n-k)...)
	}
	in.addWith(head[:], uint32(n))
	return true, nil
}

// putOne is put for n bytes behind their header, in one place.
func (in *inlet) putOne(r *ring, p unsafe.Pointer, n uint32) (fits bool, err error) {
	switch {
	case n > frame.MaxLen:
		return false, errHuge
	case !r.enabled:
		return true, nil // what a disabled ring has is thrown away
	case in.off+int(n) > len(in.b.Buf):
		return false, nil
	}
	copy(in.b.Buf[in.off:], unsafe.Slice((*byte)(unsafe.Add(p, in.head)), n))
	if what := *(*uint16)(p); what == 0 { // nothing is left to be done
		in.add(n, 0)
		return true, nil
	}
	head := *(*[shortHead]byte)(p)
	in.addWith((&head)[:], n)
	return true, nil
}

// addWith is add for a frame with this header.
func (in *inlet) addWith(head []byte, n uint32) {
	o, err := offload.Parse(head[:offload.HeaderLen], in.b.Buf[in.off:in.off+int(n)])
	if err != nil || o.Needs()&^in.leaves != 0 {
		in.b.Bad++
		return
	}
	if o == (frame.Offload{}) {
		in.add(n, 0)
		return
	}
	i, ok := in.b.AddOffload(o)
	if !ok {
		in.b.Bad++ // cannot be: a buffer has no room for so many
		return
	}
	in.add(n, frame.Edit(0).WithOffload(i))
}

// add makes the n bytes at off a frame. The next one begins in another line of
// the processor's cache.
func (in *inlet) add(n uint32, e frame.Edit) {
	in.b.Refs = append(in.b.Refs, frame.Ref{Off: uint32(in.off), Len: n, Edit: e})
	in.off = (in.off + int(n) + 63) &^ 63
}
