// Package ring holds the frames that a slow receiver has not taken yet.
//
// A Ring is a bounded first-in, first-out queue of frames in their final form:
// edited, each behind its length as a stream wants it. Frames lie in
// chunks, one after the other, so that a whole chunk leaves as one Batch and,
// on a stream, as one piece. Chunks come from a pool when a queue builds up and
// go back when it has drained: a port whose receiver keeps up owns none.
//
// Push never waits and never grows the queue beyond its bounds; what does not
// fit is for the caller to count. A Ring is not safe for concurrent use: the
// port's locks order its callers.
package ring

import (
	"encoding/binary"
	"sync"

	"vnetkit/switch/frame"
)

// Limits bounds a Ring in both ways that matter: frames for the time a queue
// of small ones takes to drain, bytes for memory.
type Limits struct {
	Frames int
	Bytes  int
}

// chunkSize is room for the largest frame, or about 1,800 of the smallest.
const chunkSize = 128 << 10

type chunk struct {
	batch frame.Batch
	taken int // refs that were popped
}

var pool = sync.Pool{New: func() any {
	return &chunk{batch: frame.Batch{Buf: make([]byte, 0, chunkSize)}}
}}

// Ring is a queue of frames. The zero value is empty and takes nothing until
// Limits is set.
type Ring struct {
	Limits Limits

	chunks []*chunk
	frames int
	bytes  int
}

// Len is the number of frames in r.
func (r *Ring) Len() int { return r.frames }

// Push puts b's frames in, as far as the limits let it, and returns how many.
func (r *Ring) Push(b *frame.Batch) int {
	for i, ref := range b.Refs {
		n := ref.Edit.Len(int(ref.Len))
		if r.frames >= r.Limits.Frames || r.bytes+n > r.Limits.Bytes {
			return i
		}
		r.push(b.Frame(ref), ref.Edit, n, b.Offload(ref))
	}
	return len(b.Refs)
}

// push puts one frame in whose final length is n. What is left to be done with
// it stays to be done.
func (r *Ring) push(f frame.Frame, e frame.Edit, n int, o *frame.Offload) {
	var c *chunk
	if last := len(r.chunks) - 1; last >= 0 {
		c = r.chunks[last]
	}
	if c == nil || len(c.batch.Buf)+frame.PrefixLen+n > cap(c.batch.Buf) {
		c = pool.Get().(*chunk)
		c.taken = 0
		c.batch.Buf = c.batch.Buf[:0]
		c.batch.Reset()
		c.batch.Prefixed = true
		r.chunks = append(r.chunks, c)
	}
	buf := binary.BigEndian.AppendUint32(c.batch.Buf, uint32(n))
	off := len(buf)
	c.batch.Buf = e.Append(buf, f)
	ref := frame.Ref{Off: uint32(off), Len: uint32(n)}
	if o != nil {
		// There is room: a chunk holds fewer frames than a Batch can have Offloads.
		i, _ := c.batch.AddOffload(o.Moved(e.Len(0)))
		ref.Edit = ref.Edit.WithOffload(i)
	}
	c.batch.Refs = append(c.batch.Refs, ref)
	r.frames++
	r.bytes += n
}

// Head makes b the batch at the front; it has no Refs if r is empty. b is good
// until the next Pop: frames pushed meanwhile lie behind it.
func (r *Ring) Head(b *frame.Batch) {
	b.Reset()
	if r.frames == 0 {
		return
	}
	c := r.chunks[0]
	b.Buf, b.Refs, b.Offloads, b.Prefixed = c.batch.Buf, c.batch.Refs[c.taken:], c.batch.Offloads, true
}

// Pop takes the first n frames of Head out and returns their bytes.
func (r *Ring) Pop(n int) (bytes int) {
	if n == 0 {
		return 0
	}
	c := r.chunks[0]
	for _, ref := range c.batch.Refs[c.taken : c.taken+n] {
		bytes += int(ref.Len)
	}
	c.taken += n
	r.frames -= n
	r.bytes -= bytes
	if c.taken == len(c.batch.Refs) {
		pool.Put(c)
		r.chunks[0] = nil
		r.chunks = r.chunks[1:]
	}
	if len(r.chunks) == 0 {
		r.chunks = nil
	}
	return bytes
}
