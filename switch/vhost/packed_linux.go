package vhost

import "unsafe"

// Packed rings (virtio 1.2, 2.8): there is one ring of descriptors. The driver
// hands one over by its flags, the device overwrites it when it is done and hands
// it back by its flags. Who turns around at the ring's end begins to write the
// flags the other way round, so that old ones are not taken for new ones.

func (r *ring) pendingPacked() bool {
	flags := load64(unsafe.Add(r.desc, 16*uintptr(r.at.i)+8)) >> 48
	avail, used := flags&descAvail != 0, flags&descUsed != 0
	return avail == r.at.wrap && used != r.at.wrap
}

func (r *ring) nextPacked(m *memory) (id uint16, err error) {
	r.descs = 0
	for left := r.num; left > 0; left-- {
		d := loadPacked(r.desc, uint32(r.at.i))
		r.step(&r.at, 1)
		r.descs++
		switch {
		case d.flags&descIndirect == 0:
			err = r.add(m, d)
		case r.descs > 1:
			err = errIndirect
		default:
			err = r.addTable(m, d)
		}
		if err != nil || d.flags&descNext == 0 {
			return d.next, err
		}
	}
	return 0, errLoop
}

// addTable appends the segments of an indirect descriptor. What is in its table
// belongs to one chain, in the order in which it is there.
func (r *ring) addTable(m *memory, d descriptor) error {
	table, n, err := r.table(m, d)
	for i := uint32(0); i < n && err == nil; i++ {
		d := loadPacked(table, i)
		if d.flags&descIndirect != 0 {
			return errIndirect
		}
		err = r.add(m, d)
	}
	return err
}

// step moves p on by n descriptors.
func (r *ring) step(p *position, n uint16) {
	if i := uint32(p.i) + uint32(n); i < r.num {
		p.i = uint16(i)
	} else {
		p.i, p.wrap = uint16(i-r.num), !p.wrap
	}
}

// usePacked writes a used descriptor. The flags of the first since publish are
// kept back: the guest looks at no other before it has seen that one, which is why
// those need no order among themselves.
func (r *ring) usePacked(id, descs uint16, n uint32) {
	word := uint64(n) | uint64(id)<<32
	if r.usedAt.wrap {
		word |= (descAvail | descUsed) << 48
	}
	if n > 0 {
		word |= descWrite << 48
	}
	switch {
	case r.usedAt == r.published:
		r.first = word
	case r.inOrder && !r.receive():
		// The first stands for all when it names the last, and the others stay in
		// the caches of both sides as they are (virtio 1.2, 2.8.8). Where the guest
		// receives it wants to know each length.
		r.first = r.first&^(0xffff<<32) | uint64(id)<<32
	default:
		*(*uint64)(unsafe.Add(r.desc, 16*uintptr(r.usedAt.i)+8)) = word
	}
	r.step(&r.usedAt, descs)
}

// What a side of a packed ring wants to be told of: the place, with wrap in its
// highest bit, and in the upper half how.
const (
	tellAll   = 0
	tellNone  = 1
	tellPlace = 2
)

func (r *ring) publishPacked() (call bool) {
	store64(unsafe.Add(r.desc, 16*uintptr(r.published.i)+8), r.first)
	now := r.usedAt.i
	before := r.published.i
	if r.usedAt.wrap != r.published.wrap {
		before -= uint16(r.num)
	}
	r.published = r.usedAt
	want := load32(r.avail)
	switch want >> 16 & 3 {
	case tellAll:
		return true
	case tellPlace:
		event := uint16(want & 0x7fff)
		if (want&0x8000 != 0) != r.usedAt.wrap {
			event -= uint16(r.num)
		}
		return wants(event, now, before)
	}
	return false
}

// listenPacked lets the guest kick when it makes the descriptor at a place
// available.
func (r *ring) listenPacked(at position) {
	if r.eventIdx {
		store32(r.used, uint32(at.i)|b32(at.wrap)<<15|tellPlace<<16)
		return
	}
	store32(r.used, tellAll)
}
