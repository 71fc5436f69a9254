package vhost

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// What is wrong with a ring. Each of them ends the link: a driver that does this
// is broken or hostile, and nothing it says from then on can be trusted.
var (
	errHead     = errors.New("the guest's ring names a descriptor that it does not have")
	errLoop     = errors.New("a chain of the guest's descriptors is too long, or has no end")
	errIndirect = errors.New("a descriptor table of the guest's is not where or as long as it says, or lies in another")
	errOutside  = errors.New("a descriptor of the guest's is outside of its memory")
	errWay      = errors.New("a descriptor of the guest's has the wrong direction")
	errCount    = errors.New("the guest's ring has more in it than it has room for")
	errEmpty    = errors.New("the guest's receive buffers have no room at all")
	errHuge     = errors.New("the guest sent a frame that is longer than there are any")
)

// Flags of a descriptor (virtio 1.2, 2.7.5 and 2.8.6).
const (
	descNext     = 1 << 0
	descWrite    = 1 << 1
	descIndirect = 1 << 2
	descAvail    = 1 << 7  // packed rings only
	descUsed     = 1 << 15 // packed rings only
)

// maxChain is how many descriptors a frame may have where the ring is shorter
// than that: an indirect table can be.
const maxChain = 1024

// ring is this side's view of one virtqueue. The fields up to running are what the
// front end has said; the rest counts while running is set and belongs to who
// holds the lock of the ring's direction.
type ring struct {
	index   int // even: the guest receives here; odd: it sends
	num     uint32
	addr    vringAddr
	hasAddr bool
	base    uint32 // where to go on
	kick    int    // eventfd, or -1: the guest says that there is something
	call    int    // eventfd, or -1: this side says that something was used
	enabled bool
	running bool

	packed   bool
	eventIdx bool
	inOrder  bool
	log      *dirtyLog // nil: none

	// The three parts of a split ring; of a packed one, the ring, what the
	// driver and what the device want to be told of.
	desc, avail, used unsafe.Pointer

	at        position  // of the next chain
	seen      uint16    // split: how far the ring is known to be filled
	ends      position  // where it was found to end
	usedAt    position  // where the next used entry goes
	published position  // up to where used entries can be seen
	told      bool      // the other side was told once, or need not be
	kicks     bool      // the guest is to say when there is something
	first     uint64    // packed: the word that makes what was used since visible
	near      int       // region that the latest descriptor was in
	descs     uint16    // of the chain that next returned
	segs      []segment // of chains that were taken
	took      []taken   // the chains that segs belong to
	spent     int       // how many of them were used
	touched   byte      // see touch
}

// position is a place in a ring. Split rings count on for ever, packed ones turn
// around at their end, and wrap turns with them.
type position struct {
	i    uint16
	wrap bool
}

// segment is a piece of guest memory that a descriptor stands for.
type segment struct {
	p     unsafe.Pointer
	n     uint32
	guest uint64 // its address
}

func newRing(index int) *ring { return &ring{index: index, kick: -1, call: -1} }

// receive tells whether the guest receives here.
func (r *ring) receive() bool { return r.index&1 == 0 }

// Sizes of the parts of a split ring, each with the event index at its end and
// two bytes more, since that is read as a word.
func descSize(num uint64) uint64  { return 16 * num }
func availSize(num uint64) uint64 { return 8 + 2*num }
func usedSize(num uint64) uint64  { return 6 + 8*num }

const packedEventSize = 4

// place finds the parts of the ring in m.
func (r *ring) place(m *memory) error {
	n := uint64(r.num)
	avail, used := availSize(n), usedSize(n)
	if r.packed {
		avail, used = packedEventSize, packedEventSize
	}
	desc := m.user(r.addr.desc, descSize(n))
	av, us := m.user(r.addr.avail, avail), m.user(r.addr.used, used)
	switch {
	case desc == nil || av == nil || us == nil:
		return fmt.Errorf("ring %d (%#x %#x %#x) is outside of the guest's memory", r.index, r.addr.desc, r.addr.avail, r.addr.used)
	case uintptr(desc)%16 != 0 || uintptr(av)%4 != 0 || uintptr(us)%4 != 0:
		return fmt.Errorf("ring %d (%#x %#x %#x) is not aligned", r.index, r.addr.desc, r.addr.avail, r.addr.used)
	}
	r.desc, r.avail, r.used = desc, av, us
	return nil
}

// start begins where the front end said, or where the ring's memory says it
// ended.
func (r *ring) start(m *memory) error {
	if !r.packed && r.num&(r.num-1) != 0 {
		return fmt.Errorf("ring %d of %d entries: want a power of two", r.index, r.num)
	}
	if err := r.place(m); err != nil {
		return err
	}
	r.told, r.near = false, 0
	if r.packed {
		r.at = position{uint16(r.base & 0x7fff), r.base&0x8000 != 0}
		if uint32(r.at.i) >= r.num {
			return fmt.Errorf("ring %d of %d entries is to go on at entry %d", r.index, r.num, r.at.i)
		}
		// What was taken was used, in the same order.
		r.usedAt, r.first = r.at, 0
	} else {
		r.at.i = uint16(r.base)
		r.seen = r.at.i
		r.usedAt.i = uint16(load32(r.used) >> 16)
	}
	r.published = r.usedAt
	r.kicks = true
	r.quiet()
	r.running = true
	return nil
}

