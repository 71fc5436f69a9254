package vhost

import (
	"fmt"
)

// What follows is called by the session, and changes the Link between two
// batches.

// change calls f while nobody reads or writes.
func (l *Link) change(f func()) {
	_ = l.tryChange(func() error { f(); return nil })
}

// tryChange is change for what can fail. Then the Link ends.
func (l *Link) tryChange(f func() error) (err error) {
	l.rmu.Lock()
	l.wmu.Lock()
	defer l.news.ring()
	defer l.room.ring()
	defer l.rmu.Unlock()
	defer l.wmu.Unlock()
	if err := f(); err != nil {
		return err
	}
	l.sends, l.receives = l.sends[:0:0], l.receives[:0:0]
	for _, r := range l.rings {
		switch {
		case !r.running:
		case !r.receive():
			l.sends = append(l.sends, r)
		case r.enabled:
			l.receives = append(l.receives, r)
		}
	}
	l.turn = 0
	return nil
}

// ring is the ring of a number.
func (l *Link) ring(index uint32) (*ring, error) {
	if index >= uint32(len(l.rings)) {
		return nil, fmt.Errorf("ring %d of %d", index, len(l.rings))
	}
	return l.rings[index], nil
}

// setFeatures notes what the guest's driver wants.
func (l *Link) setFeatures(v uint64) error {
	const layout = featPacked | featInOrder | featEventIdx | featVersion1 | featMergeable
	for _, r := range l.rings {
		if r.running && (v^l.features)&layout != 0 {
			return fmt.Errorf("features %#x after %#x, while ring %d is in use", v, l.features, r.index)
		}
	}
	l.features = v
	takes, leaves := work(v)
	l.leaves, l.retake = leaves, true
	l.takes.Store(uint32(takes))
	l.headLen = shortHead
	if v&(featVersion1|featMergeable) != 0 {
		l.headLen = longHead
	}
	l.log = nil
	if v&featLogAll != 0 {
		l.log = l.logBase
	}
	for _, r := range l.rings {
		r.packed, r.eventIdx, r.log = v&featPacked != 0, v&featEventIdx != 0, l.log
		r.inOrder = v&featInOrder != 0
		if v&featProtocol == 0 {
			r.enabled = true
		}
	}
	return nil
}

// setMemory changes the table of the guest's memory.
func (s *session) setMemory(q request, body []byte) (err error) {
	if q == setMemTable {
		list, err := parseMemTable(body)
		if err != nil {
			return err
		}
		return s.addRegions(&memory{}, list)
	}
	reg, err := parseMemReg(body)
	if err != nil {
		return err
	}
	// QEMU 7.2 tells of both once for each pair of queues.
	if s.l.mem.knows(reg) == (q == addMemReg) {
		return nil
	}
	if q == addMemReg {
		return s.addRegions(s.l.mem, []memRegion{reg})
	}
	return s.useMemory(s.l.mem.without(reg))
}

// addRegions makes the guest's memory what it was and a list of regions, each in
// the file of the descriptor beside it.
func (s *session) addRegions(to *memory, list []memRegion) error {
	if len(s.fds) != len(list) {
		return fmt.Errorf("%d memory regions with %d descriptors", len(list), len(s.fds))
	}
	next := to
	for i, reg := range list {
		more, err := next.with(reg, s.fds[i])
		if err != nil {
			next.release(to)
			return err
		}
		next = more
	}
	return s.useMemory(next)
}

// useMemory puts next in the place of the Link's memory. Rings that are in use
// must lie in it, too.
func (s *session) useMemory(next *memory) error {
	l, old := s.l, s.l.mem
	err := l.tryChange(func() error {
		for _, r := range l.rings {
			if !r.running {
				continue
			}
			if err := r.place(next); err != nil {
				return err
			}
		}
		l.mem = next
		return nil
	})
	if err != nil {
		// Some rings may be in next already. They are not used again.
		l.change(func() {
			for _, r := range l.rings {
				r.stop()
			}
		})
		next.release(old)
		return err
	}
	old.release(next)
	return nil
}

// setLog notes where written pages are to be noted.
func (s *session) setLog(body []byte) error {
	p := payload{rest: body}
	size, offset := p.u64(), p.u64()
	if err := p.done(); err != nil {
		return err
	}
	if len(s.fds) != 1 {
		return fmt.Errorf("%d descriptors, want one", len(s.fds))
	}
	log, err := newDirtyLog(s.fds[0], size, offset)
	if err != nil {
		return err
	}
	l, old := s.l, s.l.logBase
	l.change(func() {
		l.logBase = log
		if l.log != nil {
			l.log = log
			for _, r := range l.rings {
				r.log = log
			}
		}
	})
	old.close()
	return nil
}

// maxRing is the longest ring there can be (virtio 1.2, 2.7 and 2.8).
const maxRing = 1 << 15

func (s *session) setRing(q request, st vringState) error {
	r, err := s.l.ring(st.index)
	if err != nil {
		return err
	}
	switch {
	case q == setVringEnable:
		s.l.change(func() { r.enabled = st.num != 0 })
		return nil
	case r.running:
		return fmt.Errorf("ring %d is in use", r.index)
	case q == setVringNum && (st.num == 0 || st.num > maxRing):
		return fmt.Errorf("ring %d of %d entries", r.index, st.num)
	case q == setVringNum:
		r.num = st.num
	default:
		r.base = st.num
	}
	return nil
}

// setAddr says where a ring is. A front end that starts or ends the log says it
// again while the ring is in use.
func (s *session) setAddr(a vringAddr) error {
	r, err := s.l.ring(a.index)
	if err != nil {
		return err
	}
	return s.l.tryChange(func() error {
		r.addr, r.hasAddr = a, true
		if r.running {
			return r.place(s.l.mem)
		}
		return nil
	})
}

// setFile takes the descriptor that a ring's kick or call goes through. The kick
// starts the ring.
func (s *session) setFile(q request, f vringFile) error {
	l := s.l
	r, err := l.ring(f.index)
	if err != nil {
		return err
	}
	fd := -1
	switch {
	case f.none && len(s.fds) > 0 || !f.none && len(s.fds) != 1:
		return fmt.Errorf("ring %d with %d descriptors", f.index, len(s.fds))
	case f.none && q == setVringKick:
		return fmt.Errorf("ring %d has no eventfd to be kicked by, and no processor is spent on looking into it all the time", f.index)
	case !f.none:
		if err := checkEventfd(s.fds[0]); err != nil {
			return fmt.Errorf("ring %d: %w", f.index, err)
		}
		fd = s.fds[0]
	}
	if q == setVringCall {
		l.change(func() { setFD(&r.call, fd) })
		s.fds = s.fds[:0]
		return nil
	}
	if !r.hasAddr || r.num == 0 {
		return fmt.Errorf("ring %d has no place or no size yet", f.index)
	}
	return l.tryChange(func() error {
		l.setKick(r, fd)
		s.fds = s.fds[:0] // r's from now on
		if err := l.bellOf(r).hear(fd); err != nil {
			return err
		}
		if r.running {
			return nil
		}
		return r.start(l.mem)
	})
}
