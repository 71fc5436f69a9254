package frame

import (
	"fmt"
	"strconv"
	"strings"
)

// VIDSet is a set of VLAN identifiers. The zero value is empty.
type VIDSet [4096 / 64]uint64

// AllVIDs is the set of every valid VID.
func AllVIDs() (s VIDSet) {
	for i := range s {
		s[i] = ^uint64(0)
	}
	s[0] &^= 1        // 0 is no VLAN
	s[63] &^= 1 << 63 // nor is 4095
	return s
}

// Has tells whether v is in s.
func (s *VIDSet) Has(v VID) bool { return s[v>>6&63]>>(v&63)&1 != 0 }

// Add puts v into s.
func (s *VIDSet) Add(v VID) { s[v>>6&63] |= 1 << (v & 63) }

// Empty tells whether s has no member.
func (s *VIDSet) Empty() bool { return *s == VIDSet{} }

// ParseVIDSet reads "all", "none" (or nothing), or VIDs and ranges joined by
// plus signs: 10+20-29+4000.
func ParseVIDSet(text string) (VIDSet, error) {
	var s VIDSet
	switch text {
	case "", "none":
		return s, nil
	case "all":
		return AllVIDs(), nil
	}
	for _, part := range strings.Split(text, "+") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		a, err := ParseVID(lo)
		if err != nil {
			return VIDSet{}, err
		}
		b, err := ParseVID(hi)
		if err != nil {
			return VIDSet{}, err
		}
		if a > b {
			return VIDSet{}, fmt.Errorf("parse VLANs %q: range runs backwards", part)
		}
		for v := a; v <= b; v++ {
			s.Add(v)
		}
	}
	return s, nil
}

// ParseVID reads one decimal VID, 1..4094.
func ParseVID(s string) (VID, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if v := VID(n); err == nil && v.Valid() {
		return v, nil
	}
	return 0, fmt.Errorf("parse VLAN %q: want a number from 1 to 4094", s)
}

// String writes s as ParseVIDSet reads it; the empty set is "none".
func (s VIDSet) String() string {
	if s.Empty() {
		return "none"
	}
	if s == AllVIDs() {
		return "all"
	}
	var out strings.Builder
	for v := MinVID; v <= MaxVID; v++ {
		if s[v>>6]>>(v&63) == 0 {
			v |= 63 // nothing more in this word
			continue
		}
		if !s.Has(v) {
			continue
		}
		end := v
		for end < MaxVID && s.Has(end+1) {
			end++
		}
		if out.Len() > 0 {
			out.WriteByte('+')
		}
		fmt.Fprintf(&out, "%d", v)
		if end > v {
			fmt.Fprintf(&out, "-%d", end)
		}
		v = end
	}
	return out.String()
}
