package stp

import (
	"cmp"
	"fmt"

	"vnetkit/switch/frame"
)

// ID names a bridge: 16 bits of priority, then its address. The lowest wins
// (IEEE 802.1D-2004, 9.2.5).
type ID uint64

// MakeID packs a priority and an address.
func MakeID(priority uint16, mac frame.MAC) ID { return ID(uint64(priority)<<48 | mac.Uint64()) }

// Priority is the first part of id.
func (id ID) Priority() uint16 { return uint16(id >> 48) }

// MAC is the second part of id.
func (id ID) MAC() frame.MAC { return frame.MACFromUint64(uint64(id) & (1<<48 - 1)) }

// String writes id as the Linux bridge does: 8000.0200c0ffee01.
func (id ID) String() string { return fmt.Sprintf("%04x.%012x", id.Priority(), uint64(id)&(1<<48-1)) }

// PortID names a port of a bridge: 4 bits of priority, then 12 bits of number
// (9.2.7). Numbers of more than 12 bits are folded, see Config.
type PortID uint16

// String writes p as the Linux bridge does: 8001.
func (p PortID) String() string { return fmt.Sprintf("%04x", uint16(p)) }

// Vector is a priority vector (17.5): what a bridge says of its way to the root.
type Vector struct {
	Root   ID
	Cost   uint32 // of the way from Bridge to Root
	Bridge ID     // the designated bridge, who says so
	Port   PortID // by which it says so
}

// compare orders vectors, the best first.
func (v Vector) compare(w Vector) int {
	return cmp.Or(cmp.Compare(v.Root, w.Root), cmp.Compare(v.Cost, w.Cost),
		cmp.Compare(v.Bridge, w.Bridge), cmp.Compare(v.Port, w.Port))
}

// supersedes tells whether v replaces w as what is known of a segment: it is
// better, or comes from the same sender, who must know (17.6).
func (v Vector) supersedes(w Vector) bool {
	return v.compare(w) < 0 || v.Bridge.MAC() == w.Bridge.MAC() && v.Port&0x0fff == w.Port&0x0fff
}

// through is v as it is for someone who is cost farther away.
func (v Vector) through(cost uint32) Vector {
	if v.Cost > ^uint32(0)-cost {
		v.Cost = ^uint32(0)
		return v
	}
	v.Cost += cost
	return v
}

// Times are the timer parameters that the root gives to all (17.13.3 and
// following), in units of 1/256 s as they are in a BPDU.
type Times struct {
	Age     uint16 // how long ago the root said so, or how many bridges away
	MaxAge  uint16
	Hello   uint16
	Forward uint16
}

// second is one second in a Times.
const second = 256

// seconds is t in whole seconds, at least one.
func seconds(t uint16) int { return max((int(t)+second/2)/second, 1) }
