package vhost

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/vhost/frontend"
)

// pattern is a frame without a tag that is like no other.
func pattern(n, seed int) []byte {
	f := make([]byte, n)
	for i := range f {
		f[i] = byte(i*7 + i>>8 + seed*31)
	}
	f[12], f[13] = 0x88, 0xb5
	return f
}

// borrow reads what a guest has sent, as the switch does.
func borrow(t *testing.T, l *Link) *frame.Batch {
	t.Helper()
	b := &frame.Batch{Buf: make([]byte, link.MinBuf), Lend: true}
	if err := l.ReadBatch(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func returned(b *frame.Batch) {
	if b.Lender != nil {
		b.Lender.Return()
	}
}

// TestLend has frames of all kinds lent from one guest to another.
func TestLend(t *testing.T) {
	for _, from := range guests {
		for _, to := range guests {
			t.Run(from.name+"To"+to.name, func(t *testing.T) {
				a, sender := pair(t, from.opt)
				defer a.Close()
				b, receiver := pair(t, to.opt)
				defer b.Close()
				for _, g := range []*frontend.Guest{sender, receiver} {
					must(t, g.SetDeadline(time.Now().Add(time.Minute)))
				}
				buf := make([]byte, 1<<17)
				for i, size := range []int{60, lendFrom - 1, lendFrom, 1514, 4096, 9014, 15000} {
					for _, e := range []frame.Edit{0, frame.InsertTag(7)} {
						f := pattern(size, i)
						must(t, sender.SendFrame(f))
						batch := borrow(t, a)
						if lent := batch.Lender != nil; lent != (size >= lendFrom) || len(batch.Refs) != 1 {
							t.Fatalf("%d bytes: %d frames, lent: %t", size, len(batch.Refs), lent)
						}
						batch.Refs[0].Edit = e
						if n, err := b.WriteBatch(batch); n != 1 || err != nil || batch.Refused != 0 {
							t.Fatalf("%d bytes: took %d, refused %d, %v", size, n, batch.Refused, err)
						}
						returned(batch)
						n, err := receiver.RecvFrame(buf)
						must(t, err)
						if want := e.Append(nil, f); !bytes.Equal(buf[:n], want) {
							t.Fatalf("%d bytes with edit %v: %d bytes arrived, want %d", size, e, n, len(want))
						}
					}
				}
			})
		}
	}
}

// TestBring makes lent frames whole for two receivers that want that.
func TestBring(t *testing.T) {
	a, sender := pair(t, frontend.Options{})
	defer a.Close()
	var want [][]byte
	for i, size := range []int{600, 60, 9014} {
		want = append(want, pattern(size, i))
		must(t, sender.SendFrame(want[i]))
	}
	b := borrow(t, a)
	other := append([]frame.Ref(nil), b.Refs...)
	for _, refs := range [][]frame.Ref{b.Refs, other} {
		b.Bring(refs)
		for i, r := range refs {
			if r.Rest != 0 || !bytes.Equal(b.Frame(r), want[i]) {
				t.Errorf("frame %d is not whole", i)
			}
		}
	}
	returned(b)
}

// TestHeaderRace: what a guest makes of a frame's header after it was looked at
// reaches nobody.
func TestHeaderRace(t *testing.T) {
	a, sender := pair(t, frontend.Options{})
	defer a.Close()
	to, receiver := pair(t, frontend.Options{})
	defer to.Close()
	must(t, receiver.SetDeadline(time.Now().Add(time.Minute)))
	f := pattern(1514, 1)
	must(t, sender.SendFrame(f))
	b := borrow(t, a)
	for i := range uint16(4) {
		copy(sender.TX[0].Buffer(i)[12:], bytes.Repeat([]byte{0xff}, 18)) // to everybody, in another VLAN
	}
	if n, err := to.WriteBatch(b); n != 1 || err != nil {
		t.Fatalf("took %d, %v", n, err)
	}
	returned(b)
	buf := make([]byte, 2048)
	n, err := receiver.RecvFrame(buf)
	must(t, err)
	if !bytes.Equal(buf[:n], f) {
		t.Errorf("delivered %x, want %x", buf[:min(n, 32)], f[:32])
	}
}

// TestLoanEnds: a guest gets its buffers back when the loan is returned, not
// before; and it cannot have its rings back before that either.
func TestLoanEnds(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	r := g.TX[0]
	must(t, g.SendFrame(pattern(60, 0)))
	must(t, g.SendFrame(pattern(1514, 1)))
	b := borrow(t, l)
	if r.UsedIndex() != 0 {
		t.Errorf("%d chains were given back while they are lent", r.UsedIndex())
	}
	stopped := make(chan uint32)
	go func() {
		base, err := g.Stop(r)
		if err != nil {
			t.Errorf("stop: %v", err)
		}
		stopped <- base
	}()
	select {
	case <-stopped:
		t.Error("the ring stopped while its frames were lent")
	case <-time.After(50 * time.Millisecond):
	}
	returned(b)
	if r.UsedIndex() != 2 {
		t.Errorf("%d chains were given back, want 2", r.UsedIndex())
	}
	if base := <-stopped; base != 2 {
		t.Errorf("it is to go on at %d", base)
	}
}

// TestCutWhileLent: a guest whose memory goes while another is given its frames
// loses its own port. The other one loses nothing, also of its ring.
func TestCutWhileLent(t *testing.T) {
	for _, opt := range []frontend.Options{{}, {Packed: true}} {
		t.Run(fmt.Sprintf("Packed=%t", opt.Packed), func(t *testing.T) {
			a, sender := pair(t, frontend.Options{Unsealed: true})
			defer a.Close()
			to, receiver := pair(t, opt)
			defer to.Close()
			must(t, receiver.SetDeadline(time.Now().Add(time.Minute)))
			want := [][]byte{pattern(60, 0), pattern(1514, 1), pattern(61, 2)}
			for _, f := range want {
				must(t, sender.SendFrame(f))
			}
			b := borrow(t, a)
			must(t, unix.Ftruncate(sender.MemFD, 0))
			if n, err := to.WriteBatch(b); n != 3 || err != nil || b.Refused != 0 {
				t.Fatalf("took %d, refused %d, %v", n, b.Refused, err)
			}
			returned(b)
			if a.ended() == nil {
				t.Error("the link whose memory is gone lives on")
			}
			clear(want[1][ownHead:])
			buf := make([]byte, 2048)
			for round := range 600 { // more than the ring has
				i := round % 3
				n, err := receiver.RecvFrame(buf)
				must(t, err)
				if !bytes.Equal(buf[:n], want[i]) {
					t.Fatalf("frame %d: %d bytes, want %d", round, n, len(want[i]))
				}
				if i == 2 {
					if n, err := to.WriteBatch(b); n != 3 || err != nil {
						t.Fatalf("round %d: took %d, %v", round, n, err)
					}
				}
			}
			if err := to.ended(); err != nil {
				t.Errorf("the receiver's link ended: %v", err)
			}
		})
	}
}

// TestLendOffload: a frame whose headers do not fit into what is copied of it at
// once is not lent, and one whose header lies is not sent.
func TestLendOffload(t *testing.T) {
	var all uint64
	for _, o := range offloads {
		all |= o.takes | o.leaves
	}
	l, g := pair(t, frontend.Options{Features: all})
	defer l.Close()
	super, o := superFrame(3000, 1000)
	for i, c := range []struct {
		start     byte
		lent, bad bool
	}{{34, true, false}, {160, false, true}} {
		const at = 1 << 20
		copy(g.Mem[at:], []byte{1, 1, 54, 0, 0xe8, 3, c.start, 0, 16, 0, 0, 0})
		copy(g.Mem[at+12:], super)
		offer(g, uint16(i), frontend.GuestBase+at, uint32(12+len(super)), 0, 0)
		b := borrow(t, l)
		if got := b.Bad == 1; got != c.bad || (b.Lender != nil) != c.lent || len(b.Rests) > 0 != c.lent {
			t.Errorf("checksum from %d: bad %d, lent %t with %d pieces", c.start, b.Bad, b.Lender != nil, len(b.Rests))
		}
		if !c.bad && *b.Offload(b.Refs[0]) != o {
			t.Errorf("work %+v, want %+v", *b.Offload(b.Refs[0]), o)
		}
		returned(b)
	}
}

// TestLentFlows: flows of lent frames are spread over a guest's rings as others are.
func TestLentFlows(t *testing.T) {
	a, sender := pair(t, frontend.Options{})
	defer a.Close()
	to, receiver := pair(t, frontend.Options{Pairs: 4})
	defer to.Close()
	for flow := range 32 {
		f := pattern(1514, flow)
		copy(f[12:], []byte{8, 0, 0x45, 0, 1500 >> 8, 1500 & 0xff, 0, 0, 0, 0, 64, 17})
		copy(f[26:], []byte{10, 0, 0, byte(flow), 10, 0, 0, 1, 0, byte(flow), 0, 1, 1480 >> 8, 1480 & 0xff})
		must(t, sender.SendFrame(f))
	}
	b := borrow(t, a)
	if b.Lender == nil || len(b.Refs) != 32 {
		t.Fatalf("%d frames, lent: %t", len(b.Refs), b.Lender != nil)
	}
	if n, err := to.WriteBatch(b); n != 32 || err != nil {
		t.Fatalf("took %d, %v", n, err)
	}
	returned(b)
	used := 0
	for _, r := range receiver.RX {
		if r.UsedIndex() > 0 {
			used++
		}
	}
	if used < 3 {
		t.Errorf("frames of 32 flows are in %d rings", used)
	}
}
