package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// plugIn makes a pair, with a Link on one end and a Station on the other.
func plugIn(t testing.TB, mtu, keys string) (*packetLink, *linktest.Station, *linktest.Namespace) {
	t.Helper()
	ns := pair(t, mtu)
	src, err := tryOpen(t, ns, "packet:va"+keys, link.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := accept(t, ns, src)
	t.Cleanup(func() { _ = l.Close() })
	return l, ns.Device("vb", false), ns
}

// reader reads a Link until it has what it wants.
type reader struct {
	t      testing.TB
	l      *packetLink
	missed int
}

// read is one ReadBatch.
func (r *reader) read() (frames [][]byte, more bool) {
	r.t.Helper()
	b := frame.Batch{Buf: make([]byte, link.MinBuf)}
	if err := r.l.ReadBatch(&b); err != nil {
		r.t.Fatal(err)
	}
	if b.Bad+b.Giants+b.Runts > 0 {
		r.t.Errorf("%d bad, %d giants, %d runts", b.Bad, b.Giants, b.Runts)
	}
	r.missed += b.Missed
	for _, f := range b.Refs {
		frames = append(frames, bytes.Clone(b.Frame(f)))
	}
	return frames, b.More
}

// until reads until there are n frames, and no longer.
func (r *reader) until(n int) (frames [][]byte) {
	r.t.Helper()
	for end := time.Now().Add(linktest.Patience); len(frames) < n; {
		got, _ := r.read()
		frames = append(frames, got...)
		if len(got) == 0 && time.Now().After(end) {
			r.t.Fatalf("%d frames came in, want %d; %d were missed", len(frames), n, r.missed)
		}
	}
	return frames
}

// numbered is a frame of n bytes that says which one it is.
func numbered(i, n int) []byte {
	f := make([]byte, n)
	copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5})
	binary.BigEndian.PutUint32(f[14:], uint32(i))
	for j := 18; j < n; j++ {
		f[j] = byte(i + j)
	}
	return f
}

// Short frames come by the ring and long ones by the queue: they stay in order,
// over the end of the ring again and again.
func TestShortAndLongStayInOrder(t *testing.T) {
	const longestShort = slotSize - 76 // as Linux lays a slot out
	for _, keys := range []string{",ring=256", "", ",ring=off"} {
		t.Run(keys, func(t *testing.T) {
			l, s, _ := plugIn(t, "9000", keys)
			r := &reader{t: t, l: l}
			sizes := []int{60, 1514, longestShort, longestShort + 1, 9014, 60, 60, 9014, 2000, 5000, 61}
			for i := 0; i < 1500; {
				few := 1 + i%20
				for j := range few {
					s.Send(numbered(i+j, sizes[(i+j)%len(sizes)]))
				}
				for j, got := range r.until(few) {
					if want := numbered(i+j, sizes[(i+j)%len(sizes)]); !bytes.Equal(got, want) {
						t.Fatalf("frame %d came in as %d bytes % x, want %d", i+j, len(got), got[:18], len(want))
					}
				}
				i += few
			}
			if r.missed != 0 {
				t.Errorf("%d frames are said to be missed", r.missed)
			}
		})
	}
}

// A batch of the ring is good until the next read, however much comes meanwhile.
func TestBatchLastsUntilTheNext(t *testing.T) {
	l, s, _ := plugIn(t, "1500", ",ring=256")
	s.Send(numbered(1, 60))
	b := frame.Batch{Buf: make([]byte, link.MinBuf)}
	for end := time.Now().Add(linktest.Patience); len(b.Refs) == 0 && time.Now().Before(end); {
		if err := l.ReadBatch(&b); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		s.Send(numbered(100+i, 60))
	}
	if len(b.Refs) != 1 || !bytes.Equal(b.Frame(b.Refs[0]), numbered(1, 60)) {
		t.Error("the frame has changed under its reader")
	}
}

// What finds no room is counted: nothing is lost in silence. No more is sent at
// once than the device has room for.
func TestMissedAreCounted(t *testing.T) {
	for _, c := range []struct {
		keys      string
		size, few int
	}{{",ring=256", 60, 500}, {",ring=256", 5000, 500}, {"", 9000, 500}, {",ring=off", 60, 900}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			l, s, _ := plugIn(t, "9000", c.keys)
			if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 160<<10); err != nil {
				t.Fatal(err)
			}
			r := &reader{t: t, l: l}
			for i := range c.few {
				s.Send(numbered(i, c.size))
			}
			got, sent, last := 0, c.few, -1
			// One more frame tells of those before it.
			for end := time.Now().Add(linktest.Patience); got+r.missed < sent; {
				frames, more := r.read()
				for _, f := range frames {
					i := int(binary.BigEndian.Uint32(f[14:]))
					if i <= last || !bytes.Equal(f, numbered(i, c.size)) {
						t.Fatalf("frame %d came in after %d, or is not what was sent", i, last)
					}
					last = i
				}
				got += len(frames)
				if !more && len(frames) == 0 {
					s.Send(numbered(sent, c.size))
					sent++
				}
				if time.Now().After(end) {
					break
				}
			}
			if got+r.missed != sent || r.missed == 0 || got == 0 {
				t.Errorf("%d frames were sent: %d came in and %d were missed", sent, got, r.missed)
			}
		})
	}
}

