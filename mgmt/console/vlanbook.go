package console

import (
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// vlanBook is what the console knows of VLANs besides what ports are set to.
//
// The original's VLAN 0 is a network without a number: frames of ports with
// untagged_vlan=0000, which never leave with a tag. The switch has no such thing,
// every frame belongs to a VLAN from 1 to 4094. So one of these stands for VLAN 0:
// VLAN 1 at first, and another one that nobody uses as soon as somebody creates
// VLAN 1. A port with untagged_vlan=4095, which takes no frames without a tag, is
// one without a native VLAN.
//
// Guarded by Console.mu.
type vlanBook struct {
	made   frame.VIDSet // created here
	native frame.VID    // stands for VLAN 0
	aware  bool         // ports carry tags of VLANs they are members of only; see becomeAware
}

// Numbers of VLANs as the console shows them.
const (
	vlanNative = 0
	vlanNone   = 4095
	maxVLAN    = int(frame.MaxVID)
)

func newVLANBook() vlanBook { return vlanBook{native: 1} }

// vid is the switch's VLAN for the console's.
func (b *vlanBook) vid(vlan int) frame.VID {
	if vlan == vlanNative {
		return b.native
	}
	return frame.VID(vlan)
}

// shown is the console's number of the switch's VLAN.
func (b *vlanBook) shown(vid frame.VID) int {
	if vid == b.native {
		return vlanNative
	}
	return int(vid)
}

// untagged is the console's number of a port's untagged VLAN.
func (b *vlanBook) untagged(cfg *vswitch.PortConfig) int {
	home := cfg.Home()
	if home == 0 {
		return vlanNone
	}
	return b.shown(home)
}

// known lists the VLANs that exist, in order: VLAN 0, those that were created and
// those that ports are set to be members of.
func (b *vlanBook) known(ports []portView) []int {
	list := []int{vlanNative}
	set := used(b.made, ports)
	for v := frame.MinVID; v <= frame.MaxVID; v++ {
		if v != b.native && set.Has(v) {
			list = append(list, int(v))
		}
	}
	return list
}

// used is set and the VLANs that ports are set to be members of.
func used(set frame.VIDSet, ports []portView) frame.VIDSet {
	for i := range ports {
		p := &ports[i]
		if v := frame.VID(p.untagged); v.Valid() {
			set.Add(v)
		}
		for j, word := range p.tagged() {
			set[j] |= word
		}
	}
	return set
}

// spare finds a VLAN that stands for nothing, from the top, where people seldom
// look for one; 0: there is none. but is taken, too.
func (b *vlanBook) spare(ports []portView, but frame.VID) frame.VID {
	taken := used(b.made, ports)
	taken.Add(but)
	taken.Add(b.native)
	for v := frame.MaxVID; v >= frame.MinVID; v-- {
		if !taken.Has(v) {
			return v
		}
	}
	return 0
}
