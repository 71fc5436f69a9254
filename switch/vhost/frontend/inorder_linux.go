package frontend

import "sync/atomic"

// inOrder is what a packed ring by which the guest sends knows beside its
// descriptors where the switch uses them in order: one that is used may stand for
// several chains then, those up to the one it names (virtio 1.2, 2.8.8).
type inOrder struct {
	on    bool
	heads []uint16 // of chains that are not used, in order
	known bool     // those up to last are
	last  uint16
	words uint64 // used descriptors that were found
}

func (r *Ring) takeInOrder() (id uint16, n uint32, ok bool) {
	o := &r.inOrder
	if !o.known {
		w := atomic.LoadUint64((*uint64)(r.g.at(r.Desc + 16*int(r.used.i) + 8)))
		avail, used := w>>48&descAvail != 0, w>>48&descUsed != 0
		if avail != r.used.wrap || used != r.used.wrap {
			return 0, 0, false
		}
		o.known, o.last = true, uint16(w>>32)
		o.words++
	}
	id, o.heads = o.heads[0], o.heads[1:]
	o.known = id != o.last
	steps := len(r.chain[id])
	if r.indirect != 0 {
		steps = 1
	}
	for range steps {
		r.step(&r.used)
	}
	return id, 0, true
}

// UsedWords is how many used descriptors the guest has found where they are used
// in order.
func (r *Ring) UsedWords() uint64 { return r.inOrder.words }
