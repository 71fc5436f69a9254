package frame

import (
	"encoding/binary"
	"fmt"
)

// PrefixLen is the size of the length that precedes a frame in a Prefixed Batch.
const PrefixLen = 4

// Batch is a list of frames that lie in one buffer.
//
// A Batch that was read is owned by its reader and is good until the next read
// into it. A Batch that is written is only borrowed for that one call.
type Batch struct {
	Buf  []byte
	Refs []Ref

	// Prefixed promises that each frame's length stands before it in Buf as a
	// big-endian uint32, which is QEMU's stream framing. A stream can then pass
	// neighbouring frames on as one piece.
	Prefixed bool

	// More says that the read was cut short by the room in Buf: there may be
	// more to read at once.
	More bool

	// Changed says that the other side takes other work than before: the Link's
	// Takes is to be asked again.
	Changed bool

	// Offloads are what is left to be done with frames, by number; a frame's
	// Edit says which is its own. Links that read fill it in only with what
	// package offload has checked.
	Offloads []Offload

	// Lend, set by the reader, lets the Link lend frames. If it has, Lender is not
	// nil and is told to Return them when the Batch is done with; Rests are their
	// missing pieces, those of one frame behind each other.
	Lend   bool
	Lender Lender
	Rests  []Rest

	// Runts counts frames that were too short to have a header, Giants those
	// that were longer than MaxLen, and Bad those whose offload header was
	// wrong, that the Link skipped while it read this Batch. Missed counts those
	// that the kernel had no room for before the Link could read them, as far as
	// it tells.
	Runts, Giants, Bad, Missed int

	// Merged counts frames that left inside the one before them, and Refused
	// those that the other side would not have, of those that the Link took
	// while it wrote this Batch. RefusedBytes is how long the latter are.
	Merged, Refused, RefusedBytes int
}

// Skipped is how many frames came in that are not among b's.
func (b *Batch) Skipped() int { return b.Runts + b.Giants + b.Bad + b.Missed }

// Ref says where a frame lies in its Batch's Buf and what is to be done with
// it when it is written.
type Ref struct {
	Off, Len uint32
	Edit     Edit
	Rest     uint32 // number, from 1, of the first of the Batch's Rests that is its own; 0: it is whole
}

// Frame is the view of r's bytes, as they came in; of a lent frame, of the place
// where they belong.
func (b *Batch) Frame(r Ref) Frame { return Frame(b.Buf[r.Off : r.Off+r.Len : r.Off+r.Len]) }

// Reset empties b for the next read.
func (b *Batch) Reset() {
	b.Refs = b.Refs[:0]
	b.Offloads = b.Offloads[:0]
	b.Lend, b.Lender, b.Rests = false, nil, b.Rests[:0]
	b.Prefixed, b.More, b.Changed = false, false, false
	b.Runts, b.Giants, b.Bad, b.Missed, b.Merged, b.Refused, b.RefusedBytes = 0, 0, 0, 0, 0, 0, 0
}

// Edit is a change to a frame's outer VLAN tag. The zero Edit leaves the frame
// as it came. The low 16 bits hold tag control information, the next two say
// what is to be done with it, the others name the frame's Offload.
type Edit uint32

const (
	editInsert Edit = 1 << 16 // put a tag with this TCI behind the addresses
	editRemove Edit = 2 << 16 // take the tag off
	editSet    Edit = 3 << 16 // overwrite the TCI
	editKind   Edit = 3 << 16
)

// InsertTag is the Edit that adds a customer tag with this TCI.
func InsertTag(tci uint16) Edit { return editInsert | Edit(tci) }

// RemoveTag is the Edit that takes the outer tag off.
func RemoveTag() Edit { return editRemove }

// SetTag is the Edit that overwrites the outer tag's TCI.
func SetTag(tci uint16) Edit { return editSet | Edit(tci) }

// String says in words what becomes of the tag.
func (e Edit) String() string {
	vid, prio := uint32(e)&0x0fff, uint32(e)>>13&7
	switch e & editKind {
	case editInsert:
		return fmt.Sprintf("tagged %d", vid)
	case editRemove:
		return "tag removed"
	case editSet:
		return fmt.Sprintf("tagged %d (priority %d kept)", vid, prio)
	}
	return "as it came"
}

// Len is the length that a frame of n bytes has after e.
func (e Edit) Len(n int) int {
	switch e & editKind {
	case editInsert:
		return n + TagLen
	case editRemove:
		return n - TagLen
	}
	return n
}

// Head appends to dst the first bytes of f as they are after e, and returns
// how many of f's own bytes that stands for: the whole frame is dst's new bytes
// followed by f[skip:]. With the zero Edit nothing is appended and skip is 0.
func (e Edit) Head(dst []byte, f Frame) (head []byte, skip int) {
	switch e & editKind {
	case editInsert:
		dst = append(dst, f[:12]...)
		return binary.BigEndian.AppendUint32(dst, TypeVLAN<<16|uint32(uint16(e))), 12
	case editRemove:
		return append(dst, f[:12]...), 12 + TagLen
	case editSet:
		dst = append(dst, f[:12]...)
		return binary.BigEndian.AppendUint32(dst, TypeVLAN<<16|uint32(uint16(e))), 12 + TagLen
	}
	return dst, 0
}

// Append appends f to dst as it is after e.
func (e Edit) Append(dst []byte, f Frame) []byte {
	dst, skip := e.Head(dst, f)
	return append(dst, f[skip:]...)
}