// A tag that the kernel took off is put back, be the frame short or long.
func TestTagsComeIn(t *testing.T) {
	for _, keys := range []string{"", ",ring=off"} {
		l, s, _ := plugIn(t, "9000", keys)
		r := &reader{t: t, l: l}
		for i, typ := range []uint16{0x8100, 0x88a8} {
			for _, size := range []int{60, 1518, 5000} {
				f := numbered(i, size)
				binary.BigEndian.PutUint16(f[12:], typ)
				binary.BigEndian.PutUint16(f[14:], 0xa123)
				binary.BigEndian.PutUint16(f[16:], 0x88b5)
				s.Send(f)
				if got := r.until(1)[0]; !bytes.Equal(got, f) {
					t.Errorf("%s: sent %d bytes % x, %d came in: % x", keys, size, f[:20], len(got), got[:20])
				}
			}
		}
	}
}

// The Link learns of a failed socket by reading, even where no news reaches it.
func TestReadFindsTheFailure(t *testing.T) {
	for _, keys := range []string{"", ",ring=off"} {
		l, _, ns := plugIn(t, "1500", keys)
		l.src.forget(l) // no news
		ip(t, ns, "link set va down")
		var err error
		for end := time.Now().Add(linktest.Patience); err == nil && time.Now().Before(end); {
			err = l.ReadBatch(&frame.Batch{Buf: make([]byte, link.MinBuf)})
		}
		if err == nil || !strings.Contains(err.Error(), "down") {
			t.Errorf("%s: %v", keys, err)
		}
	}
}

// A kernel that gives no ring costs speed only, and the port says so.
func TestWithoutRing(t *testing.T) {
	ns := pair(t, "1500")
	ns.Do(func() error {
		ifc, err := net.InterfaceByName("va")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		first, err := openRing(fd, minSlots) // there can be no second one
		if err != nil {
			t.Error(err)
			return unix.Close(fd)
		}
		defer first.close()
		sock := &socket{fd: fd}
		sock.openRings(ifc.Index, wanted{name: "va", slots: minSlots})
		l := newLink(sock, ifc, &source{})
		if l.rx.ring != nil || l.tx.ring != nil || !strings.Contains(l.Peer().Addr, "without rings: ") {
			t.Errorf("ring %v, peer %q", l.rx.ring, l.Peer().Addr)
		}
		return l.Close()
	})
}

// fakeLink is a Link with a ring that no kernel writes.
func fakeLink(slots int) *packetLink {
	l := newLink(&socket{fd: -1, ring: newRing(make([]byte, slots/perBlock*blockSize))}, &net.Interface{Name: "fake"}, &source{})
	return l
}

// Whatever is in a ring, a frame lies in its own slot.
func FuzzSlot(f *testing.F) {
	f.Add(uint32(unix.TP_STATUS_USER), uint32(60), uint32(60), uint16(76), uint16(0), []byte{})
	f.Add(uint32(unix.TP_STATUS_USER|unix.TP_STATUS_VLAN_VALID), uint32(60), uint32(60), uint16(46), uint16(7), []byte{1, 1})
	f.Add(uint32(unix.TP_STATUS_USER), uint32(1<<31), uint32(1<<31), uint16(76), uint16(0), []byte{})
	f.Add(uint32(unix.TP_STATUS_USER|unix.TP_STATUS_COPY), uint32(60), uint32(60), uint16(76), uint16(0), []byte{})
	f.Add(uint32(unix.TP_STATUS_USER|unix.TP_STATUS_LOSING), uint32(60), uint32(90), uint16(76), uint16(0), []byte{})
	l := fakeLink(2 * perBlock)
	f.Fuzz(func(t *testing.T, st, snap, n uint32, mac, tci uint16, vnet []byte) {
		r := l.rx.ring
		at, head := r.slot(0)
		rand.NewChaCha8([32]byte{byte(snap)}).Read(r.mem[at : at+slotSize])
		*head = unix.Tpacket2Hdr{Status: st, Len: n, Snaplen: snap, Mac: mac, Vlan_tci: tci}
		copy(r.mem[at+slotHead:at+slotSize], vnet)
		_, next := r.slot(1)
		next.Status = statusKernel
		b := frame.Batch{Buf: make([]byte, link.MinBuf)}
		err := l.ReadBatch(&b)
		if err != nil && !errors.Is(err, unix.EBADF) {
			t.Fatal(err)
		}
		for _, ref := range b.Refs {
			if int(ref.Off) < at+slotHead || int(ref.Off+ref.Len) > at+slotSize || ref.Len < frame.HeaderLen {
				t.Errorf("frame at %d, %d bytes, in the slot at %d", ref.Off, ref.Len, at)
			}
			_ = b.Frame(ref)
		}
		if len(b.Refs) > 1 || unsafe.SliceData(b.Buf) == unsafe.SliceData(r.mem) && len(b.Refs)+b.Skipped() > 1 {
			t.Errorf("%d frames, %d skipped, of one slot", len(b.Refs), b.Skipped())
		}
		r.giveBack()
		if err == nil && st&unix.TP_STATUS_USER != 0 && head.Status != statusKernel {
			t.Error("the slot was not given back")
		}
		head.Status = statusKernel
	})
}

// Reading takes no memory.
func TestReadRingAllocatesNothing(t *testing.T) {
	l := fakeLink(perBlock)
	b := frame.Batch{Buf: make([]byte, link.MinBuf)}
	all := func() {
		for i := range l.rx.ring.slots() {
			_, head := l.rx.ring.slot(i)
			*head = unix.Tpacket2Hdr{Status: unix.TP_STATUS_USER, Len: 60, Snaplen: 60, Mac: 76}
		}
		b.Reset()
		if err := l.ReadBatch(&b); err != nil || len(b.Refs) != l.rx.ring.slots() {
			t.Fatal(len(b.Refs), b.Skipped(), err)
		}
		l.rx.ring.giveBack()
	}
	if n := testing.AllocsPerRun(100, all); n > 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}
