package vswitch

import (
	"fmt"
	"slices"
	"strings"

	"vnetkit/switch/frame"
)

// Sources are the source addresses that a port lets in. The zero value lets in
// any. A guest behind a port with Sources cannot pretend to be another station,
// nor fill the forwarding table; what it says inside of its frames, as in ARP, is
// not looked at.
type Sources [8]frame.MAC // zero at the end: not used

// any tells whether s is no restriction.
func (s *Sources) any() bool { return s[0] == frame.MAC{} }

// guard is a copy of s for the data path, or nil if s restricts nothing.
func (s Sources) guard() *Sources {
	if s.any() {
		return nil
	}
	return &s
}

// allow tells whether src, which is not zero, is among s.
func (s *Sources) allow(src frame.MAC) bool {
	for i := range s {
		if s[i] == src {
			return true
		}
	}
	return false
}

// ParseSources reads addresses joined by plus signs. "any" and nothing mean no
// restriction.
func ParseSources(text string) (s Sources, err error) {
	if text == "" || text == "any" {
		return s, nil
	}
	list := s[:0]
	for _, part := range strings.Split(text, "+") {
		mac, err := frame.ParseMAC(part)
		switch {
		case err != nil:
			return Sources{}, fmt.Errorf("%w: allowed addresses: %w", ErrInvalid, err)
		case mac.IsGroup() || mac == (frame.MAC{}):
			return Sources{}, fmt.Errorf("%w: allowed addresses: %v addresses a group or nobody, and nobody sends from it", ErrInvalid, mac)
		case slices.Contains(list, mac):
		case len(list) == len(s):
			return Sources{}, fmt.Errorf("%w: allowed addresses: more than %d", ErrInvalid, len(s))
		default:
			list = append(list, mac)
		}
	}
	return s, nil
}

// String writes s as ParseSources reads it.
func (s Sources) String() string {
	var list []string
	for _, mac := range s {
		if mac != (frame.MAC{}) {
			list = append(list, mac.String())
		}
	}
	if list == nil {
		return "any"
	}
	return strings.Join(list, "+")
}

func (s Sources) describe() string {
	if s.any() {
		return ""
	}
	return ",allowmac=" + s.String()
}
