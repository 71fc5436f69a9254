package main

import (
	"strconv"

	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
)

// What the native VLAN of a port can be, besides untagged.
const (
	nativeUntagged = "untagged"
	nativeTagged   = "tagged"
	nativeNone     = "none"
)

var natives = []string{nativeUntagged, nativeTagged, nativeNone}

// homeVLAN is the VLAN of p's frames without a tag; 0: it has none.
func homeVLAN(p api.Port) frame.VID {
	if p.Native == nativeNone && !p.Transparent {
		return 0
	}
	return frame.VID(p.PVID)
}

// bareVLAN is the VLAN whose frames leave p without a tag; 0: none.
func bareVLAN(p api.Port) frame.VID {
	if p.Native == nativeTagged && !p.Transparent {
		return 0
	}
	return homeVLAN(p)
}

// nativeText is p's native VLAN, and whether it is unlike others.
func nativeText(p api.Port) string {
	switch home := homeVLAN(p); {
	case home == 0:
		return nativeNone
	case bareVLAN(p) == 0:
		return strconv.Itoa(int(home)) + ":tagged"
	default:
		return strconv.Itoa(int(home))
	}
}
