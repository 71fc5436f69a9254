package vswitch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/ring"
)

// defaultRing bounds what waits for a receiver. A receiver that lost the CPU
// for some milliseconds must find its frames when it comes back; more than that
// only makes them old. Two million small frames a second for 30 ms, which is as
// long as a busy machine may keep a thread waiting, is 65,536.
var defaultRing = ring.Limits{Frames: 65536, Bytes: 4 << 20}

// egress is the sending half of a Port. Any worker may send.
type egress struct {
	mu      sync.Mutex  // held while writing, which never waits; who sends only tries it
	link    link.Link   // guarded by mu; nil: there is none
	batch   frame.Batch // guarded by mu: what drain writes
	watch   writeWatch  // guarded by mu
	borrows bool        // guarded by mu: the link takes lent frames
	full    atomic.Bool // the link waits to be writable; changed under mu

	takes    atomic.Uint32 // the link's OffloadSet; changed under mu and qmu
	patience atomic.Int64  // the link's, with its senders; 0: the usual one

	qmu      sync.Mutex // guards what follows; held for copying only
	ring     ring.Ring
	waiters  []*plug      // sources that are held until the link is not full
	mark     uint64       // bytes when a source was held last, or let go
	creditAt time.Time    // no source is held for this port before; zero: it has credit
	len      atomic.Int64 // ring.Len(); changed under qmu

	frames, bytes atomic.Uint64 // what the link took; changed under mu
}

// transmit sends b's frames, bytes long in all, or queues them behind those that
// wait already, or drops them. It does not wait and keeps nothing of b. It
// returns false if the link is full now.
func (p *Port) transmit(b *frame.Batch, bytes uint64) bool {
	if list := p.shared.Load(); list != nil {
		p.transmitAll(b, bytes, *list)
		return true
	}
	return p.transmitOne(b, bytes)
}

// transmitOne is transmit to one endpoint.
func (p *Port) transmitOne(b *frame.Batch, bytes uint64) bool {
	takes := frame.OffloadSet(p.tx.takes.Load())
	if len(b.Offloads) > 0 && slices.ContainsFunc(b.Refs, func(r frame.Ref) bool { return !taken(b, r, takes) }) {
		return p.transmitUnloaded(b, takes)
	}
	return p.transmitReady(b, bytes, takes)
}

// transmitReady is transmitOne of frames that a link that takes a set takes as
// they are.
func (p *Port) transmitReady(b *frame.Batch, bytes uint64, takes frame.OffloadSet) bool {
	t := &p.tx
	if !t.mu.TryLock() {
		p.queue(b, 0, takes)
		p.drain() // the holder may have looked before we queued
		return !t.full.Load()
	}
	if t.link == nil {
		p.drops[DropLinkLost].Add(uint64(len(b.Refs)))
		p.note(b, b.Refs, DirOut, DropLinkLost)
		t.mu.Unlock()
		return true
	}
	if t.full.Load() || t.len.Load() > 0 || t.takes.Load() != uint32(takes) {
		p.queue(b, 0, takes)
	} else if n := p.write(b, bytes); n < len(b.Refs) {
		p.queue(b, n, takes)
	}
	t.mu.Unlock()
	p.drain() // what others queued while we held the lock
	return !t.full.Load()
}

// drain writes what waits in the ring, as far as the link takes it.
func (p *Port) drain() {
	t := &p.tx
	for t.len.Load() > 0 && !t.full.Load() && t.mu.TryLock() {
		p.drainLocked()
		t.mu.Unlock()
	}
}

// writable is drain for when the link says that it can take more.
func (p *Port) writable() {
	t := &p.tx
	t.mu.Lock() // this news comes once; who holds the lock never waits
	if t.full.Load() && t.link != nil {
		t.full.Store(false)
		t.batch.Reset()
		p.write(&t.batch, 0) // the end of a frame that was cut
		p.drainLocked()
	}
	t.mu.Unlock()
	p.drain()
	if !t.full.Load() {
		p.caughtUp()
	}
}

