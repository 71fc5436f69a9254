package impair

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"vnetkit/switch/frame"
)

// What a Line holds at most, whatever it is set to.
const (
	MaxFrames = 1 << 18
	MaxBytes  = 64 << 20
)

// Fate is what becomes of a frame.
type Fate uint8

// The fates.
const (
	Held    Fate = iota // it is on its way
	TooLong             // it does not fit
	Lost                // bad luck
	Full                // too many wait
)

// Line is one direction of a cable. The zero value is a good one.
type Line struct {
	set  Settings
	rng  *rand.Rand
	bad  bool   // in a burst of losses
	free int64  // when Rate lets the next frame begin
	last int64  // when the latest one arrives
	seq  uint64 // of the latest one

	queue queue
	bytes int // of buffers in queue
}

// held is a frame on its way.
type held struct {
	due  int64
	seq  uint64
	data []byte
}

// Set changes how bad l is, for frames from now on. Those on their way arrive
// when they would have, and nobody overtakes them unless that was asked for.
// Lines that share a seed have different luck if their numbers differ.
func (l *Line) Set(s Settings, number uint64) {
	if l.rng == nil || s.Seed != l.set.Seed {
		seed := s.Seed
		if seed == 0 {
			seed = rand.Uint64()
		}
		l.rng = rand.New(rand.NewPCG(seed, number))
	}
	l.set, l.bad, l.free = s, false, 0
}

// Settings is how bad l is now.
func (l *Line) Settings() Settings { return l.set }

// Len is how many frames are on their way.
func (l *Line) Len() int { return len(l.queue) }

// Push sends b's frame r at time now. dup tells that it will arrive twice.
func (l *Line) Push(now int64, b *frame.Batch, r frame.Ref) (fate Fate, dup bool) {
	s := &l.set
	f := b.Frame(r)
	if s.MTU > 0 && f.Payload() > s.MTU {
		return TooLong, false
	}
	if l.lose() {
		return Lost, false
	}
	n := r.Edit.Len(len(f))
	if !l.hold(now, f, r.Edit, n) {
		return Full, false
	}
	dup = s.Dup > 0 && l.rng.Float64() < s.Dup && l.hold(now, f, r.Edit, n)
	return Held, dup
}

// lose decides whether the next frame gets lost. With Burst, losses come from
// a chain of two states (Gilbert): it leaves the bad one with probability
// 1/Burst, and enters it so often that the part Loss is spent there.
func (l *Line) lose() bool {
	s := &l.set
	switch {
	case s.Loss == 0:
		return false
	case s.Burst == 0 || s.Loss == 1:
		return l.rng.Float64() < s.Loss
	case l.bad:
		l.bad = l.rng.Float64() >= 1/s.Burst
	default:
		l.bad = l.rng.Float64() < s.Loss/(s.Burst*(1-s.Loss))
	}
	return l.bad
}

// hold keeps a copy of f until it arrives; false: there is no room.
func (l *Line) hold(now int64, f frame.Frame, e frame.Edit, n int) bool {
	s := &l.set
	due := now
	if s.Rate > 0 {
		start := max(now, l.free)
		wait := s.Queue
		if wait == 0 {
			wait = defaultQueue
		}
		if start-now > int64(wait) {
			return false
		}
		due = start + int64(float64(n)*8e9/float64(s.Rate))
	}
	h := newHeld(n)
	if len(l.queue) >= MaxFrames || l.bytes+cap(h.data) > MaxBytes {
		h.free()
		return false
	}
	if s.Rate > 0 {
		l.free = due
	}
	if s.Jitter > 0 {
		due += max(0, int64(s.Delay)+l.rng.Int64N(2*int64(s.Jitter)+1)-int64(s.Jitter))
	} else {
		due += int64(s.Delay)
	}
	if !s.Reorder && due < l.last {
		due = l.last
	}
	l.last = max(l.last, due)
	l.seq++
	h.due, h.seq, h.data = due, l.seq, e.Append(h.data[:0], f)
	l.bytes += cap(h.data)
	heap.Push(&l.queue, h)
	return true
}

// Next says when the next frame arrives; ok is false if none is on its way.
func (l *Line) Next() (due int64, ok bool) {
	if len(l.queue) == 0 {
		return 0, false
	}
	return l.queue[0].due, true
}

// Pop puts frames that have arrived by now into b, which is empty, as far as
// b.Buf has room, and returns their bytes. b.Buf holds at least frame.MaxLen
// and a tag.
func (l *Line) Pop(now int64, b *frame.Batch) (bytes uint64) {
	b.Prefixed = true
	at := 0
	for len(l.queue) > 0 && l.queue[0].due <= now {
		n := len(l.queue[0].data)
		if at+frame.PrefixLen+n > len(b.Buf) {
			break
		}
		h := heap.Pop(&l.queue).(*held)
		binary.BigEndian.PutUint32(b.Buf[at:], uint32(n))
		at += frame.PrefixLen
		copy(b.Buf[at:], h.data)
		b.Refs = append(b.Refs, frame.Ref{Off: uint32(at), Len: uint32(n)})
		at += n
		bytes += uint64(n)
		l.bytes -= cap(h.data)
		h.free()
	}
	return bytes
}

// Clear has all frames arrive at once: the next Pops bring them.
func (l *Line) Clear() {
	for _, h := range l.queue { // keeps the order of a heap
		h.due = 0
	}
	heap.Init(&l.queue) // by number now
	l.last, l.free = 0, 0
}

// queue is a heap: who arrives first, and among equals who was sent first.
type queue []*held

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].due < q[j].due || q[i].due == q[j].due && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(*held)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return h
}

// Buffers come in a few sizes, and from pools: a Line that holds nothing owns none.
var (
	sizes = [...]int{128, 512, 2048, 16384, frame.MaxLen + frame.TagLen}
	pools [len(sizes)]sync.Pool
)

func newHeld(n int) *held {
	i := 0
	for sizes[i] < n {
		i++
	}
	if h, ok := pools[i].Get().(*held); ok {
		return h
	}
	return &held{data: make([]byte, 0, sizes[i])}
}

func (h *held) free() {
	for i, size := range sizes {
		if cap(h.data) == size {
			pools[i].Put(h)
			return // another may have it by now
		}
	}
}
