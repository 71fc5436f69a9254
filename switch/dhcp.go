package vswitch

import (
	"encoding/binary"
	"net/netip"

	"vnetkit/switch/frame"
)

// A DHCP client tells all of its network which address it is going to take: its
// DHCPREQUEST is a broadcast (RFC 2131, 4.3.2), where the answer mostly is not, so
// that who looked at answers would look at every frame. Nor would an answer be
// worth more: it speaks of another station, and anybody can make one. That the
// server refuses is rare, and then the client asks for another address, later; the
// latest counts.
const (
	dhcpFixed   = 236 // bytes before the options, without their cookie
	dhcpCookie  = 0x63825363
	dhcpRequest = 3

	optionPad       = 0
	optionRequested = 50
	optionType      = 53
	optionEnd       = 255
)

// askedIP is the address that packet, of IPv4 and from the station src, asks a DHCP
// server for.
func askedIP(packet []byte, src frame.MAC) (a netip.Addr) {
	m := dhcpOf(packet)
	if len(m) < dhcpFixed+4 || m[0] != 1 || m[1] != 1 || m[2] != 6 || frame.MAC(m[28:34]) != src || // from a client, of Ethernet, itself
		binary.BigEndian.Uint32(m[24:]) != 0 || binary.BigEndian.Uint32(m[dhcpFixed:]) != dhcpCookie { // no relay's
		return a
	}
	if ciaddr := [4]byte(m[12:16]); ciaddr != [4]byte{} {
		a = netip.AddrFrom4(ciaddr)
	}
	request := false
	for o := m[dhcpFixed+4:]; len(o) > 0 && o[0] != optionEnd; {
		if o[0] == optionPad {
			o = o[1:]
			continue
		}
		if len(o) < 2 || len(o) < 2+int(o[1]) {
			return netip.Addr{}
		}
		value := o[2 : 2+int(o[1])]
		switch {
		case o[0] == optionType && len(value) == 1:
			request = value[0] == dhcpRequest
		case o[0] == optionRequested && len(value) == 4:
			a = netip.AddrFrom4([4]byte(value))
		}
		o = o[2+len(value):]
	}
	if !request {
		return netip.Addr{}
	}
	return a
}

// dhcpOf is what a client sends to a server in a packet of IPv4 that is whole; nil:
// it is something else.
func dhcpOf(packet []byte) []byte {
	const udp, clientPort, serverPort = 17, 68, 67
	if len(packet) < 20 || packet[0]>>4 != 4 || packet[9] != udp || binary.BigEndian.Uint16(packet[6:])&0x3fff != 0 { // a fragment
		return nil
	}
	head, total := 4*int(packet[0]&0xf), int(binary.BigEndian.Uint16(packet[2:]))
	if head < 20 || total > len(packet) || total < head+8 {
		return nil
	}
	d := packet[head:total]
	length := int(binary.BigEndian.Uint16(d[4:]))
	if binary.BigEndian.Uint16(d) != clientPort || binary.BigEndian.Uint16(d[2:]) != serverPort || length < 8 || length > len(d) {
		return nil
	}
	return d[8:length]
}
