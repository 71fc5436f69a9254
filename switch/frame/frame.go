package frame

import "encoding/binary"

// Sizes in bytes. None of them counts the frame check sequence.
const (
	HeaderLen = 14    // destination, source, EtherType
	TagLen    = 4     // one 802.1Q tag
	MinLen    = 60    // shortest frame on a wire; shorter ones are padded with zeros towards VMs
	MaxLen    = 69632 // longest frame QEMU can send or take: its receive buffer, 4096 + 65536
	MaxMTU    = 65535 // largest payload a port can be set to
)

// EtherTypes of VLAN tags (TPIDs). The switch acts on customer tags only;
// a service tag is payload to it.
const (
	TypeVLAN    = 0x8100 // 802.1Q customer tag
	TypeService = 0x88a8 // 802.1ad service tag
)

// EtherTypes of what is carried.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeIPv6 = 0x86dd
)

// VID is a VLAN identifier, 1..4094. 0 marks a priority tag (a tag without a
// VLAN) and 4095 is reserved (IEEE 802.1Q-2018, table 9-2).
type VID uint16

// VIDs a VLAN can have.
const (
	MinVID VID = 1
	MaxVID VID = 4094
)

// Valid tells whether v names a VLAN.
func (v VID) Valid() bool { return v >= MinVID && v <= MaxVID }

// Frame is a view of an Ethernet frame: its bytes from the destination address
// to the end of the payload. The accessors need HeaderLen bytes, Tag needs
// four more when the EtherType announces a tag.
type Frame []byte

// Dst is the destination address.
func (f Frame) Dst() MAC { return MAC(f[0:6]) }

// Src is the source address.
func (f Frame) Src() MAC { return MAC(f[6:12]) }

// Type is the EtherType, or the TPID of the outer tag.
func (f Frame) Type() uint16 { return binary.BigEndian.Uint16(f[12:14]) }

// Tag is the tag control information of the outer customer tag. ok is false
// where there is none, also when the frame ends inside the tag.
func (f Frame) Tag() (tci uint16, ok bool) {
	if len(f) < HeaderLen+TagLen || f.Type() != TypeVLAN {
		return 0, false
	}
	return binary.BigEndian.Uint16(f[14:16]), true
}

// Network is what f carries: the EtherType behind at most two VLAN tags, and all
// that stands behind it. A frame shorter than a header carries nothing.
func (f Frame) Network() (typ uint16, packet []byte) {
	if len(f) < HeaderLen {
		return 0, nil
	}
	at := len(f) - f.Payload()
	return binary.BigEndian.Uint16(f[at-2:]), f[at:]
}

// Payload is the number of bytes that count against an MTU: all after the
// header and after at most two VLAN tags, as Linux counts it.
func (f Frame) Payload() int {
	n := len(f) - HeaderLen
	for at := 12; at <= 16 && len(f) >= at+6; at += TagLen {
		if t := binary.BigEndian.Uint16(f[at:]); t != TypeVLAN && t != TypeService {
			break
		}
		n -= TagLen
	}
	return n
}
