package frontend

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ring is one virtqueue, as its driver sees it. Descriptor i always stands for
// buffer i.
type Ring struct {
	Index      int // even: the guest receives
	Kick, Call int
	Kicks      uint64 // how often the switch was kicked

	g                 *Guest
	num               int
	packed, eventIdx  bool
	Desc, Avail, Used int // where they are in the memory
	bufs              int
	indirect          int // where the tables are, one for each head

	free  []uint16 // buffers that nobody uses
	chain [][]uint16
	avail position // the next entry to fill
	shown uint16   // split: what the switch sees of it
	last  position // packed: what it was kicked for
	used  position // the next entry to look at

	inOrder inOrder
}

type position struct {
	i    uint16
	wrap bool
}

func (g *Guest) newRing(index int) (*Ring, error) {
	n := g.opt.Size
	r := &Ring{
		Index: index, g: g, num: n, packed: g.opt.Packed, eventIdx: !g.opt.NoEventIdx,
		chain: make([][]uint16, n), avail: position{wrap: true}, used: position{wrap: true}, last: position{wrap: true},
		Kick: -1, Call: -1,
	}
	r.Desc, r.Avail, r.Used = g.Alloc(16*n), g.Alloc(8+2*n), g.Alloc(8+8*n)
	if g.opt.Indirect && index%2 == 1 {
		r.indirect = g.Alloc(n * tableLen * 16)
	}
	r.bufs = g.Alloc(n * g.opt.BufSize)
	r.inOrder.on = r.packed && index%2 == 1 && g.opt.Features&FeatInOrder != 0
	for i := range n {
		r.free = append(r.free, uint16(i))
	}
	var err error
	for _, fd := range []*int{&r.Kick, &r.Call} {
		if *fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return nil, fmt.Errorf("make eventfd: %w", err)
		}
	}
	return r, nil
}

// tableLen is how many descriptors an indirect table has.
const tableLen = 64

// AddrBody is what SET_VRING_ADDR says of the ring.
func (r *Ring) AddrBody(flags uint32, log uint64) []byte {
	return append(U32(uint32(r.Index), flags),
		U64(UserBase+uint64(r.Desc), UserBase+uint64(r.Used), UserBase+uint64(r.Avail), log)...)
}

// Buffer is buffer i.
func (r *Ring) Buffer(i uint16) []byte {
	off := r.bufs + int(i)*r.g.opt.BufSize
	return r.g.Mem[off : off+r.g.opt.BufSize]
}

func (r *Ring) bufAddr(i uint16) uint64 { return GuestBase + uint64(r.bufs+int(i)*r.g.opt.BufSize) }

// Flags of descriptors.
const (
	DescNext     = 1
	DescWrite    = 2
	DescIndirect = 4
	descAvail    = 1 << 7
	descUsed     = 1 << 15
)

// SetDesc writes a split descriptor anywhere in the memory.
func (g *Guest) SetDesc(off int, addr uint64, n uint32, flags, next uint16) {
	*(*uint64)(g.at(off)) = addr
	*(*uint64)(g.at(off + 8)) = uint64(n) | uint64(flags)<<32 | uint64(next)<<48
}

// add makes a chain of buffers available; lens are their lengths. The switch sees
// it after show.
func (r *Ring) add(ids []uint16, lens []uint32, flags uint16) {
	r.chain[ids[0]] = append(r.chain[ids[0]][:0], ids...)
	if r.inOrder.on {
		r.inOrder.heads = append(r.inOrder.heads, ids[0])
	}
	if r.packed {
		r.addPacked(ids, lens, flags)
		return
	}
	if r.indirect != 0 {
		table := r.indirect + int(ids[0])*tableLen*16
		r.link(table, ids, lens, flags, func(i int) uint16 { return uint16(i) })
		r.g.SetDesc(r.Desc+16*int(ids[0]), GuestBase+uint64(table), uint32(16*len(ids)), DescIndirect, 0)
	} else {
		r.link(-1, ids, lens, flags, func(i int) uint16 { return ids[i] })
	}
	r.Offer(ids[0])
}

// link writes the descriptors of a chain, into a table or the ring's own.
func (r *Ring) link(table int, ids []uint16, lens []uint32, flags uint16, at func(int) uint16) {
	for i, id := range ids {
		f, next, off := flags, uint16(0), r.Desc+16*int(id)
		if table >= 0 {
			off = table + 16*i
		}
		if i+1 < len(ids) {
			f, next = f|DescNext, at(i+1)
		}
		r.g.SetDesc(off, r.bufAddr(id), lens[i], f, next)
	}
}

// Offer puts a head into the available ring. The switch sees it after show.
func (r *Ring) Offer(head uint16) {
	*(*uint16)(r.g.at(r.Avail + 4 + 2*(int(r.avail.i)&(r.num-1)))) = head
	r.avail.i++
}

