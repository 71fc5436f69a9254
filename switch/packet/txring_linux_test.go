package packet

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
)

// batchOf makes a batch of numbered frames.
func batchOf(first int, sizes ...int) (*frame.Batch, [][]byte) {
	b := &frame.Batch{}
	var list [][]byte
	for i, n := range sizes {
		f := numbered(first+i, n)
		b.Refs = append(b.Refs, frame.Ref{Off: uint32(len(b.Buf)), Len: uint32(n)})
		b.Buf = append(b.Buf, f...)
		list = append(list, f)
	}
	return b, list
}

// What goes by the ring and what goes past it stays in order, over the end of the
// ring again and again, and where slots are not free.
func TestSendStaysInOrder(t *testing.T) {
	for _, busy := range []int{-1, 0, 1, 5} { // slots behind the next that are not free
		l, s, _ := plugIn(t, "9000", "")
		r := l.tx.ring
		sizes := []int{60, 61, 1514, txMax, txMax + 1, 60, 9014, 60, 60, 5000, 100}
		for i := 0; i < 1500; {
			few := 1 + i%40
			var part []int
			for j := range few {
				part = append(part, sizes[(i+j)%len(sizes)])
			}
			var head *uint32
			if busy >= 0 {
				_, h := r.slot(busy)
				head = &h.Status
				atomic.StoreUint32(head, unix.TP_STATUS_SENDING)
			}
			b, want := batchOf(i, part...)
			if n, err := l.WriteBatch(b); n != few || err != nil || b.Refused != 0 {
				t.Fatalf("took %d of %d frames, refused %d, %v", n, few, b.Refused, err)
			}
			for _, f := range want {
				s.Expect(f)
			}
			if head != nil {
				atomic.StoreUint32(head, unix.TP_STATUS_AVAILABLE)
			}
			i += few
		}
	}
}

// What the kernel refuses is refused with the ring as without it, and what comes
// behind it is sent.
func TestRefusedWithRingAsWithout(t *testing.T) {
	for _, keys := range []string{"", ",bypass=on", ",ring=off", ",ring=off,bypass=on"} {
		l, s, ns := plugIn(t, "1500", keys)
		write := func(first int, sizes ...int) (*frame.Batch, [][]byte) {
			b, list := batchOf(first, sizes...)
			if n, err := l.WriteBatch(b); n != len(sizes) || err != nil {
				t.Fatalf("%s: took %d frames, %v", keys, n, err)
			}
			return b, list
		}
		b, list := write(0, 60, 1800, 60, 18, 60) // 1800 exceeds the MTU
		if b.Refused != 1 || b.RefusedBytes != 1800 {
			t.Errorf("%s: refused %d frames, %d bytes", keys, b.Refused, b.RefusedBytes)
		}
		for _, i := range []int{0, 2, 3, 4} {
			s.Expect(list[i])
		}
		ip(t, ns, "link set vb down") // and va has no carrier
		write(5, 60, 60, 60)
		ip(t, ns, "link set vb up")
		s = ns.Device("vb", false) // the other one has seen it go down
		for i := 0; ; i++ {        // until it carries again
			write(100+i, 60)
			if f, ok := s.Poll(); ok {
				for j := 0; !bytes.Equal(f, numbered(100+j, 60)); j++ {
					if j > i {
						t.Fatalf("%s: % x arrived", keys, f[:20])
					}
				}
				break
			}
		}
		ip(t, ns, "link set va down")
		b, _ = batchOf(0, 60, 60)
		if _, err := l.WriteBatch(b); err == nil || !strings.Contains(err.Error(), "down") {
			t.Errorf("%s: %v", keys, err)
		}
	}
}

// The other side of a ring is a kernel, but no slot is believed to be free that
// does not say so, and what was not taken can be sent again.
func TestWhatIsNotTakenIsTakenBack(t *testing.T) {
	for _, bad := range []uint32{unix.TP_STATUS_SEND_REQUEST, unix.TP_STATUS_WRONG_FORMAT} {
		r := &txRing{fd: -1, mem: make([]byte, txSlots/perBlock*blockSize), next: txSlots - 3}
		for i := range r.at {
			r.at[i] = slotAt(i)
		}
		b, _ := batchOf(0, 60, 60, 60, 60, 60)
		if n := r.send(b, b.Refs, 1500); n != 0 || r.next != txSlots-3 { // nobody takes any
			t.Errorf("%d were taken, the next slot is %d", n, r.next)
		}
		for i, st := range []uint32{unix.TP_STATUS_AVAILABLE, unix.TP_STATUS_SENDING, unix.TP_STATUS_AVAILABLE, unix.TP_STATUS_AVAILABLE, bad} {
			_, head := r.slot(i)
			head.Status = st
		}
		if n := r.sent(5); n != 4 || r.next != 1 {
			t.Errorf("%d were taken, the next slot is %d", n, r.next)
		}
		if _, head := r.slot(0); head.Status != unix.TP_STATUS_AVAILABLE {
			t.Errorf("the slot that was not taken is in state %#x", head.Status)
		}
	}
}
