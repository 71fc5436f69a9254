package filter

import (
	"encoding/binary"

	"vnetkit/switch/frame"
)

// Filter is a compiled expression. It never changes, so any number of
// goroutines may use it.
type Filter struct {
	text    string
	program []inst
	start   int
	deep    bool // looks at what is behind the EtherType
}

// String is the expression.
func (f *Filter) String() string { return f.text }

// op is a kind of test.
type op uint8

const (
	opLess      op = iota // length <= lo
	opGreater             // length >= lo
	opMACSrc              // lo
	opMACDst              // lo
	opBroadcast           // destination
	opMulticast           // destination
	opTagged              //
	opVLAN                // one of the tags has VID lo
	opType                // EtherType lo
	opProto               // protocol lo, in family fam (0: both)
	opSrc                 // address hi, lo under the mask, in family fam
	opDst                 //
	opSrcPort             // lo <= port <= hi
	opDstPort             //
)

// Families of addresses.
const (
	famNone uint8 = 0
	famARP  uint8 = 1
	fam4    uint8 = 4
	fam6    uint8 = 6
)

// test is one question about a frame.
type test struct {
	op       op
	fam      uint8
	hi, lo   uint64
	mhi, mlo uint64
}

// inst is a step of a program: a test and where to go on.
type inst struct {
	test
	yes, no int
}

// Ends of a program.
const (
	accept = -1
	reject = -2
)

// view says where in a frame the headers lie.
type view struct {
	f     frame.Frame
	tags  int
	vid   [2]uint16
	typ   uint16 // EtherType behind the tags; 0: the frame ends before it
	fam   uint8
	src   int // offset of the source address of family fam
	dst   int
	proto int // -1: none, or not found
	ports int // offset of the ports; 0: none
}

// Match tells whether fr is one of those that f selects.
func (f *Filter) Match(fr frame.Frame) bool {
	v := view{f: fr, proto: -1}
	v.ether(f.deep)
	pc := f.start
	for pc >= 0 {
		if in := &f.program[pc]; v.is(&in.test) {
			pc = in.yes
		} else {
			pc = in.no
		}
	}
	return pc == accept
}

// is answers one test.
func (v *view) is(t *test) bool {
	switch t.op {
	case opLess:
		return uint64(len(v.f)) <= t.lo
	case opGreater:
		return uint64(len(v.f)) >= t.lo
	case opTagged:
		return v.tags > 0
	case opVLAN:
		return v.tags > 0 && uint64(v.vid[0]) == t.lo || v.tags > 1 && uint64(v.vid[1]) == t.lo
	case opType:
		return v.typ != 0 && uint64(v.typ) == t.lo
	case opProto:
		return v.proto >= 0 && uint64(v.proto) == t.lo && (t.fam == famNone || t.fam == v.fam)
	case opSrc:
		return v.fam == t.fam && v.address(v.src, t)
	case opDst:
		return v.fam == t.fam && v.address(v.dst, t)
	case opSrcPort:
		return v.port(v.ports, t)
	case opDstPort:
		return v.port(v.ports+2, t)
	}
	if len(v.f) < frame.HeaderLen {
		return false
	}
	switch t.op {
	case opMACSrc:
		return v.f.Src().Uint64() == t.lo
	case opMACDst:
		return v.f.Dst().Uint64() == t.lo
	case opBroadcast:
		return v.f.Dst() == frame.Broadcast
	case opMulticast:
		return v.f.Dst().IsGroup()
	}
	return false
}

func (v *view) address(at int, t *test) bool {
	if t.fam != fam6 {
		return uint64(binary.BigEndian.Uint32(v.f[at:]))&t.mlo == t.lo
	}
	return binary.BigEndian.Uint64(v.f[at:])&t.mhi == t.hi && binary.BigEndian.Uint64(v.f[at+8:])&t.mlo == t.lo
}

func (v *view) port(at int, t *test) bool {
	if v.ports == 0 {
		return false
	}
	p := uint64(binary.BigEndian.Uint16(v.f[at:]))
	return t.lo <= p && p <= t.hi
}

