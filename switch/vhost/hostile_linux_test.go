package vhost

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
	"vnetkit/switch/vhost/frontend"
)

// readToEnd reads l until it ends, as the switch does, and returns why.
func readToEnd(t *testing.T, l *Link) error {
	t.Helper()
	for end := time.Now().Add(linktest.Patience); time.Now().Before(end); {
		b := frame.Batch{Buf: make([]byte, link.MinBuf)}
		err := l.ReadBatch(&b)
		if err != nil {
			return err
		}
		if !b.More {
			fds := []unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}
			_, _ = unix.Poll(fds, 10)
			l.news.still()
		}
	}
	t.Fatalf("the link did not end in %v", linktest.Patience)
	return nil
}

// writeOne writes a frame and returns what came of it.
func writeOne(l *Link, n int) error {
	b := frame.Batch{Buf: make([]byte, n)}
	b.Refs = []frame.Ref{{Len: uint32(n)}}
	_, err := l.WriteBatch(&b)
	return err
}

// offer makes the guest's transmit ring offer a chain that begins with one
// descriptor.
func offer(g *frontend.Guest, head uint16, addr uint64, n uint32, flags, next uint16) {
	r := g.TX[0]
	if head < 256 {
		g.SetDesc(r.Desc+16*int(head), addr, n, flags, next)
	}
	r.Offer(head)
	r.Show()
}

// TestHostileRings has guests do what a driver must not, and wants their links
// ended for the right reason, be it the first thing they do or the second: chains
// behind another one are taken in a loop of their own.
func TestHostileRings(t *testing.T) {
	const inside = frontend.GuestBase + 1<<20
	for _, c := range []struct {
		name string
		do   func(g *frontend.Guest)
		want error
	}{
		{"Outside", func(g *frontend.Guest) { offer(g, 0, 0x1000, 100, 0, 0) }, errOutside},
		{"AcrossTheEnd", func(g *frontend.Guest) {
			offer(g, 0, frontend.GuestBase+uint64(len(g.Mem))-50, 100, 0, 0)
		}, errOutside},
		{"LengthOverflows", func(g *frontend.Guest) { offer(g, 0, 1<<64-50, 100, 0, 0) }, errOutside},
		{"WrongWay", func(g *frontend.Guest) { offer(g, 0, inside, 100, frontend.DescWrite, 0) }, errWay},
		{"HeadTooLarge", func(g *frontend.Guest) { offer(g, 256, 0, 0, 0, 0) }, errHead},
		{"HeadFarTooLarge", func(g *frontend.Guest) { // it names what would do, in a buffer
			g.SetDesc(g.TX[0].Desc+16*768, inside, 12+60, 0, 0)
			offer(g, 768, 0, 0, 0, 0)
		}, errHead},
		{"NextTooLarge", func(g *frontend.Guest) { offer(g, 0, inside, 100, frontend.DescNext, 256) }, errHead},
		{"Loop", func(g *frontend.Guest) { offer(g, 0, inside, 100, frontend.DescNext, 0) }, errLoop},
		{"TableOutside", func(g *frontend.Guest) { offer(g, 0, 0x1000, 16, frontend.DescIndirect, 0) }, errIndirect},
		{"TableOddLength", func(g *frontend.Guest) { offer(g, 0, inside, 17, frontend.DescIndirect, 0) }, errIndirect},
		{"TableOddPlace", func(g *frontend.Guest) { offer(g, 0, inside+1, 16, frontend.DescIndirect, 0) }, errIndirect},
		{"TableEmpty", func(g *frontend.Guest) { offer(g, 0, inside, 0, frontend.DescIndirect, 0) }, errIndirect},
		{"TableHuge", func(g *frontend.Guest) { offer(g, 0, inside, 16*1025, frontend.DescIndirect, 0) }, errIndirect},
		{"TableInTable", func(g *frontend.Guest) {
			g.SetDesc(1<<20, inside, 16, frontend.DescIndirect, 0)
			offer(g, 0, inside, 16, frontend.DescIndirect, 0)
		}, errIndirect},
		{"TableLoop", func(g *frontend.Guest) {
			g.SetDesc(1<<20, inside, 100, frontend.DescNext, 0)
			offer(g, 0, inside, 16, frontend.DescIndirect, 0)
		}, errLoop},
		{"TooLong", func(g *frontend.Guest) { offer(g, 0, inside, frame.MaxLen+12+1, 0, 0) }, errHuge},
		{"TooMuchAvailable", func(g *frontend.Guest) {
			for range 257 {
				g.TX[0].Offer(0)
			}
			g.TX[0].Show()
		}, errCount},
	} {
		for _, behind := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,Behind=%t", c.name, behind), func(t *testing.T) {
				l, g := pair(t, frontend.Options{})
				if behind {
					offer(g, 255, inside, 12+60, 0, 0)
				}
				c.do(g)
				if err := readToEnd(t, l); !errors.Is(err, c.want) {
					t.Errorf("ended with %v, want %v", err, c.want)
				}
				_ = l.Close()
			})
		}
	}
}

