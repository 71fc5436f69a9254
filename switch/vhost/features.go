package vhost

import (
	"encoding/binary"
	"time"

	"vnetkit/switch/frame"
)

// Features of the device (virtio 1.2, 5.1.3 and 6) that this side has.
const (
	featCsum      = 1 << 0 // the guest leaves checksums to us
	featTakesCsum = 1 << 1 // the guest takes frames without
	featMTU       = 1 << 3
	featTakesTSO4 = 1 << 7
	featTakesTSO6 = 1 << 8
	featTakesECN  = 1 << 9
	featTSO4      = 1 << 11
	featTSO6      = 1 << 12
	featECN       = 1 << 13
	featMergeable = 1 << 15
	featAnnounce  = 1 << 21
	featMultiple  = 1 << 22
	featLogAll    = 1 << 26
	featAnyLayout = 1 << 27
	featIndirect  = 1 << 28
	featEventIdx  = 1 << 29
	featProtocol  = 1 << 30 // vhost-user's own
	featVersion1  = 1 << 32
	featPacked    = 1 << 34
	featInOrder   = 1 << 35
	featTakesUSO4 = 1 << 54
	featTakesUSO6 = 1 << 55
	featUSO       = 1 << 56
)

// offloads is the work that a feature lets be left to the guest, or by it.
var offloads = []struct {
	takes, leaves uint64
	set           frame.OffloadSet
}{
	{featTakesCsum, featCsum, frame.CanCsum},
	{featTakesTSO4, featTSO4, frame.CanTCP4},
	{featTakesTSO6, featTSO6, frame.CanTCP6},
	{featTakesECN, featECN, frame.CanECN},
	{featTakesUSO4 | featTakesUSO6, featUSO, frame.CanUDP},
}

// work is what features let be left to the guest, and by it.
func work(features uint64) (takes, leaves frame.OffloadSet) {
	for _, o := range offloads {
		if features&o.takes == o.takes {
			takes |= o.set
		}
		if features&o.leaves == o.leaves {
			leaves |= o.set
		}
	}
	return takes, leaves
}

// Features of the protocol.
const (
	protoMultiple = 1 << 0
	protoLogFD    = 1 << 1
	protoRARP     = 1 << 2
	protoReplyAck = 1 << 3
	protoMTU      = 1 << 4
	protoMemSlots = 1 << 15
	protoStatus   = 1 << 16

	protoOffered = protoMultiple | protoLogFD | protoRARP | protoReplyAck | protoMTU | protoMemSlots | protoStatus
)

// options is what a Spec says about its Links.
type options struct {
	queues int // pairs of rings
	packed bool
	mtu    int           // 0: any
	polled bool          // the guest's rings are looked at all the time
	hold   time.Duration // how long who sends to a guest that is full is kept waiting; 0: as usual
}

// features is what the guest is offered.
func (o options) features() uint64 {
	f := uint64(featMTU | featMergeable | featAnnounce | featLogAll | featAnyLayout | featIndirect |
		featEventIdx | featProtocol | featVersion1 | featInOrder)
	for _, o := range offloads {
		f |= o.takes | o.leaves
	}
	if o.packed {
		f |= featPacked
	}
	if o.queues > 1 {
		f |= featMultiple
	}
	return f
}

// announcement is the frame that makes switches learn where a guest is that has
// come from elsewhere: a reverse ARP request (RFC 903) of its address.
func announcement(mac uint64) []byte {
	var a [8]byte
	binary.NativeEndian.PutUint64(a[:], mac)
	f := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	f = append(f, a[:6]...)
	f = append(f, 0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3)
	f = append(f, a[:6]...)
	f = append(f, 0, 0, 0, 0)
	f = append(f, a[:6]...)
	return append(f, make([]byte, 60-len(f))...)
}
