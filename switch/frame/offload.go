package frame

import "strings"

// Offload is work on a frame that its sender has left for somebody else: a
// checksum that is not complete, or a long run of payload that is still to be
// cut into segments (a super-frame). It says what struct virtio_net_hdr says
// (virtio 1.2, 5.1.6), checked against the frame by package offload.
//
// The zero Offload is no work at all.
type Offload struct {
	Flags OffloadFlags
	GSO   GSO
	// HeadLen is the number of bytes before the payload of a super-frame: what
	// each of its segments begins with.
	HeadLen uint16
	Size    uint16 // payload bytes of each segment but the last
	// CsumStart is where the checksum begins, CsumOffset where, behind that, it
	// is to be written.
	CsumStart, CsumOffset uint16
}

// OffloadFlags of an Offload.
type OffloadFlags uint8

// The flags. ECN says that only the first segment carries CWR.
const (
	NeedsCsum OffloadFlags = 1 << iota // the checksum field holds the pseudo-header's sum only
	DataValid                          // the checksum was verified
	ECN
)

// GSO is the kind of a super-frame.
type GSO uint8

// Kinds of super-frames.
const (
	GSONone GSO = iota
	GSOTCP4
	GSOTCP6
	GSOUDP
)

// OffloadSet is a set of kinds of work: what a Link can leave to the other side.
type OffloadSet uint8

// Elements of an OffloadSet.
const (
	CanCsum OffloadSet = 1 << iota
	CanTCP4
	CanTCP6
	CanECN
	CanUDP
)

// Needs is the work that o leaves to be done.
func (o Offload) Needs() OffloadSet {
	var s OffloadSet
	if o.Flags&NeedsCsum != 0 {
		s = CanCsum
	}
	switch o.GSO {
	case GSOTCP4:
		s |= CanTCP4
	case GSOTCP6:
		s |= CanTCP6
	case GSOUDP:
		s |= CanUDP
	}
	if o.Flags&ECN != 0 {
		s |= CanECN
	}
	return s
}

// Moved is o for a frame whose headers have become n bytes longer before the
// place where the checksum begins.
func (o Offload) Moved(n int) Offload {
	if o.Flags&NeedsCsum != 0 {
		o.CsumStart = uint16(int(o.CsumStart) + n)
	}
	if o.GSO != GSONone {
		o.HeadLen = uint16(int(o.HeadLen) + n)
	}
	return o
}

var offloadNames = []struct {
	bit  OffloadSet
	name string
}{{CanCsum, "csum"}, {CanTCP4, "tso4"}, {CanTCP6, "tso6"}, {CanECN, "ecn"}, {CanUDP, "uso"}}

// String lists s's elements, as ethtool calls them.
func (s OffloadSet) String() string {
	var list []string
	for _, n := range offloadNames {
		if s&n.bit != 0 {
			list = append(list, n.name)
		}
	}
	if list == nil {
		return "none"
	}
	return strings.Join(list, " ")
}

// MaxOffloads is how many different Offloads one Batch can have.
const MaxOffloads = 1<<(32-offloadShift) - 1

// An Edit's upper bits say which of its Batch's Offloads belongs to the frame,
// counted from 1; 0: none.
const offloadShift = 18

// WithOffload is e for a frame with the Batch's Offload number i.
func (e Edit) WithOffload(i int) Edit { return e&(1<<offloadShift-1) | Edit(i+1)<<offloadShift }

// WithoutOffload is e for a frame without one.
func (e Edit) WithoutOffload() Edit { return e & (1<<offloadShift - 1) }

// Offload returns what is left to be done with r's frame; nil: nothing.
func (b *Batch) Offload(r Ref) *Offload {
	i := r.Edit >> offloadShift
	if i == 0 {
		return nil
	}
	return &b.Offloads[i-1]
}

// AddOffload returns the number of o among b's Offloads, where it puts it if it
// is not the latest. Neighbouring frames mostly share one. It returns false if b
// can have no more.
func (b *Batch) AddOffload(o Offload) (i int, ok bool) {
	n := len(b.Offloads)
	switch {
	case n > 0 && b.Offloads[n-1] == o:
		return n - 1, true
	case n == MaxOffloads:
		return 0, false
	}
	b.Offloads = append(b.Offloads, o)
	return n, true
}
