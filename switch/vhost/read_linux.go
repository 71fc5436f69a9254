package vhost

import (
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"vnetkit/switch/frame"
	"vnetkit/switch/offload"
)

// ReadBatch implements link.Link. It takes what the guest has put into its
// transmit rings, each of them at most once around. If it lends some of it, Return
// is the end of it.
func (l *Link) ReadBatch(b *frame.Batch) error {
	l.rmu.Lock()
	err := l.read(b)
	if len(b.Rests) > 0 {
		b.Lender = l
		return err
	}
	if e := l.publishSent(); err == nil {
		err = e
	}
	l.rmu.Unlock()
	return err
}

// read is ReadBatch without telling the guest what was taken.
func (l *Link) read(b *frame.Batch) (err error) {
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
	if l.opt.polled {
		return ended // whoever reads comes back unasked
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
	in.add(uint32(len(f)), 0, len(in.b.Rests))
}

// take takes chains from r as far as there is room, and not more than can be
// gathered at once: then the others are looked at.
func (in *inlet) take(m *memory, r *ring) error {
	r.restart()
	err := r.gather(m, ahead)
	if len(r.took) > 0 {
		in.used = true
		r.quiet()
		if e := in.putAll(r); e != nil {
			return e
		}
	}
	return err
}

// putAll copies the frames in r.took, as far as there is room.
func (in *inlet) putAll(r *ring) error {
	first := 0
	for i := range r.took {
		t := &r.took[i]
		fits, err := in.put(r, r.segs[first:t.end])
		if err != nil {
			return err
		}
		if !fits {
			in.full = true
			break
		}
		r.use(t.id, t.descs, 0)
		r.spent++
		first = t.end
	}
	return nil
}

// put copies the frame in segs. It returns false if there is no room.
func (in *inlet) put(r *ring, segs []segment) (fits bool, err error) {
	if len(segs) == 1 && segs[0].n >= in.head+frame.HeaderLen { // most
		s := segs[0]
		return in.putOne(r, s.p, s.n-in.head)
	}
	total := uint64(0)
	for _, s := range segs {
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
	skip, got, first := in.head, uint32(0), len(in.b.Rests)
	own := in.own(uint32(n))
	for _, s := range segs {
		k := min(skip, s.n)
		copy(head[in.head-skip:], unsafe.Slice((*byte)(s.p), k))
		skip -= k
		p, left := unsafe.Add(s.p, k), s.n-k
		k = min(left, own-min(own, got))
		copy(in.b.Buf[in.off+int(got):], unsafe.Slice((*byte)(p), k))
		if left > k {
			in.lend(unsafe.Add(p, k), left-k, got+k)
		}
		got += left
	}
	in.addWith(head[:], uint32(n), first)
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
	own, first := in.own(n), len(in.b.Rests)
	copy(in.b.Buf[in.off:], unsafe.Slice((*byte)(unsafe.Add(p, in.head)), own))
	if own < n {
		in.lend(unsafe.Add(p, in.head+own), n-own, own)
	}
	if what := *(*uint16)(p); what == 0 { // nothing is left to be done
		in.add(n, 0, first)
		return true, nil
	}
	head := *(*[shortHead]byte)(p)
	in.addWith((&head)[:], n, first)
	return true, nil
}

// own is how many of a frame's n bytes are copied now.
func (in *inlet) own(n uint32) uint32 {
	if in.b.Lend && n >= lendFrom {
		return ownHead
	}
	return n
}

// addWith is add for a frame with this header.
func (in *inlet) addWith(head []byte, n uint32, first int) {
	f := in.b.Buf[in.off : in.off+int(n)]
	o, err := offload.Parse(head[:offload.HeaderLen], f)
	if len(in.b.Rests) > first && (err != nil || head[1] != 0 && o.GSO == frame.GSONone || o.HeadLen > ownHead || o.CsumStart > ownHead-64 || o.CsumOffset > 32) {
		in.keep(first) // it looked at what was not there
		o, err = offload.Parse(head[:offload.HeaderLen], f)
	}
	if err != nil || o.Needs()&^in.leaves != 0 {
		in.b.Bad++
		in.b.Rests = in.b.Rests[:first]
		return
	}
	if o == (frame.Offload{}) {
		in.add(n, 0, first)
		return
	}
	i, ok := in.b.AddOffload(o)
	if !ok {
		in.b.Bad++ // cannot be: a buffer has no room for so many
		in.b.Rests = in.b.Rests[:first]
		return
	}
	in.add(n, frame.Edit(0).WithOffload(i), first)
}

// add makes the n bytes at off a frame. The next one begins in another line of
// the processor's cache. It is lent if there are Rests from number first on.
func (in *inlet) add(n uint32, e frame.Edit, first int) {
	ref := frame.Ref{Off: uint32(in.off), Len: n, Edit: e}
	if len(in.b.Rests) > first {
		ref.Rest = uint32(first + 1)
	}
	in.b.Refs = append(in.b.Refs, ref)
	in.off = (in.off + int(n) + 63) &^ 63
}
