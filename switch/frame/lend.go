package frame

// Frames may be lent: only their beginning, long enough for all decisions, lies
// in a Batch's Buf, and the rest is still where it came from, in memory that the
// other side of a Link shares. Who can, copies it from there to where it goes, and
// nowhere in between. Who cannot has it brought first: there is room for it.
//
// The other side may change or take away what was lent at any time. The
// beginning it cannot change, and nobody may decide anything by the rest.

// Rest is a piece of a lent frame.
type Rest struct {
	Bytes []byte // in the lender's memory
	At    uint32 // where they belong in Buf
	Here  bool   // they are there by now
}

// Lender is who lent frames of a Batch.
type Lender interface {
	// Bring makes frames of b whole. It cannot fail: the rest of a frame that is
	// not there any more is zeros, which its sender might have sent.
	Bring(b *Batch, refs []Ref)

	// Lent tells whether an address is in the memory that was lent: reading that
	// may fault.
	Lent(addr uintptr) bool

	// Return ends the loan.
	Return()
}

// Bring makes frames of b whole if they are lent.
func (b *Batch) Bring(refs []Ref) {
	if b.Lender != nil {
		b.Lender.Bring(b, refs)
	}
}

// Own is what of r's frame is surely in Buf.
func (b *Batch) Own(r Ref) Frame {
	if r.Rest == 0 {
		return b.Frame(r)
	}
	return b.Frame(r)[:b.Rests[r.Rest-1].At-r.Off]
}

// RestOf is what of r's frame is not in Buf: one piece or several.
func (b *Batch) RestOf(r Ref) []Rest {
	if r.Rest == 0 {
		return nil
	}
	n := int(r.Rest)
	for b.Rests[n-1].At+uint32(len(b.Rests[n-1].Bytes)) < r.Off+r.Len {
		n++
	}
	return b.Rests[r.Rest-1 : n]
}
