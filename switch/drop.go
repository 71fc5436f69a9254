package vswitch

import (
	"fmt"

	"vnetkit/switch/frame"
)

// DropReason says why a frame did not get through. Its names are the same in
// the API, the CLI and the metrics.
type DropReason uint8

// The reasons, in the order in which a frame meets them. Those up to
// DropNoReceiver are counted at the port where the frame came in, the others
// at the port where it would have gone out, but for those of impair: they are
// counted at the port whose cable is bad, in either direction.
const (
	DropMissed DropReason = iota
	DropRunt
	DropBadOffload
	DropGiant
	DropPortDown
	DropMirrorPort
	DropBadSource
	DropSpoofed
	DropReserved
	DropVLAN
	DropUntagged
	DropBPDUGuard
	DropBPDUFlood
	DropBlocked
	DropStorm
	DropSamePort
	DropIsolated
	DropReceiverDown
	DropNoReceiver
	DropMTU
	DropRingFull
	DropLinkLost
	DropRefused
	DropImpairMTU
	DropImpairLoss
	DropImpairFull
	numDropReasons

	notDropped DropReason = 0xff
)

var dropReasons = [numDropReasons]struct{ name, sentence string }{
	DropMissed:       {"missed", "it came faster than the switch read, and the kernel had no room left for it"},
	DropRunt:         {"runt", "shorter than an Ethernet header"},
	DropBadOffload:   {"bad-offload", "its offload header says what is not so: work on bytes that it does not have, or of an unknown kind"},
	DropGiant:        {"giant", "longer than any frame a VM can send (69,632 bytes)"},
	DropPortDown:     {"port-down", "the port it came in on is set down"},
	DropMirrorPort:   {"mirror-port", "the port it came in on only shows mirrored frames"},
	DropBadSource:    {"bad-source", "its source address is a group address or zero"},
	DropSpoofed:      {"spoofed", "its source address is none of those that may come in by its port (allowmac)"},
	DropReserved:     {"reserved", "its destination is a reserved link-local address (01:80:c2:00:00:0x), which only transparent ports pass"},
	DropVLAN:         {"vlan", "the port it came in on is not a member of its VLAN"},
	DropUntagged:     {"untagged", "it has no VLAN's tag, and the port it came in on takes only frames that have one (native=none)"},
	DropBPDUGuard:    {"bpdu-guard", "the BPDU guard shut the port it came in on, as there is a bridge behind it"},
	DropBPDUFlood:    {"bpdu-flood", "more spanning tree frames came in at once than the switch has room for"},
	DropBlocked:      {"blocked", "the spanning tree keeps the port it came in on, or would leave by, from carrying frames"},
	DropStorm:        {"storm", "more frames for all than the storm guard of the port it came in on lets through"},
	DropSamePort:     {"same-port", "its destination is behind the port it came from"},
	DropIsolated:     {"isolated", "both ports are isolated"},
	DropReceiverDown: {"receiver-down", "the port of its destination is down, waits for its link or left the VLAN"},
	DropNoReceiver:   {"no-receiver", "no other port of its VLAN is up"},
	DropMTU:          {"mtu", "larger than the MTU of the port it would leave by"},
	DropRingFull:     {"ring-full", "the receiver reads too slowly and its queue is full"},
	DropLinkLost:     {"link-lost", "the receiver went away while the frame waited for it"},
	DropRefused:      {"refused", "the receiver's device refused it"},
	DropImpairMTU:    {"impair-mtu", "larger than the port's cable is set to carry (impair)"},
	DropImpairLoss:   {"impair-loss", "lost on purpose, as the port's cable is set to (impair)"},
	DropImpairFull:   {"impair-full", "too many frames wait on the port's cable, which is slow on purpose (impair)"},
}

// skipped is what of b was dropped before the switch saw it.
func skipped(b *frame.Batch) [numDropReasons]uint64 {
	return [numDropReasons]uint64{DropRunt: uint64(b.Runts), DropGiant: uint64(b.Giants), DropBadOffload: uint64(b.Bad), DropMissed: uint64(b.Missed)}
}

// String is r's name.
func (r DropReason) String() string {
	if int(r) >= len(dropReasons) {
		return fmt.Sprintf("drop-reason-%d", uint8(r))
	}
	return dropReasons[r].name
}

// Sentence explains r to a human.
func (r DropReason) Sentence() string {
	if int(r) >= len(dropReasons) {
		return r.String()
	}
	return dropReasons[r].sentence
}

// DropReasons lists all reasons.
func DropReasons() []DropReason {
	all := make([]DropReason, numDropReasons)
	for i := range all {
		all[i] = DropReason(i)
	}
	return all
}
