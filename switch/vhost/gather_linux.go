package vhost

import "unsafe"

// What a guest has just written, or read, is in the cache of its processor. To
// have one line of it from there takes longer than all else that is done for a
// small frame, but many such lines are had in the time of one, if nothing has to
// be done in between. So chains are taken many at a time, their buffers touched in
// a loop that does nothing else, and only then are frames copied. That makes small
// frames a third faster.

// ahead is how many chains are taken at once. The beginnings of so many frames,
// twice, fit into a processor's first cache.
const ahead = 64

// taken is a chain of the guest's that this side has.
type taken struct {
	id, descs uint16
	end       int      // behind its last segment in ring.segs
	at        position // where it begins
}

// gather takes up to n more chains. An error is of the chain behind those taken.
func (r *ring) gather(m *memory, n int) (err error) {
	first := len(r.segs)
	for limit := first + 2*ahead; n > 0 && len(r.segs) < limit; n-- {
		if n -= r.gatherPlain(m, n); n == 0 {
			break
		}
		var more bool
		if more, err = r.pending(); !more {
			break
		}
		t := taken{at: r.at}
		if t.id, err = r.next(m); err != nil {
			break
		}
		t.descs, t.end = r.descs, len(r.segs)
		r.took = append(r.took, t)
	}
	r.touch(r.segs[first:])
	return err
}

// gatherPlain takes up to n chains of one descriptor each, as most are, from a
// split ring, and returns how many. It stops before what is anything else, and
// where pending has to look again.
func (r *ring) gatherPlain(m *memory, n int) int {
	if r.packed || r.near >= len(m.regions) {
		return 0
	}
	flags, known := uint16(0), &m.regions[r.near]
	if r.receive() {
		flags = descWrite
	}
	n = min(n, int(r.seen-r.at.i))
	for k := range n {
		head := *(*uint16)(unsafe.Add(r.avail, 4+2*uintptr(uint32(r.at.i)&(r.num-1))))
		if uint32(head) >= r.num {
			return k
		}
		d := loadSplit(r.desc, uint32(head))
		off := d.addr - known.guest
		if d.flags != flags || d.len == 0 || off >= known.size || uint64(d.len) > known.size-off {
			return k
		}
		r.segs = append(r.segs, segment{unsafe.Add(known.base, off), d.len, d.addr})
		r.took = append(r.took, taken{id: head, end: len(r.segs), at: r.at})
		r.at.i++
	}
	return n
}

// touch has the beginning of each buffer fetched. Where it is to be written it is
// written: what is read first is fetched twice.
func (r *ring) touch(segs []segment) {
	const line = 64
	if r.receive() {
		for i := range segs {
			s := &segs[i]
			*(*byte)(s.p) = 0
			*(*byte)(unsafe.Add(s.p, min(s.n-1, line))) = 0
		}
		return
	}
	sum := byte(0)
	for i := range segs {
		s := &segs[i]
		sum += *(*byte)(s.p) + *(*byte)(unsafe.Add(s.p, min(s.n-1, line)))
	}
	r.touched = sum // or the compiler leaves it out
}

// chain is the segments of the chain that is i chains behind the spent ones.
func (r *ring) chain(i int) []segment {
	first := 0
	if i += r.spent; i > 0 {
		first = r.took[i-1].end
	}
	return r.segs[first:r.took[i].end]
}

// chains is the segments of the next n chains, of which there are as many.
func (r *ring) chains(n int) []segment {
	first := 0
	if r.spent > 0 {
		first = r.took[r.spent-1].end
	}
	return r.segs[first:r.took[r.spent+n-1].end]
}

// restart lets go of the chains that were taken and not used, by going back to
// where the first of them begins.
func (r *ring) restart() {
	if r.spent < len(r.took) {
		r.at = r.took[r.spent].at
	}
	r.segs, r.took, r.spent = r.segs[:0], r.took[:0], 0
}
