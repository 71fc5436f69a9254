package vhost

import (
	"runtime/debug"
	"unsafe"

	"vnetkit/switch/frame"
)

// A frame goes from one guest to another in one copy: of a long one, ReadBatch
// copies the beginning only, and lends the rest to who copies it into the
// receiver's buffers. What is decided, checked and delivered of its headers is the
// switch's own copy. Until the loan is returned rmu is held, so that the memory
// stays, and the guest is not told that it may use its buffers again.
const (
	lendFrom = 1024 // bytes of a frame; shorter ones are copied twice faster than lent
	// ownHead is what is copied of a lent frame. All headers that anyone looks at
	// fit into it; where they do not, the frame is not lent.
	ownHead = 192
)

// Borrows implements link.Borrower.
func (l *Link) Borrows() {}

// Lent implements frame.Lender.
func (l *Link) Lent(addr uintptr) bool { return l.mem.contains(addr) }

// Return implements frame.Lender.
func (l *Link) Return() {
	_ = l.publishSent() // it ends the link by itself
	l.rmu.Unlock()
}

// publishSent lets the guest see that its frames have been taken.
func (l *Link) publishSent() (err error) {
	defer l.guard(debug.SetPanicOnFault(true), &err)
	for _, r := range l.sends {
		if r.publish() && r.call >= 0 {
			signal(r.call)
		}
	}
	return nil
}

// Bring implements frame.Lender.
func (l *Link) Bring(b *frame.Batch, refs []frame.Ref) {
	zero := false
	for len(refs) > 0 {
		n, err := l.bring(b, refs, zero)
		zero = err != nil
		refs = refs[n:]
	}
}

// bring is Bring up to the first frame that is not there any more; with zero, it
// is zeros to the end. It returns how many are whole.
func (l *Link) bring(b *frame.Batch, refs []frame.Ref, zero bool) (n int, err error) {
	defer l.guard(debug.SetPanicOnFault(true), &err)
	for n = range refs {
		bringOne(b, refs[n], zero)
		refs[n].Rest = 0
	}
	return len(refs), nil
}

func bringOne(b *frame.Batch, r frame.Ref, zero bool) {
	rest := b.RestOf(r)
	for i := range rest {
		p := &rest[i]
		to := b.Buf[p.At : int(p.At)+len(p.Bytes)]
		switch {
		case p.Here: // others wanted it, too
		case zero:
			clear(to)
		default:
			copy(to, p.Bytes)
		}
		p.Here = true
	}
}

// lend notes that n bytes at p belong to the present frame, at bytes behind its
// beginning.
func (in *inlet) lend(p unsafe.Pointer, n, at uint32) {
	in.b.Rests = append(in.b.Rests, frame.Rest{Bytes: unsafe.Slice((*byte)(p), n), At: uint32(in.off) + at})
}

// keep makes the present frame whole, which is lent from number first of Rests on.
func (in *inlet) keep(first int) {
	for _, r := range in.b.Rests[first:] {
		copy(in.b.Buf[r.At:], r.Bytes)
	}
	in.b.Rests = in.b.Rests[:first]
}