// TestOddChains has guests do what is odd and allowed.
func TestOddChains(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	const at = 1 << 20
	for i := range 12 + 60 {
		g.Mem[at+i] = byte(i)
	}
	// A descriptor of no length, one byte, the header cut in two, the rest.
	r := g.TX[0]
	for i, part := range [][2]uint64{{0, 0}, {0, 1}, {1, 6}, {7, 65}} {
		flags := uint16(frontend.DescNext)
		if i == 3 {
			flags = 0
		}
		g.SetDesc(r.Desc+16*i, frontend.GuestBase+at+part[0], uint32(part[1]), flags, uint16(i+1))
	}
	r.Offer(0)
	// Nothing but a header, and nothing at all.
	g.SetDesc(r.Desc+16*10, frontend.GuestBase+at, 12, 0, 0)
	r.Offer(10)
	g.SetDesc(r.Desc+16*11, frontend.GuestBase+uint64(len(g.Mem))-1, 0, 0, 0)
	r.Offer(11)
	r.Show()
	b := frame.Batch{Buf: make([]byte, link.MinBuf)}
	if err := l.ReadBatch(&b); err != nil {
		t.Fatal(err)
	}
	if len(b.Refs)+b.Bad != 1 || b.Runts != 2 {
		t.Errorf("%d frames, %d bad and %d runts, want 1 and 2", len(b.Refs), b.Bad, b.Runts)
	}
	if r.UsedIndex() != 3 {
		t.Errorf("%d chains were given back, want 3", r.UsedIndex())
	}
}

// TestHostileReceiver has guests offer buffers that no frame can go into.
func TestHostileReceiver(t *testing.T) {
	for _, c := range []struct {
		name        string
		addr        uint64
		n           uint32
		flags, next uint16
		want        error
	}{
		{"Outside", 0x1000, 2048, frontend.DescWrite, 0, errOutside},
		{"ReadOnly", frontend.GuestBase + 1<<20, 2048, 0, 0, errWay},
		{"Empty", frontend.GuestBase + 1<<20, 0, frontend.DescWrite, 0, errEmpty},
		{"Loop", frontend.GuestBase + 1<<20, 1, frontend.DescWrite | frontend.DescNext, 0, errLoop},
	} {
		for buffer := range 2 {
			t.Run(fmt.Sprintf("%s,Buffer=%d", c.name, buffer), func(t *testing.T) {
				l, g := pair(t, frontend.Options{})
				defer l.Close()
				g.SetDesc(g.RX[0].Desc+16*buffer, c.addr, c.n, c.flags, c.next+uint16(buffer))
				b := frame.Batch{Buf: make([]byte, 60), Refs: []frame.Ref{{Len: 60}, {Len: 60}}}
				if _, err := l.WriteBatch(&b); !errors.Is(err, c.want) {
					t.Errorf("writing ended with %v, want %v", err, c.want)
				}
			})
		}
	}
}

// TestCutMemory cuts the memory of a guest while it is in use: its link ends and
// the process lives.
func TestCutMemory(t *testing.T) {
	for _, name := range []string{"Read", "Write"} {
		t.Run(name, func(t *testing.T) {
			l, g := pair(t, frontend.Options{Unsealed: true})
			defer l.Close()
			if err := unix.Ftruncate(g.MemFD, 0); err != nil {
				t.Fatal(err)
			}
			var err error
			if name == "Read" {
				err = readToEnd(t, l)
			} else {
				err = writeOne(l, 60)
			}
			if err == nil || !strings.Contains(err.Error(), "memory is gone") {
				t.Errorf("ended with %v", err)
			}
			if err := writeOne(l, 60); err == nil {
				t.Error("it can still be written to")
			}
		})
	}
}

