package vhost

import "unsafe"

// Split rings (virtio 1.2, 2.7): the driver writes descriptors and, in the
// available ring, the numbers of those that it hands over; the device puts them
// into the used ring when it is done.

func (r *ring) nextSplit(m *memory) (head uint16, err error) {
	head = *(*uint16)(unsafe.Add(r.avail, 4+2*uintptr(uint32(r.at.i)&(r.num-1))))
	if uint32(head) >= r.num {
		return 0, errHead
	}
	r.at.i++
	d := loadSplit(r.desc, uint32(head))
	if d.flags&(descNext|descIndirect) != 0 {
		return head, r.follow(m, d)
	}
	return head, r.add(m, d)
}

// follow appends the segments of a chain that begins with d.
func (r *ring) follow(m *memory, d descriptor) (err error) {
	table, n := r.desc, r.num
	for left := max(maxChain, r.num); left > 0; left-- {
		switch {
		case d.flags&descIndirect == 0:
			err = r.add(m, d)
		case table != r.desc:
			return errIndirect
		default:
			if table, n, err = r.table(m, d); err != nil {
				return err
			}
			d = loadSplit(table, 0)
			continue
		}
		if err != nil || d.flags&descNext == 0 {
			return err
		}
		if uint32(d.next) >= n {
			return errHead
		}
		d = loadSplit(table, uint32(d.next))
	}
	return errLoop
}

func (r *ring) useSplit(head uint16, n uint32) {
	p := unsafe.Add(r.used, 4+8*uintptr(uint32(r.usedAt.i)&(r.num-1)))
	*(*[2]uint32)(p) = [2]uint32{uint32(head), n}
	r.usedAt.i++
}

func (r *ring) publishSplit() (call bool) {
	now, before := r.usedAt.i, r.published.i
	r.published = r.usedAt
	r.storeUsed()
	if !r.eventIdx {
		return load32(r.avail)&1 == 0
	}
	at := 4 + 2*r.num // two bytes; loads are of four
	event := uint16(load32(unsafe.Add(r.avail, at&^3)) >> (at & 3 * 8))
	call = !r.told || wants(event, now, before)
	r.told = true
	return call
}

// storeUsed writes the used index and the flags beside it. As every atomic store
// it comes before all loads that follow.
func (r *ring) storeUsed() {
	v := uint32(r.published.i) << 16
	if !r.kicks && !r.eventIdx {
		v |= 1
	}
	store32(r.used, v)
}

// listenSplit lets the guest kick when it makes the entry at a place available.
func (r *ring) listenSplit(at position) {
	if r.eventIdx {
		*(*uint16)(unsafe.Add(r.used, 4+8*uintptr(r.num))) = at.i
	}
	r.storeUsed() // comes after that, and before the next look
}
