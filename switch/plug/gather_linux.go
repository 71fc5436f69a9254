package plug

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
)

const (
	maxPieces = 512       // pieces of one system call; the kernel takes 1,024
	stageSize = 128 << 10 // room for bytes that are not in the batch as they go out
	// copyMax is the largest frame that is copied whole when its head must
	// change. Beyond it a further piece is cheaper than the copy.
	copyMax = 1024
)

// gather lists the pieces of memory that one system call writes.
type gather struct {
	pieces [maxPieces]unix.Iovec
	n      int
	end    uintptr // address behind the last piece; only ever compared
	size   int     // of all pieces
	stage  []byte
	msg    unix.Msghdr
}

// gathers keeps them from one write to the next: a port needs one only while it
// writes.
var gathers = sync.Pool{New: func() any { return &gather{stage: make([]byte, 0, stageSize)} }}

func (g *gather) reset() {
	g.n, g.size, g.end = 0, 0, 0
	g.stage = g.stage[:0]
}

// addAll puts frames of b behind each other as long as there is room, and
// returns how many.
func (g *gather) addAll(b *frame.Batch, refs []frame.Ref) int {
	for i := 0; i < len(refs); {
		n := 0
		if b.Prefixed {
			n = asTheyCame(refs[i:])
		}
		switch {
		case n > 0:
			from, to := refs[i].Off-frame.PrefixLen, refs[i+n-1].Off+refs[i+n-1].Len
			if !g.piece(b.Buf[from:to:to]) {
				return i
			}
			i += n
		case g.add(b, refs[i]):
			i++
		default:
			return i
		}
	}
	return len(refs)
}

// asTheyCame counts the frames at the front that can go out in one piece from a
// Prefixed batch: unchanged, and with nothing between them.
func asTheyCame(refs []frame.Ref) int {
	next := refs[0].Off
	for i, r := range refs {
		if r.Off != next || r.Edit != 0 || r.Len < frame.MinLen {
			return i
		}
		next = r.Off + r.Len + frame.PrefixLen
	}
	return len(refs)
}

// add puts in a frame that must be changed or given a length, or returns false
// if there is no room for it.
func (g *gather) add(b *frame.Batch, r frame.Ref) bool {
	if g.n+2 > maxPieces || len(g.stage)+wireLen(r) > cap(g.stage) {
		return false
	}
	from := len(g.stage)
	if r.Len <= copyMax {
		g.stage = appendWire(g.stage, b, r)
		return g.piece(g.stage[from:])
	}
	f := b.Frame(r)
	g.stage = binary.BigEndian.AppendUint32(g.stage, uint32(r.Edit.Len(len(f))))
	var skip int
	g.stage, skip = r.Edit.Head(g.stage, f)
	g.piece(g.stage[from:])
	return g.piece(f[skip:])
}

// piece adds p, as part of the piece before if it follows that in memory.
func (g *gather) piece(p []byte) bool {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	switch {
	case start == g.end:
		last := &g.pieces[g.n-1]
		last.SetLen(int(last.Len) + len(p))
	case g.n == maxPieces:
		return false
	default:
		g.pieces[g.n].Base = unsafe.SliceData(p)
		g.pieces[g.n].SetLen(len(p))
		g.n++
	}
	g.size += len(p)
	g.end = start + uintptr(len(p))
	return true
}

// send writes the pieces and returns how many bytes the kernel took.
func (g *gather) send(s *socket) (int, error) {
	if g.n == 1 {
		return s.send(unsafe.Slice(g.pieces[0].Base, g.pieces[0].Len))
	}
	g.msg.Iov = &g.pieces[0]
	g.msg.SetIovlen(g.n)
	return s.sendmsg(&g.msg)
}
