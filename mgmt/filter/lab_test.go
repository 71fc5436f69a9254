package filter_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"vnetkit/mgmt/filter"
	"vnetkit/switch/frame"
)

// Addresses of the frames that tests use.
var (
	macA = frame.MAC{0x52, 0x54, 0, 0, 0, 1}
	macB = frame.MAC{0x52, 0x54, 0, 0, 0, 2}
)

// eth makes a frame from A to B with these tags (TPID and TCI) before its type.
func eth(dst frame.MAC, tags []uint32, typ uint16, payload ...[]byte) frame.Frame {
	f := append(append([]byte{}, dst[:]...), macA[:]...)
	for _, tag := range tags {
		f = binary.BigEndian.AppendUint32(f, tag)
	}
	f = binary.BigEndian.AppendUint16(f, typ)
	for _, p := range payload {
		f = append(f, p...)
	}
	return f
}

// ip makes an IPv4 header; frag is its flags and fragment offset.
func ip(src, dst string, proto byte, frag uint16, options, payload int) []byte {
	h := make([]byte, 20+options)
	h[0] = 0x40 | byte(len(h)/4)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+payload))
	binary.BigEndian.PutUint16(h[4:], 7)
	binary.BigEndian.PutUint16(h[6:], frag)
	h[8], h[9] = 64, proto
	for i := 20; i < len(h); i++ {
		h[i] = 1 // no operation
	}
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	copy(h[12:], s[:])
	copy(h[16:], d[:])
	var sum uint32
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum>>16+sum))
	return h
}

// ip6 makes an IPv6 header.
func ip6(src, dst string, next byte, payload int) []byte {
	h := make([]byte, 40)
	h[0] = 0x60
	binary.BigEndian.PutUint16(h[4:], uint16(payload))
	h[6], h[7] = next, 64
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	copy(h[8:], s[:])
	copy(h[24:], d[:])
	return h
}

// ports begins a transport header of n bytes.
func ports(src, dst uint16, n int) []byte {
	h := make([]byte, n)
	binary.BigEndian.PutUint16(h, src)
	binary.BigEndian.PutUint16(h[2:], dst)
	switch n {
	case 8:
		binary.BigEndian.PutUint16(h[4:], 8) // UDP's length
	case 20:
		h[12] = 0x50 // TCP's
	}
	return h
}

func arp(src, dst string) []byte {
	h := []byte{0, 1, 8, 0, 6, 4, 0, 1}
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	h = append(append(h, macA[:]...), s[:]...)
	return append(append(h, 0, 0, 0, 0, 0, 0), d[:]...)
}

// Tags.
const (
	tag10  = frame.TypeVLAN<<16 | 10
	tag20  = frame.TypeVLAN<<16 | 0xe000 | 20
	stag10 = frame.TypeService<<16 | 10
	ptag   = frame.TypeVLAN<<16 | 0x6000
)

// untagged are frames of every kind that filters tell apart.
func untagged() []frame.Frame { return kinds(nil) }

func kinds(tags []uint32) []frame.Frame {
	group, lldp := frame.MAC{1, 0, 0x5e, 0, 0, 5}, frame.MAC{1, 0x80, 0xc2, 0, 0, 14}
	const a, b, a6, b6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
	e := func(typ uint16, payload ...[]byte) frame.Frame { return eth(macB, tags, typ, payload...) }
	frag := []byte{17, 0, 0, 0, 0, 0, 0, 1}
	frag[3] = 1 // more follow
	rest := []byte{17, 0, 0, 8, 0, 0, 0, 1}
	hop := []byte{43, 0, 1, 4, 0, 0, 0, 0}
	routing := []byte{6, 0, 0, 0, 0, 0, 0, 0}
	return []frame.Frame{
		eth(frame.Broadcast, tags, 0x0806, arp(a, b)),
		eth(frame.Broadcast, tags, 0x0806, arp("192.168.1.1", "192.168.1.2"), make([]byte, 18)),
		eth(group, tags, 0x0800, ip(a, "224.0.0.5", 89, 0, 0, 4), make([]byte, 4)),
		eth(lldp, tags, 0x88cc, []byte{2, 7, 4, 0x52, 0x54, 0, 0, 0, 1, 4, 2, 7, 49, 6, 2, 0, 120, 0, 0}),
		e(0x0800, ip(a, b, 6, 0, 0, 20), ports(1234, 80, 20)),
		e(0x0800, ip(b, a, 6, 0, 0, 20), ports(80, 1234, 20)),
		e(0x0800, ip(a, b, 6, 0, 8, 20), ports(4000, 22, 20)),
		e(0x0800, ip(a, "10.1.2.3", 17, 0, 0, 8), ports(5000, 53, 8)),
		e(0x0800, ip("172.16.0.9", b, 17, 0, 0, 8), ports(53, 80, 8), make([]byte, 18)),
		e(0x0800, ip(a, b, 17, 0x2000, 0, 16), ports(6000, 53, 8), make([]byte, 8)),
		e(0x0800, ip(a, b, 17, 0x0002, 0, 8), ports(6000, 53, 8)),
		e(0x0800, ip(a, b, 1, 0, 0, 8), []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0}),
		e(0x0800, ip(a, b, 132, 0, 0, 12), ports(80, 9, 12)),
		e(0x0800, ip(a, b, 47, 0, 0, 4), make([]byte, 4)),
		e(0x86dd, ip6(a6, b6, 6, 20), ports(1234, 80, 20)),
		e(0x86dd, ip6(b6, a6, 17, 8), ports(53, 5353, 8)),
		e(0x86dd, ip6(a6, "fe80::1", 58, 8), []byte{128, 0, 0, 0, 0, 0, 0, 0}),
		e(0x86dd, ip6(a6, b6, 44, 24), frag, ports(6000, 53, 8), make([]byte, 8)),
		e(0x86dd, ip6(a6, b6, 44, 16), rest, ports(6000, 53, 8)),
		e(0x86dd, ip6(a6, b6, 0, 36), hop, routing, ports(1234, 80, 20)),
		e(0x88b5, make([]byte, 50)),
		e(0x88b5, make([]byte, 1500)),
	}
}

func parse(t testing.TB, text string) *filter.Filter {
	t.Helper()
	f, err := filter.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// matches lists the numbers, from 1, of the frames that an expression selects.
func matches(t testing.TB, text string, frames []frame.Frame) []int {
	t.Helper()
	f := parse(t, text)
	list := []int{}
	for i, fr := range frames {
		if f.Match(fr) {
			list = append(list, i+1)
		}
	}
	return list
}