// stop says where to go on.
func (r *ring) stop() (base uint32) {
	if r.running {
		r.running = false
		r.restart()
		r.base = uint32(r.at.i)
		if r.packed {
			r.base |= b32(r.at.wrap) << 15
			r.base |= r.base << 16
		}
		r.desc, r.avail, r.used = nil, nil, nil
		r.segs, r.took = nil, nil
	}
	return r.base
}

// pending tells whether there is a chain to take.
func (r *ring) pending() (bool, error) {
	if r.packed {
		return r.pendingPacked(), nil
	}
	if r.at.i != r.seen {
		return true, nil
	}
	r.seen = uint16(load32(r.avail) >> 16)
	if uint32(r.seen-r.at.i) > r.num {
		return false, errCount
	}
	return r.at.i != r.seen, nil
}

// next takes the chain that is pending and appends its segments to r.segs.
func (r *ring) next(m *memory) (id uint16, err error) {
	if r.packed {
		return r.nextPacked(m)
	}
	return r.nextSplit(m)
}

// use gives a chain of some descriptors back, n bytes of which were written.
// The guest sees it after publish.
func (r *ring) use(id, descs uint16, n uint32) {
	if r.packed {
		r.usePacked(id, descs, n)
		return
	}
	r.useSplit(id, n)
}

// publish lets the guest see what was used, and tells whether it wants to be
// told.
func (r *ring) publish() (call bool) {
	if r.usedAt == r.published {
		return false
	}
	if r.packed {
		call = r.publishPacked()
	} else {
		call = r.publishSplit()
	}
	if r.log != nil {
		r.logUsed() // now: what is noted before it is written may be copied before, too
	}
	return call
}

// listen asks the guest to say when it makes something available at a place or
// behind it, and tells whether there is something to take.
func (r *ring) listen(at position) (bool, error) {
	if !r.kicks || r.eventIdx { // an event comes once
		r.kicks = true
		if r.packed {
			r.listenPacked(at)
		} else {
			r.listenSplit(at)
		}
	}
	return r.pending()
}

// quiet asks the guest not to say so.
func (r *ring) quiet() {
	if r.kicks {
		r.kicks = false
		if r.packed {
			store32(r.used, 1<<16)
		} else if !r.eventIdx {
			store32(r.used, uint32(r.published.i)<<16|1)
		}
	}
}

// add appends the segment of one descriptor.
func (r *ring) add(m *memory, d descriptor) error {
	if (d.flags&descWrite != 0) != r.receive() {
		return errWay
	}
	if p := m.guest(d.addr, uint64(d.len), &r.near); p != nil {
		if d.len > 0 {
			r.segs = append(r.segs, segment{p, d.len, d.addr})
		}
		return nil
	}
	// Regions may lie next to each other, and it in both.
	for d.len > 0 {
		n := uint32(min(m.room(d.addr), uint64(d.len)))
		if n == 0 {
			return errOutside
		}
		r.segs = append(r.segs, segment{m.guest(d.addr, uint64(n), &r.near), n, d.addr})
		d.addr += uint64(n)
		d.len -= n
	}
	return nil
}

// descriptor is a copy of one of the guest's: it can change its own at any time.
type descriptor struct {
	addr  uint64
	len   uint32
	flags uint16
	next  uint16 // split: number of the next one; packed: the chain's name
}

func loadSplit(table unsafe.Pointer, i uint32) descriptor {
	p := unsafe.Add(table, 16*uintptr(i))
	w := load64(unsafe.Add(p, 8))
	return descriptor{load64(p), uint32(w), uint16(w >> 32), uint16(w >> 48)}
}

func loadPacked(table unsafe.Pointer, i uint32) descriptor {
	p := unsafe.Add(table, 16*uintptr(i))
	w := load64(unsafe.Add(p, 8))
	return descriptor{load64(p), uint32(w), uint16(w >> 48), uint16(w >> 32)}
}

func load32(p unsafe.Pointer) uint32     { return atomic.LoadUint32((*uint32)(p)) }
func store32(p unsafe.Pointer, v uint32) { atomic.StoreUint32((*uint32)(p), v) }
func load64(p unsafe.Pointer) uint64     { return atomic.LoadUint64((*uint64)(p)) }
func store64(p unsafe.Pointer, v uint64) { atomic.StoreUint64((*uint64)(p), v) }

func b32(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// table finds the descriptors that an indirect one stands for.
func (r *ring) table(m *memory, d descriptor) (unsafe.Pointer, uint32, error) {
	n := d.len / 16
	if d.flags&descNext != 0 || d.len%16 != 0 || n == 0 || n > max(maxChain, r.num) || d.addr%8 != 0 {
		return nil, 0, errIndirect
	}
	t := m.guest(d.addr, uint64(d.len), &r.near)
	if t == nil || uintptr(t)%8 != 0 {
		return nil, 0, errIndirect
	}
	return t, n, nil
}

// wants tells whether the step from one position to another passes the place
// that the other side waits for (virtio 1.2, 2.7.7.1).
func wants(event, now, before uint16) bool { return now-event-1 < now-before }
