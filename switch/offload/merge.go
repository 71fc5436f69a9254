package offload

import (
	"bytes"
	"encoding/binary"

	"vnetkit/switch/frame"
)

const (
	maxIP     = 65535 // longest IP packet
	maxHead   = frame.HeaderLen + 2*frame.TagLen + ip6Len + 60
	maxPieces = 256
)

// Merger makes a super-frame of neighbouring TCP segments, without copying
// their payload. What it holds is borrowed from the batch that they lie in.
type Merger struct {
	l      layout      // of the first segment
	first  frame.Frame // as it came
	edit   frame.Edit  // of all of them
	known  bool        // the first segment's checksum is right
	ended  bool        // nothing can follow
	size   int         // payload bytes of each segment but the last
	total  int         // payload bytes so far
	seq    uint32      // of the byte that must follow
	id     uint16      // of the latest IPv4 header
	steady bool        // all IPv4 identifications are the same
	flags  uint8       // of the latest segment

	head [maxHead]byte

	// Pieces are the payloads of what was merged so far.
	Pieces [][]byte
}

// mergeable finds f's headers; false if it is nothing that could be part of a
// super-frame: data in TCP, in no fragment, with no IP options, and with no flag
// that means more than data.
func mergeable(l *layout, f frame.Frame) bool {
	if !l.find(f) || l.proto != protoTCP || l.head == l.end {
		return false
	}
	plain := l.l4 == l.l3+ip4Len
	if l.v6 {
		plain = l.l4 == l.l3+ip6Len
	}
	return plain && f[l.l4+13]&(tcpSYN|tcpRST|tcpURG|tcpCWR|tcpACK) == tcpACK
}

// Start makes m begin with frame r of b; false if nothing can be merged to it.
func (m *Merger) Start(b *frame.Batch, r frame.Ref) bool {
	m.Pieces = m.Pieces[:0]
	o := b.Offload(r)
	m.first, m.edit = b.Frame(r), r.Edit.WithoutOffload()
	if o != nil && o.GSO != frame.GSONone || !mergeable(&m.l, m.first) ||
		m.l.l3+m.edit.Len(0) > frame.HeaderLen+2*frame.TagLen { // behind three tags nobody finds the headers
		return false
	}
	f := m.first
	m.known, m.ended = trusted(o, &m.l), f[m.l.l4+13]&(tcpFIN|tcpPSH) != 0
	m.size = m.l.end - m.l.head
	m.total = m.size
	m.seq = binary.BigEndian.Uint32(f[m.l.l4+4:]) + uint32(m.size)
	m.flags = f[m.l.l4+13]
	m.id, m.steady = binary.BigEndian.Uint16(f[m.l.l3+4:]), false
	m.Pieces = append(m.Pieces, f[m.l.head:m.l.end])
	return true
}

// Add merges frame r of b to what m has; false if it does not belong there.
func (m *Merger) Add(b *frame.Batch, r frame.Ref) bool {
	if m.ended || len(m.Pieces) == maxPieces || r.Edit.WithoutOffload() != m.edit {
		return false
	}
	var l layout
	f, o := b.Frame(r), b.Offload(r)
	if o != nil && o.GSO != frame.GSONone || !mergeable(&l, f) || !m.follows(&l, f) {
		return false
	}
	if !m.known {
		if !m.l.verify(m.first) {
			m.ended = true
			return false
		}
		m.known = true
	}
	if !trusted(o, &l) && !l.verify(f) {
		return false
	}
	n := l.end - l.head
	m.steady = m.id == binary.BigEndian.Uint16(f[l.l3+4:])
	m.id = binary.BigEndian.Uint16(f[l.l3+4:])
	m.flags = f[l.l4+13]
	m.ended = n < m.size || m.flags&(tcpFIN|tcpPSH) != 0
	m.total += n
	m.seq += uint32(n)
	m.Pieces = append(m.Pieces, f[l.head:l.end])
	return true
}