func (r *Ring) addPacked(ids []uint16, lens []uint32, flags uint16) {
	if r.indirect != 0 {
		table := r.indirect + int(ids[0])*tableLen*16
		for i, id := range ids {
			r.g.SetDesc(table+16*i, r.bufAddr(id), lens[i], 0, 0)
		}
		r.putPacked(GuestBase+uint64(table), uint32(16*len(ids)), DescIndirect, ids[0])
		return
	}
	// The head's flags are written last.
	head := r.avail
	for i, id := range ids {
		f := flags
		if i+1 < len(ids) {
			f |= DescNext
		}
		if i > 0 {
			r.putPacked(r.bufAddr(id), lens[i], f, ids[0])
		} else {
			r.step(&r.avail)
		}
	}
	after := r.avail
	r.avail = head
	f := flags
	if len(ids) > 1 {
		f |= DescNext
	}
	r.putPacked(r.bufAddr(ids[0]), lens[0], f, ids[0])
	r.avail = after
}

func (r *Ring) putPacked(addr uint64, n uint32, flags, id uint16) {
	if r.avail.wrap {
		flags |= descAvail
	} else {
		flags |= descUsed
	}
	off := r.Desc + 16*int(r.avail.i)
	*(*uint64)(r.g.at(off)) = addr
	atomic.StoreUint64((*uint64)(r.g.at(off+8)), uint64(n)|uint64(id)<<32|uint64(flags)<<48)
	r.step(&r.avail)
}

func (r *Ring) step(p *position) {
	if p.i++; int(p.i) == r.num {
		p.i, p.wrap = 0, !p.wrap
	}
}

func (r *Ring) load32(off int) uint32     { return atomic.LoadUint32((*uint32)(r.g.at(off))) }
func (r *Ring) store32(off int, v uint32) { atomic.StoreUint32((*uint32)(r.g.at(off)), v) }

// Show lets the switch see what was added, and kicks it if it wants that.
func (r *Ring) Show() {
	if r.packed {
		r.showPacked()
		return
	}
	before, now := r.shown, r.avail.i
	if before == now {
		return
	}
	r.shown = now
	r.store32(r.Avail, r.load32(r.Avail)&0xffff|uint32(now)<<16)
	if r.eventIdx {
		event := *(*uint16)(r.g.at(r.Used + 4 + 8*r.num))
		if now-event-1 < now-before {
			r.kick()
		}
	} else if r.load32(r.Used)&1 == 0 {
		r.kick()
	}
}

func (r *Ring) showPacked() {
	// Kicked whenever it is not forbidden: more often than needed, never less.
	if r.last == r.avail {
		return
	}
	r.last = r.avail
	var fence atomic.Uint32
	fence.Add(1)
	if r.load32(r.Used)>>16&3 != 1 {
		r.kick()
	}
}

var one = [8]byte{1}

func (r *Ring) kick() {
	r.Kicks++
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(r.Kick), uintptr(unsafe.Pointer(&one[0])), 8)
}

// take returns the next used chain.
func (r *Ring) take() (id uint16, n uint32, ok bool) {
	if r.inOrder.on {
		return r.takeInOrder()
	}
	if r.packed {
		w := atomic.LoadUint64((*uint64)(r.g.at(r.Desc + 16*int(r.used.i) + 8)))
		avail, used := w>>48&descAvail != 0, w>>48&descUsed != 0
		if avail != r.used.wrap || used != r.used.wrap {
			return 0, 0, false
		}
		id = uint16(w >> 32)
		steps := len(r.chain[id])
		if r.indirect != 0 {
			steps = 1
		}
		for range steps {
			r.step(&r.used)
		}
		return id, uint32(w), true
	}
	if r.UsedIndex() == r.used.i {
		return 0, 0, false
	}
	e := *(*[2]uint32)(r.g.at(r.Used + 4 + 8*(int(r.used.i)&(r.num-1))))
	r.used.i++
	return uint16(e[0]), e[1], true
}

// UsedIndex is how far the switch has come in a split ring.
func (r *Ring) UsedIndex() uint16 { return uint16(r.load32(r.Used) >> 16) }

// wantCall says whether the switch is to call.
func (r *Ring) wantCall(on bool) {
	switch {
	case r.packed && on:
		r.store32(r.Avail, 0)
	case r.packed:
		r.store32(r.Avail, 1<<16)
	case r.eventIdx:
		event := r.used.i
		if !on {
			event--
		}
		*(*uint16)(r.g.at(r.Avail + 4 + 2*r.num)) = event
		r.store32(r.Avail, uint32(r.shown)<<16) // nothing that follows is read before that is written
	case on:
		r.store32(r.Avail, uint32(r.shown)<<16)
	default:
		r.store32(r.Avail, uint32(r.shown)<<16|1)
	}
}

// release makes the buffers of a chain free again.
func (r *Ring) release(head uint16) { r.free = append(r.free, r.chain[head]...) }
