package vswitch

import (
	"fmt"

	"vnetkit/switch/frame"
)

// Native says what is special about a port's own VLAN, the PVID: with the VLANs
// in Tagged it makes the acceptable frame types of IEEE 802.1Q-2018, 6.9.1, and
// the untagged set of 8.8.2. A transparent port has nothing of this: tags mean
// nothing to it.
type Native uint8

// What a native VLAN can be.
const (
	NativeUntagged Native = iota // its frames come and go without a tag
	NativeTagged                 // frames without a tag belong to it; its frames leave with one
	NativeNone                   // there is none: frames without a VLAN's tag are dropped, and none leaves without one
)

var nativeNames = [...]string{"untagged", "tagged", "none"}

// ParseNative reads untagged, tagged or none.
func ParseNative(text string) (Native, error) {
	for i, name := range nativeNames {
		if text == name {
			return Native(i), nil
		}
	}
	return 0, fmt.Errorf("native %q: want untagged, tagged or none", text)
}

// String is n as ParseNative reads it.
func (n Native) String() string {
	if int(n) >= len(nativeNames) {
		return fmt.Sprintf("native-%d", uint8(n))
	}
	return nativeNames[n]
}

// The settings below have their defaults filled in.

// Home is the VLAN of frames that come in without a tag; 0: they may not.
func (c *PortConfig) Home() frame.VID {
	if c.Native == NativeNone && !c.Transparent {
		return 0
	}
	return c.PVID
}

// Bare is the VLAN whose frames leave without a tag; 0: none does.
func (c *PortConfig) Bare() frame.VID {
	if c.Native != NativeUntagged && !c.Transparent {
		return 0
	}
	return c.PVID
}

// Member tells whether the port carries frames of VLAN vid.
func (c *PortConfig) Member(vid frame.VID) bool {
	return vid == c.Home() || !c.Transparent && c.Tagged.Has(vid)
}

// mainVLAN is the VLAN whose spanning tree stands for those that have none of
// their own: the port's own or, where there is none, the lowest.
func (c *PortConfig) mainVLAN() frame.VID {
	if home := c.Home(); home != 0 {
		return home
	}
	for vid := frame.MinVID; vid <= frame.MaxVID; vid++ {
		if c.Tagged.Has(vid) {
			return vid
		}
	}
	return c.PVID // a port of no VLAN
}

// noTag is why frames that come in without a tag are dropped; notDropped: they
// are not.
func (c *PortConfig) noTag() DropReason {
	if c.Home() == 0 {
		return DropUntagged
	}
	return notDropped
}