// follows tells whether f, whose layout is l, is the segment that comes next in
// the same flow, with headers that differ only where cutting would make them
// differ.
func (m *Merger) follows(l *layout, f frame.Frame) bool {
	n := l.end - l.head
	if l.v6 != m.l.v6 || l.l3 != m.l.l3 || l.head != m.l.head || n > m.size || m.total+n+l.head-l.l3 > maxIP {
		return false
	}
	a, b := m.first, f
	if !bytes.Equal(a[:l.l3], b[:l.l3]) { // addresses, tags, type
		return false
	}
	a, b = a[l.l3:l.head], b[l.l3:l.head]
	if l.v6 {
		// Version, class, flow; next header, hop limit, addresses.
		if !bytes.Equal(a[:4], b[:4]) || !bytes.Equal(a[6:ip6Len], b[6:ip6Len]) {
			return false
		}
		a, b = a[ip6Len:], b[ip6Len:]
	} else {
		// Version, length, class; flags; TTL, protocol; addresses.
		if !bytes.Equal(a[:2], b[:2]) || !bytes.Equal(a[6:10], b[6:10]) || !bytes.Equal(a[12:ip4Len], b[12:ip4Len]) || !m.numbered(b) {
			return false
		}
		a, b = a[ip4Len:], b[ip4Len:]
	}
	// Ports; acknowledgement, header length; window; options. The flags, less
	// those that say that this is the last one.
	return bytes.Equal(a[:4], b[:4]) && binary.BigEndian.Uint32(b[4:]) == m.seq && bytes.Equal(a[8:13], b[8:13]) &&
		(m.flags^b[13])&^(tcpFIN|tcpPSH) == 0 && bytes.Equal(a[14:16], b[14:16]) && bytes.Equal(a[18:], b[18:])
}

// numbered tells whether the identification of IPv4 header h is the one that
// comes next: one more than the latest, as cutting makes it, or the same where
// it means nothing because the packet must not be fragmented (RFC 6864).
func (m *Merger) numbered(h []byte) bool {
	id := binary.BigEndian.Uint16(h[4:])
	if id == m.id+1 {
		return !m.steady || len(m.Pieces) == 1
	}
	const dontFragment = 0x40
	return id == m.id && h[6]&dontFragment != 0 && (m.steady || len(m.Pieces) == 1)
}

// trusted tells whether o says that the checksum is right, or will be made.
func trusted(o *frame.Offload, l *layout) bool {
	if o == nil {
		return false
	}
	if o.Flags&frame.NeedsCsum != 0 {
		return int(o.CsumStart) == l.l4 && o.CsumOffset == tcpCsum
	}
	return o.Flags&frame.DataValid != 0
}

// verify tells whether both checksums of f are right.
func (l *layout) verify(f frame.Frame) bool {
	if !l.v6 && fold(sum(f[l.l3:l.l4], 0)) != 0xffff {
		return false
	}
	return fold(sum(f[l.l4:l.end], pseudo(l.addrs(f), l.proto, l.end-l.l4))) == 0xffff
}

// Merged is how many frames m has.
func (m *Merger) Merged() int { return len(m.Pieces) }

// Finish returns the headers of the super-frame, after the Edit, and what is
// left to be done on it. Both are good until the next Start.
func (m *Merger) Finish() ([]byte, frame.Offload) {
	h := m.edit.Append(m.head[:0], m.first[:m.l.head])
	moved := m.edit.Len(0)
	ip, l4 := h[m.l.l3+moved:], h[m.l.l4+moved:]
	size := len(ip) + m.total
	l4[13] |= m.flags
	o := frame.Offload{
		Flags: frame.NeedsCsum, GSO: frame.GSOTCP4, HeadLen: uint16(len(h)), Size: uint16(m.size),
		CsumStart: uint16(m.l.l4 + moved), CsumOffset: tcpCsum,
	}
	if m.l.v6 {
		o.GSO = frame.GSOTCP6
		binary.BigEndian.PutUint16(ip[4:], uint16(size-ip6Len))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(size))
		checksumIP4(ip[:ip4Len])
	}
	part := fold(pseudo(m.l.addrs(m.first), protoTCP, len(l4)+m.total))
	binary.NativeEndian.PutUint16(l4[tcpCsum:], part)
	return h, o
}
