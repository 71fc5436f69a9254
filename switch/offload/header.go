package offload

import (
	"encoding/binary"

	"vnetkit/switch/frame"
)

// Numbers from IANA's registries.
const (
	protoTCP = 6
	protoUDP = 17

	ip4Len = 20 // without options
	ip6Len = 40
	tcpLen = 20 // without options
	udpLen = 8

	tcpCsum = 16 // where the checksum is in the header
	udpCsum = 6
)

// TCP's flags, in the byte at 13 of its header.
const (
	tcpFIN = 1 << iota
	tcpSYN
	tcpRST
	tcpPSH
	tcpACK
	tcpURG
	tcpECE
	tcpCWR
)

// layout says where the headers of a frame with TCP or UDP in it lie.
type layout struct {
	v6    bool
	proto uint8
	l3    int // where the IP header begins
	l4    int // where the TCP or UDP header begins
	head  int // where the payload begins
	end   int // where the IP packet ends; behind it is padding
}

// csumOffset is where in the transport header the checksum is.
func (l *layout) csumOffset() int {
	if l.proto == protoTCP {
		return tcpCsum
	}
	return udpCsum
}

// addrs are both addresses of the IP header of f.
func (l *layout) addrs(f []byte) []byte {
	if l.v6 {
		return f[l.l3+8 : l.l3+40]
	}
	return f[l.l3+12 : l.l3+20]
}

// network finds the IP header of f behind at most two tags. What it returns is
// the EtherType there.
func network(f frame.Frame) (typ uint16, l3 int) {
	if len(f) < frame.HeaderLen {
		return 0, 0
	}
	typ, l3 = f.Type(), frame.HeaderLen
	for tags := 0; tags < 2 && (typ == frame.TypeVLAN || typ == frame.TypeService) && len(f) >= l3+frame.TagLen; tags++ {
		typ = binary.BigEndian.Uint16(f[l3+2:])
		l3 += frame.TagLen
	}
	return typ, l3
}

// find makes l say where f's headers are; false if it is not a whole IP packet
// with TCP or UDP in it. Fragments are not.
func (l *layout) find(f frame.Frame) bool {
	typ, l3 := network(f)
	l.l3 = l3
	ok := false
	switch typ {
	case frame.TypeIPv4:
		l.v6, ok = false, l.find4(f)
	case frame.TypeIPv6:
		l.v6, ok = true, l.find6(f)
	}
	if !ok {
		return false
	}
	switch l.proto {
	case protoTCP:
		if l.end-l.l4 < tcpLen {
			return false
		}
		l.head = l.l4 + int(f[l.l4+12]>>4)*4
		return l.head >= l.l4+tcpLen && l.head <= l.end
	case protoUDP:
		l.head = l.l4 + udpLen
		return l.head <= l.end
	}
	return false
}

func (l *layout) find4(f frame.Frame) bool {
	if len(f) < l.l3+ip4Len {
		return false
	}
	h := f[l.l3:]
	size, total := int(h[0]&15)*4, int(binary.BigEndian.Uint16(h[2:]))
	fragment := binary.BigEndian.Uint16(h[6:])&0x3fff != 0 // more to come, or an offset
	if h[0]>>4 != 4 || size < ip4Len || total < size || total > len(h) || fragment {
		return false
	}
	l.proto, l.l4, l.end = h[9], l.l3+size, l.l3+total
	return true
}

// Extension headers of IPv6 that may stand before TCP and UDP (RFC 8200, 4).
const (
	extHopByHop    = 0
	extRouting     = 43
	extDestination = 60
)

func (l *layout) find6(f frame.Frame) bool {
	if len(f) < l.l3+ip6Len {
		return false
	}
	h := f[l.l3:]
	l.end = l.l3 + ip6Len + int(binary.BigEndian.Uint16(h[4:]))
	if h[0]>>4 != 6 || l.end > len(f) {
		return false
	}
	l.proto, l.l4 = h[6], l.l3+ip6Len
	for l.proto == extHopByHop || l.proto == extRouting || l.proto == extDestination {
		if l.l4+8 > l.end {
			return false
		}
		l.proto, l.l4 = f[l.l4], l.l4+8+int(f[l.l4+1])*8
	}
	return l.l4 <= l.end
}

// Flow is a number that frames of one flow of TCP or UDP have in common, in both
// directions, and others mostly have not.
func Flow(f frame.Frame) uint32 {
	var l layout
	if !l.find(f) {
		return 0
	}
	var n uint32
	for a := l.addrs(f); len(a) > 0; a = a[4:] {
		n += binary.BigEndian.Uint32(a)
	}
	n += uint32(binary.BigEndian.Uint16(f[l.l4:])) + uint32(binary.BigEndian.Uint16(f[l.l4+2:]))
	n *= 0x9e3779b1 // 2^32 over the golden ratio
	return n >> 16
}
