package stp

import (
	"encoding/binary"
	"errors"

	"vnetkit/switch/frame"
)

// Address is where BPDUs go: the bridges next door and no farther.
var Address = frame.MAC{0x01, 0x80, 0xc2, 0, 0, 0}

// Type is the kind of a BPDU.
type Type uint8

// The kinds of BPDUs, as they are on the wire (9.3.1 to 9.3.3).
const (
	TypeConfig Type = 0x00 // of STP
	TypeRST    Type = 0x02
	TypeTCN    Type = 0x80 // of STP: the topology has changed
)

// BPDU is what bridges tell each other.
type BPDU struct {
	Type Type
	// What follows is zero in a TCN.
	Vector Vector
	Times  Times
	Role   Role // of the port it was sent by; Designated in a Config
	// Flags. A Config has the first two only.
	TC, TCAck                                 bool
	Proposal, Agreement, Learning, Forwarding bool
	FSTP                                      bool // in vde_switch's dialect
}

// Sizes of BPDUs, and of what lies before them in a frame.
const (
	llcLen    = 3
	tcnLen    = 4
	configLen = 35
	rstLen    = 36
	// MaxFrame is more than the longest BPDU frame with a tag; what lies
	// beyond is padding.
	MaxFrame = 64
)

// Flags of a BPDU (9.3.3).
const (
	flagTC         = 0x01
	flagProposal   = 0x02
	flagRole       = 0x0c
	flagLearning   = 0x10
	flagForwarding = 0x20
	flagAgreement  = 0x40
	flagTCAck      = 0x80
)

// Errors of Parse.
var (
	errShort    = errors.New("spanning tree frame is too short")
	errNotBPDU  = errors.New("not a spanning tree frame")
	errUnknown  = errors.New("spanning tree frame of unknown protocol or type")
	errExpired  = errors.New("spanning tree frame is too old")
	errBadTimes = errors.New("spanning tree frame with a hello time of 0")
)

// IsFrame tells whether f is a BPDU by its address and LLC header, behind at most
// one tag. It does not look inside.
func IsFrame(f frame.Frame) bool {
	if f.Dst() != Address {
		return false
	}
	at := headerLen(f)
	return len(f) >= at+llcLen && f[at] == 0x42 && f[at+1] == 0x42 && f[at+2] == 0x03
}

// headerLen is where the LLC header of f begins.
func headerLen(f frame.Frame) int {
	if f.Type() == frame.TypeVLAN {
		return frame.HeaderLen + frame.TagLen
	}
	return frame.HeaderLen
}

// Parse reads a BPDU from the frame that it came in, with a tag or without.
func Parse(f frame.Frame) (BPDU, error) {
	if len(f) < frame.HeaderLen {
		return BPDU{}, errShort
	}
	if !IsFrame(f) {
		return BPDU{}, errNotBPDU
	}
	at := headerLen(f)
	size := int(binary.BigEndian.Uint16(f[at-2:]))
	p := f[at:]
	if size > len(p) || size < llcLen {
		return BPDU{}, errShort
	}
	return parse(p[llcLen:size])
}

// parse reads what follows the LLC header (9.3.4: what is validated).
func parse(p []byte) (BPDU, error) {
	if len(p) < tcnLen {
		return BPDU{}, errShort
	}
	b := BPDU{Type: Type(p[3])}
	switch {
	case p[0] != 0 || p[1] != 0:
		return BPDU{}, errUnknown
	case b.Type == TypeTCN:
		return b, nil
	case b.Type == TypeRST && p[2] >= 2:
	case b.Type == TypeConfig:
	default:
		return BPDU{}, errUnknown
	}
	// The version 1 length of an RST BPDU adds nothing, and some omit it.
	if len(p) < configLen {
		return BPDU{}, errShort
	}
	b.Vector = Vector{
		Root:   ID(binary.BigEndian.Uint64(p[5:])),
		Cost:   binary.BigEndian.Uint32(p[13:]),
		Bridge: ID(binary.BigEndian.Uint64(p[17:])),
		Port:   PortID(binary.BigEndian.Uint16(p[25:])),
	}
	b.Times = Times{
		Age:     binary.BigEndian.Uint16(p[27:]),
		MaxAge:  binary.BigEndian.Uint16(p[29:]),
		Hello:   binary.BigEndian.Uint16(p[31:]),
		Forward: binary.BigEndian.Uint16(p[33:]),
	}
	switch {
	case b.Times.Hello == 0:
		return BPDU{}, errBadTimes
	case b.Times.Age >= b.Times.MaxAge:
		return BPDU{}, errExpired
	}
	b.readFlags(p[4])
	return b, nil
}