// maxTags is how many VLAN tags are looked through.
const maxTags = 2

// ether finds the EtherType and, if that is wanted, what is behind it.
func (v *view) ether(deep bool) {
	at := 12
	for {
		if len(v.f) < at+2 {
			return
		}
		typ := binary.BigEndian.Uint16(v.f[at:])
		if typ != frame.TypeVLAN && typ != frame.TypeService || v.tags == maxTags || len(v.f) < at+4 {
			v.typ = typ
			break
		}
		v.vid[v.tags] = binary.BigEndian.Uint16(v.f[at+2:]) & 0x0fff
		v.tags++
		at += frame.TagLen
	}
	if !deep {
		return
	}
	switch v.typ {
	case frame.TypeIPv4:
		v.ip(at + 2)
	case frame.TypeIPv6:
		v.ip6(at + 2)
	case frame.TypeARP:
		v.arp(at + 2)
	}
}

// arp finds the addresses of an ARP packet about IPv4 and Ethernet (RFC 826).
func (v *view) arp(at int) {
	if len(v.f) < at+28 || binary.BigEndian.Uint16(v.f[at+2:]) != frame.TypeIPv4 || v.f[at+4] != 6 || v.f[at+5] != 4 {
		return
	}
	v.fam, v.src, v.dst = famARP, at+14, at+24
}

// ip finds addresses, protocol and ports of an IPv4 packet.
func (v *view) ip(at int) {
	if len(v.f) < at+20 || v.f[at]>>4 != 4 {
		return
	}
	v.fam, v.src, v.dst = fam4, at+12, at+16
	v.proto = int(v.f[at+9])
	head := int(v.f[at]&15) * 4
	first := binary.BigEndian.Uint16(v.f[at+6:])&0x1fff == 0
	if head >= 20 && first {
		v.findPorts(at+head, v.end(at, int(binary.BigEndian.Uint16(v.f[at+2:]))))
	}
}

// IPv6 extension headers that are looked through.
const (
	extHopByHop = 0
	extRouting  = 43
	extFragment = 44
	extAuth     = 51
	extDest     = 60
)

// maxExt is how many IPv6 extension headers are looked through; real packets
// have two or three.
const maxExt = 8

// ip6 finds addresses, protocol and ports of an IPv6 packet.
func (v *view) ip6(at int) {
	if len(v.f) < at+40 || v.f[at]>>4 != 6 {
		return
	}
	v.fam, v.src, v.dst = fam6, at+8, at+24
	end, next := v.end(at, 40+int(binary.BigEndian.Uint16(v.f[at+4:]))), v.f[at+6]
	if end == at+40 && next != 59 { // a length of 0: a jumbogram, or not filled in
		end = len(v.f)
	}
	at += 40
	for range maxExt {
		var size int
		switch next {
		default:
			v.proto = int(next)
			v.findPorts(at, end)
			return
		case extHopByHop, extRouting, extDest:
			size = 8
			if end >= at+2 {
				size += int(v.f[at+1]) * 8
			}
		case extAuth:
			size = 8
			if end >= at+2 {
				size += int(v.f[at+1]) * 4
			}
		case extFragment:
			size = 8
		}
		if end < at+size {
			return
		}
		fragment := next == extFragment
		next = v.f[at]
		if fragment && binary.BigEndian.Uint16(v.f[at+2:])&^7 != 0 {
			v.proto = int(next) // what follows is from the middle
			return
		}
		at += size
	}
}

// end is where a packet of so many bytes ends that begins at at. A length of 0
// means that whoever sent it left that to the hardware.
func (v *view) end(at, length int) int {
	if length == 0 || at+length > len(v.f) {
		return len(v.f)
	}
	return at + length
}

func (v *view) findPorts(at, end int) {
	switch v.proto {
	case protoTCP, protoUDP, protoSCTP:
		if at+4 <= end {
			v.ports = at
		}
	}
}
