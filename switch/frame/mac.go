package frame

import (
	"encoding/hex"
	"fmt"
)

// MAC is an EUI-48 hardware address.
type MAC [6]byte

// Broadcast is the address of all stations.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ParseMAC reads six groups of two hexadecimal digits, separated by colons or
// by dashes.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	if len(s) != 17 || (s[2] != ':' && s[2] != '-') {
		return m, fmt.Errorf("parse MAC address %q: want six groups of two hex digits, as in 52:54:00:12:34:56", s)
	}
	for i := range m {
		if i > 0 && s[3*i-1] != s[2] {
			return MAC{}, fmt.Errorf("parse MAC address %q: mixed separators", s)
		}
		if _, err := hex.Decode(m[i:i+1], []byte(s[3*i:3*i+2])); err != nil {
			return MAC{}, fmt.Errorf("parse MAC address %q: %q is not a hex number", s, s[3*i:3*i+2])
		}
	}
	return m, nil
}

// String writes m with lower-case digits and colons.
func (m MAC) String() string {
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 17)
	for i, x := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[x>>4], digits[x&15])
	}
	return string(b)
}

// MarshalText and UnmarshalText make m a string in JSON and TOML.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (m *MAC) UnmarshalText(b []byte) error {
	v, err := ParseMAC(string(b))
	if err == nil {
		*m = v
	}
	return err
}

// IsGroup tells whether m addresses a group of stations: multicast or
// broadcast. A group address is never the source of a valid frame.
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }

// IsReserved tells whether m is one of 01:80:C2:00:00:00 to :0F, which a
// bridge consumes or filters but does not forward (IEEE 802.1Q-2018, 8.6.3):
// spanning tree, PAUSE, LACP, 802.1X, LLDP.
func (m MAC) IsReserved() bool {
	return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && m[5]&0xf0 == 0
}

// Uint64 packs m into the low 48 bits, first byte highest.
func (m MAC) Uint64() uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

// MACFromUint64 is the inverse of MAC.Uint64.
func MACFromUint64(v uint64) MAC {
	return MAC{byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
}