func (b *BPDU) readFlags(flags byte) {
	b.TC = flags&flagTC != 0
	if b.Type == TypeConfig {
		b.TCAck = flags&flagTCAck != 0
		b.Role = Designated
		return
	}
	b.Proposal = flags&flagProposal != 0
	b.Learning = flags&flagLearning != 0
	b.Forwarding = flags&flagForwarding != 0
	b.Agreement = flags&flagAgreement != 0
	b.Role = roleOf[flags&flagRole>>2]
	if isFSTP(b.Times) {
		b.fromFSTP(flags)
	}
}

// roleOf are the meanings of a BPDU's two role bits. Alternate stands for Backup
// too.
var roleOf = [4]Role{Disabled, Alternate, Root, Designated}

func (b *BPDU) flags() byte {
	var f byte
	for _, x := range []struct {
		on  bool
		bit byte
	}{
		{b.TC, flagTC},
		{b.TCAck && b.Type == TypeConfig, flagTCAck},
		{b.Proposal, flagProposal},
		{b.Learning, flagLearning},
		{b.Forwarding, flagForwarding},
		{b.Agreement, flagAgreement},
	} {
		if x.on {
			f |= x.bit
		}
	}
	switch {
	case b.Type == TypeConfig:
		return f & (flagTC | flagTCAck)
	case b.FSTP:
		return f&^flagProposal | fstpRole(b.Role)
	}
	switch b.Role {
	case Alternate, Backup:
		f |= 1 << 2
	case Root:
		f |= 2 << 2
	case Designated:
		f |= 3 << 2
	}
	return f
}

// AppendFrame appends to dst a frame with b from station src. It carries a tag
// unless vid is 0.
func AppendFrame(dst []byte, src frame.MAC, vid frame.VID, b *BPDU) []byte {
	start := len(dst)
	dst = append(dst, Address[:]...)
	dst = append(dst, src[:]...)
	if vid != 0 {
		// Network control, the highest priority.
		dst = binary.BigEndian.AppendUint32(dst, frame.TypeVLAN<<16|7<<13|uint32(vid))
	}
	size := map[Type]uint16{TypeTCN: tcnLen, TypeConfig: configLen, TypeRST: rstLen}[b.Type]
	dst = binary.BigEndian.AppendUint16(dst, llcLen+size)
	dst = append(dst, 0x42, 0x42, 0x03, 0, 0)
	if b.Type == TypeRST {
		dst = append(dst, 2)
	} else {
		dst = append(dst, 0)
	}
	dst = append(dst, byte(b.Type))
	if b.Type != TypeTCN {
		dst = b.appendBody(dst)
	}
	if b.FSTP {
		return dst // unpadded, as vde_switch sends it
	}
	for len(dst)-start < frame.MinLen {
		dst = append(dst, 0)
	}
	return dst
}

func (b *BPDU) appendBody(dst []byte) []byte {
	dst = append(dst, b.flags())
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Vector.Root))
	dst = binary.BigEndian.AppendUint32(dst, b.Vector.Cost)
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Vector.Bridge))
	dst = binary.BigEndian.AppendUint16(dst, uint16(b.Vector.Port))
	for _, t := range []uint16{b.Times.Age, b.Times.MaxAge, b.Times.Hello, b.Times.Forward} {
		dst = binary.BigEndian.AppendUint16(dst, t)
	}
	if b.Type == TypeRST {
		dst = append(dst, 0) // version 1 length
	}
	return dst
}