// TestForeignFaultsPass makes sure that only faults in a guest's memory are
// taken for its fault.
func TestForeignFaultsPass(t *testing.T) {
	l, _ := pair(t, frontend.Options{})
	defer l.Close()
	defer func() {
		if recover() == nil {
			t.Error("a mistake of ours was taken for the guest's")
		}
	}()
	var err error
	func() {
		defer l.guard(false, &err)
		nowhere := func() *int { return nil }
		*nowhere() = 1
	}()
}

// raw is a conversation with a session that has not begun.
func raw(t *testing.T) (*Link, *frontend.Guest) {
	t.Helper()
	near, far := connPair(t)
	l, err := newLink(near, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	g, err := frontend.Prepare(far, frontend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close(); _ = l.Close() })
	return l, g
}

// TestHostileMessages sends what a front end must not, and wants the link ended
// with a word on why.
func TestHostileMessages(t *testing.T) {
	region := func(list ...uint64) []byte {
		return append(frontend.U32(uint32(len(list)/4), 0), frontend.U64(list...)...)
	}
	const base, user = frontend.GuestBase, frontend.UserBase
	pipe := func(t *testing.T) int {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close(); _ = w.Close() })
		return int(w.Fd())
	}
	before := openFDs(t)
	for _, c := range []struct {
		name string
		do   func(t *testing.T, g *frontend.Guest) error
		want string
	}{
		{"TwoGigabytes", func(_ *testing.T, g *frontend.Guest) error {
			msg := frontend.Message(1, 0, nil)
			binary.NativeEndian.PutUint32(msg[8:], 1<<31)
			_, err := g.Conn.Write(msg)
			return err
		}, "GET_FEATURES of 2147483648 bytes"},
		{"OtherProtocol", func(_ *testing.T, g *frontend.Guest) error {
			_, err := g.Conn.Write([]byte("\x00\x00\x00\x3cGET / HTTP/1.1\r\n"))
			return err
		}, "not vhost-user"},
		{"Reply", func(_ *testing.T, g *frontend.Guest) error { return g.Send(1, 4, nil) }, "is a reply"},
		{"HalfAMessage", func(_ *testing.T, g *frontend.Guest) error {
			_, err := g.Conn.Write(frontend.Message(1, 0, nil)[:7])
			return errors.Join(err, g.Conn.CloseWrite())
		}, "unexpected EOF"},
		{"Short", func(_ *testing.T, g *frontend.Guest) error { return g.Send(2, 0, []byte{1}) }, "SET_FEATURES: it is too short"},
		{"Long", func(_ *testing.T, g *frontend.Guest) error { return g.Send(2, 0, frontend.U64(0, 0)) }, "8 bytes too many"},
		{"UnknownFeature", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(2, 0, frontend.U64(1<<63))
		}, "were not offered"},
		{"FewerDescriptors", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(5, 0, region(base, 4096, user, 0, base+4096, 4096, user+4096, 4096), g.MemFD)
		}, "2 memory regions with 1 descriptors"},
		{"ManyRegions", func(_ *testing.T, g *frontend.Guest) error { return g.Send(5, 0, frontend.U32(1<<30, 0)) }, "regions, want at most 8"},
		{"RegionOverflows", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(5, 0, region(base, 4096, 1<<64-8, 0), g.MemFD)
		}, "beyond the end"},
		{"RegionOutsideOfFile", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(5, 0, region(base, 1<<40, user, 0), g.MemFD)
		}, "of a file of"},
		{"OffsetOutsideOfFile", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(5, 0, region(base, 4096, user, 1<<40), g.MemFD)
		}, "of a file of"},
		{"NoSize", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(5, 0, region(base, 0, user, 0), g.MemFD)
		}, "a size of"},
		{"Overlap", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(5, 0, region(base, 8192, user, 0, base+4096, 4096, user+8192, 0), g.MemFD, g.MemFD)
		}, "overlap"},
		{"MemoryIsAPipe", func(t *testing.T, g *frontend.Guest) error {
			return g.Send(5, 0, region(base, 4096, user, 0), pipe(t))
		}, "not memory"},
		{"NoSuchRing", func(_ *testing.T, g *frontend.Guest) error { return g.Send(8, 0, frontend.U32(8, 256)) }, "ring 8 of 8"},
		{"RingOfNothing", func(_ *testing.T, g *frontend.Guest) error { return g.Send(8, 0, frontend.U32(0, 0)) }, "0 entries"},
		{"RingOfALot", func(_ *testing.T, g *frontend.Guest) error { return g.Send(8, 0, frontend.U32(0, 1<<31)) }, "entries"},
		{"KickFirst", func(_ *testing.T, g *frontend.Guest) error {
			return g.Send(12, 0, frontend.U64(0), g.RX[0].Kick)
		}, "no place or no size"},
		{"KickIsAPipe", func(t *testing.T, g *frontend.Guest) error {
			return g.Send(12, 0, frontend.U64(0), pipe(t))
		}, "not an eventfd"},
		{"CallIsAPipe", func(t *testing.T, g *frontend.Guest) error {
			return g.Send(13, 0, frontend.U64(0), pipe(t))
		}, "not an eventfd"},
		{"KickWithoutMemory", func(_ *testing.T, g *frontend.Guest) error {
			return errors.Join(g.Send(8, 0, frontend.U32(0, 256)), g.Send(9, 0, g.RX[0].AddrBody(0, 0)),
				g.Send(12, 0, frontend.U64(0), g.RX[0].Kick))
		}, "outside of the guest's memory"},
		{"RingNotAPowerOfTwo", func(_ *testing.T, g *frontend.Guest) error {
			return errors.Join(g.ShareMemory(), g.Send(8, 0, frontend.U32(0, 200)), g.Send(9, 0, g.RX[0].AddrBody(0, 0)),
				g.Send(12, 0, frontend.U64(0), g.RX[0].Kick))
		}, "power of two"},
		{"RingNotAligned", func(_ *testing.T, g *frontend.Guest) error {
			g.RX[0].Avail++
			return errors.Join(g.ShareMemory(), g.Send(8, 0, frontend.U32(0, 256)), g.Send(9, 0, g.RX[0].AddrBody(0, 0)),
				g.Send(12, 0, frontend.U64(0), g.RX[0].Kick))
		}, "not aligned"},
		{"DescriptorFlood", func(_ *testing.T, g *frontend.Guest) error {
			fds := make([]int, 200)
			for i := range fds {
				fds[i] = g.MemFD
			}
			return g.Send(1, 0, nil, fds...)
		}, "descriptors"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, g := raw(t)
			if err := c.do(t, g); err != nil && !errors.Is(err, unix.EPIPE) {
				t.Fatal(err)
			}
			if err := readToEnd(t, l); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, want %q", err, c.want)
			}
		})
	}
	if now := openFDs(t); now > before {
		t.Errorf("%d descriptors are open, %d were", now, before)
	}
}

// openFDs is how many descriptors this process has.
func openFDs(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestNothingIsLeft plugs guests in and out a hundred times, in all ways.
func TestNothingIsLeft(t *testing.T) {
	round := func() {
		near, far := connPair(t)
		l, err := newLink(near, testOptions)
		if err != nil {
			t.Fatal(err)
		}
		g, err := frontend.New(far, frontend.Options{Pairs: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Stop(g.TX[0]); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(g.ShareMemory(), g.Start(g.TX[0], 0), g.Close()); err != nil {
			t.Fatal(err)
		}
		if err := readToEnd(t, l); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if err := errors.Join(l.Close(), unix.Munmap(g.Mem)); err != nil {
			t.Fatal(err)
		}
	}
	round()
	fds, maps := openFDs(t), mappings(t)
	for range 100 {
		round()
	}
	if now := openFDs(t); now > fds {
		t.Errorf("%d descriptors are open, %d were", now, fds)
	}
	if now := mappings(t); now > maps {
		t.Errorf("%d mappings of guests, %d were", now, maps)
	}
}

// mappings is how often guests' memory is mapped.
func mappings(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "/memfd:guest")
}
