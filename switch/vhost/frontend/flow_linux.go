package frontend

// What follows moves many frames at once and looks at none: for measuring.

// Prepare writes a frame into every buffer of the ring, for Blast.
func (r *Ring) Prepare(frame []byte) {
	for i := range r.num {
		b := r.Buffer(uint16(i))
		clear(b[:r.g.headLen])
		copy(b[r.g.headLen:], frame)
		r.chain[i] = append(r.chain[i][:0], uint16(i))
	}
}

// Blast takes back what was sent and sends up to n frames of a length again. It
// returns how many.
func (r *Ring) Blast(n, length int) int {
	r.recycle()
	n = min(n, len(r.free))
	for _, id := range r.free[len(r.free)-n:] {
		// Whoever makes a frame has it in his cache.
		*(*uint64)(r.g.at(r.bufs + int(id)*r.g.opt.BufSize)) = 0
		r.offerOne(id, r.g.headLen+length, 0)
	}
	r.free = r.free[:len(r.free)-n]
	r.Show()
	return n
}

// Drain takes all that was received, makes room for as much, and returns how many
// buffers it was.
func (r *Ring) Drain() (n int) {
	n = r.recycle()
	for _, id := range r.free {
		r.offerOne(id, r.g.opt.BufSize, DescWrite)
	}
	r.free = r.free[:0]
	r.Show()
	return n
}

// recycle makes buffers of used chains, which have one each, free.
func (r *Ring) recycle() (n int) {
	for {
		id, _, ok := r.take()
		if !ok {
			return n
		}
		r.free = append(r.free, id)
		n++
	}
}

func (r *Ring) offerOne(id uint16, n int, flags uint16) {
	if r.packed {
		r.putPacked(r.bufAddr(id), uint32(n), flags, id)
		return
	}
	r.g.SetDesc(r.Desc+16*int(id), r.bufAddr(id), uint32(n), flags, 0)
	r.Offer(id)
}

// Quiet asks the switch not to call: who measures looks for himself.
func (r *Ring) Quiet() { r.wantCall(false) }
