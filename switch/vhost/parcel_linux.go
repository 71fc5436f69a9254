package vhost

import (
	"encoding/binary"
	"unsafe"

	"vnetkit/switch/frame"
	"vnetkit/switch/offload"
)

// Lengths of struct virtio_net_hdr (virtio 1.2, 5.1.6): with the number of
// buffers that a frame has, and the old one without.
const (
	longHead  = 12
	shortHead = 10
)

// canMerge is what a guest must take to be given neighbouring TCP segments as one
// super-frame.
const canMerge = frame.CanCsum | frame.CanTCP4 | frame.CanTCP6

// parcel is what goes into the guest's buffers as one frame: a virtio header,
// what the Edit makes of the frame's beginning, the frame's own bytes, and zeros
// up to the least length. Its pieces are borrowed from the batch.
type parcel struct {
	stage  [longHead + 256]byte // headers that are not in the batch as they go out
	head   []byte               // in stage
	body   []byte
	more   [][]byte // behind body
	pieces [][]byte // room for more
	size   uint32   // of everything
	merger offload.Merger
}

// merge makes p the first of refs and those behind it that can be merged to it,
// and returns how many that are. Where it is one, p is nothing.
func (p *parcel) merge(b *frame.Batch, refs []frame.Ref, headLen uint32) int {
	if len(refs) == 1 || !p.merger.Start(b, refs[0]) {
		return 1
	}
	n := 1
	for n < len(refs) && p.merger.Add(b, refs[n]) {
		n++
	}
	if n > 1 {
		p.packMerged(headLen)
	}
	return n
}

// pack makes p a frame.
func (p *parcel) pack(l *Link, b *frame.Batch, ref frame.Ref) {
	f, e := b.Own(ref), ref.Edit
	clear(p.stage[:longHead])
	if o := b.Offload(ref); o != nil && l.features&featTakesCsum != 0 {
		offload.Put(p.stage[:], *o, e.Len(0))
	}
	head, skip := e.Head(p.stage[:l.headLen], f)
	p.head, p.body, p.more = head, f[skip:], nil
	if ref.Rest != 0 {
		p.pieces = p.pieces[:0]
		for _, r := range b.RestOf(ref) {
			p.pieces = append(p.pieces, r.Bytes)
		}
		p.more = p.pieces
	}
	p.size = l.sizeOf(ref)
}

// packMerged makes p the super-frame that the merger has made.
func (p *parcel) packMerged(headLen uint32) {
	head, o := p.merger.Finish()
	clear(p.stage[:longHead])
	offload.Put(p.stage[:], o, 0)
	p.head = append(p.stage[:headLen], head...)
	p.body, p.more = nil, p.merger.Pieces
	p.size = uint32(len(p.head))
	for _, m := range p.more {
		p.size += uint32(len(m))
	}
}

// copyTo writes p into segments, which have room for it. buffers is how many
// chains they belong to.
func (p *parcel) copyTo(segs []segment, buffers int, headLen uint32) {
	if headLen == longHead { // which says so
		binary.LittleEndian.PutUint16(p.stage[shortHead:], uint16(buffers))
	}
	o := outlet{segs: segs, left: p.size}
	o.write(p.head)
	o.write(p.body)
	for _, m := range p.more {
		o.write(m)
	}
	o.write(zeros[:o.left])
}

var zeros [longHead + frame.MinLen]byte

// outlet is where the next byte goes.
type outlet struct {
	segs []segment
	used uint32 // of the first
	left uint32 // bytes that are still to come
}

// write copies b; there is room.
func (o *outlet) write(b []byte) {
	o.left -= uint32(len(b))
	for len(b) > 0 {
		s := &o.segs[0]
		n := copy(unsafe.Slice((*byte)(unsafe.Add(s.p, o.used)), s.n-o.used), b)
		b = b[n:]
		o.used += uint32(n)
		if o.used == s.n {
			o.segs, o.used = o.segs[1:], 0
		}
	}
}