// drainLocked is called with tx.mu held.
func (p *Port) drainLocked() {
	t := &p.tx
	for t.link != nil && !t.full.Load() {
		t.qmu.Lock()
		t.ring.Head(&t.batch)
		t.qmu.Unlock()
		if len(t.batch.Refs) == 0 {
			break
		}
		n := p.write(&t.batch, 0)
		t.qmu.Lock()
		t.ring.Pop(n)
		t.len.Store(int64(t.ring.Len()))
		t.qmu.Unlock()
	}
	t.batch = frame.Batch{}
	if t.link == nil {
		p.abandon()
	}
}

// write gives b's frames to the link and returns how many it took. bytes is
// their length in all, or 0 if the caller does not know. Called with tx.mu held.
func (p *Port) write(b *frame.Batch, bytes uint64) int {
	t := &p.tx
	if !t.borrows {
		b.Bring(b.Refs)
	}
	n, err := t.link.WriteBatch(b)
	if b.Merged|b.Refused != 0 {
		p.merged.Add(uint64(b.Merged))
		p.drops[DropRefused].Add(uint64(b.Refused))
	}
	if n < len(b.Refs) || bytes == 0 {
		bytes = 0
		for _, r := range b.Refs[:n] {
			bytes += uint64(r.Edit.Len(int(r.Len)))
		}
	}
	p.note(b, b.Refs[:n], DirOut, notDropped)
	t.frames.Add(uint64(n - b.Refused))
	t.bytes.Add(bytes - uint64(b.RefusedBytes))
	switch {
	case err == nil:
	case errors.Is(err, link.ErrFull):
		t.full.Store(true)
		p.awaitWritable()
	default:
		p.lose(err)
	}
	return n
}

// awaitWritable has writable called when the link can take more. Called with
// tx.mu held.
func (p *Port) awaitWritable() {
	t := &p.tx
	if err := t.watch.arm(p.worker.poller, t.link, p.token); err != nil {
		p.lose(fmt.Errorf("wait until writable: %w", err))
	}
}

// lose gives up the link because of err. Called with tx.mu held.
func (p *Port) lose(err error) {
	p.endLink(err)
	p.tx.link = nil
}

// endLink has p's worker end p's link because of err. Called with tx.mu held,
// while p has a link: p's worker and token are that link's for as long.
func (p *Port) endLink(err error) {
	w, token := p.worker, p.token
	w.do(func() { w.detach(token, err) })
}

// queue copies b's frames from number n on into the ring and counts what does
// not fit. They are ready for a link that takes a set.
func (p *Port) queue(b *frame.Batch, n int, takes frame.OffloadSet) {
	t := &p.tx
	b.Bring(b.Refs[n:])
	rest := frame.Batch{Buf: b.Buf, Refs: b.Refs[n:], Offloads: b.Offloads}
	t.qmu.Lock()
	if t.takes.Load() != uint32(takes) { // there is another link by now
		t.qmu.Unlock()
		p.drops[DropLinkLost].Add(uint64(len(rest.Refs)))
		p.note(b, rest.Refs, DirOut, DropLinkLost)
		return
	}
	took := t.ring.Push(&rest)
	t.len.Store(int64(t.ring.Len()))
	t.qmu.Unlock()
	if lost := len(rest.Refs) - took; lost > 0 {
		p.drops[DropRingFull].Add(uint64(lost))
		p.note(b, rest.Refs[took:], DirOut, DropRingFull)
	}
}

// abandon drops what waits for a link that is gone.
func (p *Port) abandon() {
	t := &p.tx
	t.qmu.Lock()
	defer t.qmu.Unlock()
	var b frame.Batch
	for t.ring.Head(&b); len(b.Refs) > 0; t.ring.Head(&b) {
		p.drops[DropLinkLost].Add(uint64(len(b.Refs)))
		p.note(&b, b.Refs, DirOut, DropLinkLost)
		t.ring.Pop(len(b.Refs))
	}
	t.len.Store(0)
}
