package offload

import (
	"encoding/binary"

	"vnetkit/switch/frame"
)

// Cutter does the work that is left on frames: it makes others of them that
// are ready to be sent anywhere, with their tags edited. It is a loop turned
// inside out, because what comes of one batch may need the room of many.
type Cutter struct {
	b    *frame.Batch // borrowed from Start until Next returns false
	next int          // frame to go on with

	// The super-frame that is being cut, if at > 0.
	l   layout
	at  int // payload bytes that are cut off
	num int // segments so far

	// Cut counts super-frames that were cut, Segments what they became, and
	// Completed the other frames whose checksum was completed, since Start.
	Cut, Segments, Completed uint64
}

// Start makes c begin with the frames of b.
func (c *Cutter) Start(b *frame.Batch) { *c = Cutter{b: b} }

// Next fills dst, whose Buf's capacity is room for at least one frame and stays
// as it is, with the frames that follow, each behind its length. It returns
// false if there are none left.
func (c *Cutter) Next(dst *frame.Batch) bool {
	dst.Reset()
	dst.Buf = dst.Buf[:0]
	dst.Prefixed = true
	for c.next < len(c.b.Refs) && c.one(dst) {
	}
	return len(dst.Refs) > 0
}

// one puts the next frame into dst; false if there is no room.
func (c *Cutter) one(dst *frame.Batch) bool {
	r := c.b.Refs[c.next]
	f, o := c.b.Frame(r), c.b.Offload(r)
	if o != nil && o.GSO != frame.GSONone {
		return c.segment(dst, f, r.Edit, o)
	}
	whole := add(dst, f, nil, r.Edit)
	if whole == nil {
		return false
	}
	c.next++
	if o != nil && o.Flags&frame.NeedsCsum != 0 {
		part := whole[int(o.CsumStart)+r.Edit.Len(0):]
		put(part[o.CsumOffset:], sum(part, 0))
		c.Completed++
	}
	return true
}

// segment cuts the next segment off super-frame f.
func (c *Cutter) segment(dst *frame.Batch, f frame.Frame, e frame.Edit, o *frame.Offload) bool {
	if c.at == 0 && !c.l.find(f) {
		c.next++ // Parse lets no such frame in
		return true
	}
	from := c.l.head + c.at
	to := min(from+int(o.Size), c.l.end)
	seg := add(dst, f[:c.l.head], f[from:to], e)
	if seg == nil {
		return false
	}
	c.finish(seg, e.Len(0), o, to == c.l.end)
	c.at += to - from
	c.num++
	c.Segments++
	if to == c.l.end {
		c.next++
		c.at, c.num = 0, 0
		c.Cut++
	}
	return true
}

// add appends a frame, in two parts, to dst after e and returns it; nil if there
// is no room.
func add(dst *frame.Batch, head, payload []byte, e frame.Edit) []byte {
	n := e.Len(len(head) + len(payload))
	if len(dst.Buf)+frame.PrefixLen+n > cap(dst.Buf) {
		return nil
	}
	buf := binary.BigEndian.AppendUint32(dst.Buf, uint32(n))
	off := len(buf)
	dst.Buf = append(e.Append(buf, head), payload...)
	dst.Refs = append(dst.Refs, frame.Ref{Off: uint32(off), Len: uint32(n)})
	return dst.Buf[off:]
}

// finish makes a segment's headers right, which are moved bytes further back
// than in the super-frame.
func (c *Cutter) finish(seg []byte, moved int, o *frame.Offload, last bool) {
	ip, l4 := seg[c.l.l3+moved:], seg[c.l.l4+moved:]
	if c.l.v6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-ip6Len))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(c.num))
		checksumIP4(ip[:c.l.l4-c.l.l3])
	}
	off := c.l.csumOffset()
	if c.l.proto == protoTCP {
		binary.BigEndian.PutUint32(l4[4:], binary.BigEndian.Uint32(l4[4:])+uint32(c.at))
		if !last {
			l4[13] &^= tcpFIN | tcpPSH
		}
		if c.num > 0 {
			l4[13] &^= tcpCWR
		}
	} else {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
		if none := l4[off] == 0 && l4[off+1] == 0; none && o.Flags&frame.NeedsCsum == 0 {
			return // it does without, which UDP may
		}
	}
	l4[off], l4[off+1] = 0, 0
	addrs := ip[12:20]
	if c.l.v6 {
		addrs = ip[8:40]
	}
	put(l4[off:], sum(l4, pseudo(addrs, c.l.proto, len(l4))))
}

// checksumIP4 writes the checksum of an IPv4 header.
func checksumIP4(h []byte) {
	h[10], h[11] = 0, 0
	put(h[10:], sum(h, 0))
}

// Largest is the number of bytes that count against an MTU in the largest frame
// that f becomes when it is cut as o says.
func Largest(f frame.Frame, o *frame.Offload) int {
	n := f.Payload()
	if o != nil && o.GSO != frame.GSONone {
		n -= len(f) - int(o.HeadLen) - int(o.Size)
	}
	return n
}

// Shrink is o with which TCP frame f is cut small enough for an MTU. It returns
// false if that cannot be: f is not TCP, or came with nothing left to do, as from
// somebody who knows what he sends.
func Shrink(f frame.Frame, o *frame.Offload, mtu int) (frame.Offload, bool) {
	var l layout
	if o == nil || o.Flags&frame.NeedsCsum == 0 || !l.find(f) || l.proto != protoTCP || l.end != len(f) {
		return frame.Offload{}, false
	}
	s := *o
	s.GSO, s.HeadLen = frame.GSOTCP4, uint16(l.head)
	if l.v6 {
		s.GSO = frame.GSOTCP6
	}
	room := mtu - (f.Payload() - (len(f) - l.head)) // less the headers that count
	if room <= 0 || (l.end-l.head)/room >= maxSegments {
		return frame.Offload{}, false
	}
	s.Size = uint16(min(room, 1<<16-1))
	return s, true
}
