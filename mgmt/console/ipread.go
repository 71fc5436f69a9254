package console

import (
	"encoding/binary"
	"net/netip"

	"vnetkit/switch/frame"
)

// What is looked at in frames.
const (
	protoICMPv6 = 58
	neighbourAd = 136 // neighbour advertisement, RFC 4861, 4.4
)

// source is the bytes of the address that the station which sent f says is its
// own; nil: it says none.
func source(f frame.Frame) []byte {
	switch typ, b := f.Network(); {
	case typ == frame.TypeARP && len(b) >= 28 && b[4] == 6 && b[5] == 4: // RFC 826: sender protocol address
		return b[14:18]
	case typ == frame.TypeIPv4 && len(b) >= 20 && b[0]>>4 == 4:
		return b[12:16]
	case typ == frame.TypeIPv6 && len(b) >= 40 && b[0]>>4 == 6:
		return b[8:24]
	}
	return nil
}

// ipKey is a number for f's station and address; ok is false where there is none.
// Two pairs with one number hide each other for a second, no longer.
func ipKey(f frame.Frame) (key uint64, ok bool) {
	a := source(f)
	if a == nil {
		return 0, false
	}
	const prime = 0x9e3779b97f4a7c15
	key = f.Src().Uint64() * prime
	for ; len(a) > 0; a = a[4:] {
		key = (key ^ uint64(binary.BigEndian.Uint32(a))) * prime
		key ^= key >> 29
	}
	return key, true
}

// readIP is the address that the station which sent f uses: its own in a header,
// in ARP or in a neighbour advertisement. Addresses that mean nobody and everybody
// do not count.
func readIP(f frame.Frame) (netip.Addr, bool) {
	b := source(f)
	if b == nil || f.Src().IsGroup() {
		return netip.Addr{}, false
	}
	a, ok := netip.AddrFromSlice(b)
	if target, adv := advertised(f); adv {
		a = target
	}
	if !ok || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, false
	}
	return a, true
}

// advertised is the target of a neighbour advertisement.
func advertised(f frame.Frame) (netip.Addr, bool) {
	typ, b := f.Network()
	if typ != frame.TypeIPv6 || len(b) < 64 || b[6] != protoICMPv6 || b[40] != neighbourAd {
		return netip.Addr{}, false
	}
	return netip.AddrFromSlice(b[48:64])
}
