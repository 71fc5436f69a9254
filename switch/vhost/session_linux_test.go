package vhost

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/vhost/frontend"
)

// readFrames reads what l has, as far as it goes without waiting.
func readFrames(t *testing.T, l *Link) (list [][]byte) {
	t.Helper()
	for more := true; more; {
		b := frame.Batch{Buf: make([]byte, link.MinBuf)}
		if err := l.ReadBatch(&b); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.Refs {
			list = append(list, bytes.Clone(b.Frame(r)))
		}
		more = b.More
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// filled is a frame of n bytes of one kind.
func filled(n int, c byte) []byte { return bytes.Repeat([]byte{c}, n) }

// TestRARP has the front end announce a guest that has come from elsewhere.
func TestRARP(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	must(t, g.Tell(uint32(sendRARP), []byte{0x52, 0x54, 0, 1, 2, 3, 0, 0}))
	list := readFrames(t, l)
	if len(list) != 1 || len(list[0]) != 60 {
		t.Fatalf("sent %x", list)
	}
	f := frame.Frame(list[0])
	if f.Src().String() != "52:54:00:01:02:03" || !f.Dst().IsGroup() || f.Type() != 0x8035 {
		t.Errorf("sent %x", list[0])
	}
}

// TestMTU has the front end say the guest's MTU, within and beyond the port's.
func TestMTU(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	must(t, g.Tell(uint32(netSetMTU), frontend.U64(9000)))
	if err := g.Tell(uint32(netSetMTU), frontend.U64(20)); err == nil {
		t.Error("an MTU of 20 was taken")
	}
	if err := g.Tell(60, nil); err == nil {
		t.Error("an unknown request was taken")
	}
	must(t, g.SendFrame(filled(60, 1))) // it lives on
	if n := len(readFrames(t, l)); n != 1 {
		t.Errorf("%d frames", n)
	}
}

// TestStopAndGoOn stops rings as a guest's reset or a migration does, and goes on
// where they were.
func TestStopAndGoOn(t *testing.T) {
	for _, packed := range []bool{false, true} {
		l, g := pair(t, frontend.Options{Packed: packed})
		for i := range 300 { // around the ring
			must(t, g.SendFrame(filled(60, byte(i))))
			if list := readFrames(t, l); len(list) != 1 || list[0][0] != byte(i) {
				t.Fatalf("frame %d: %x", i, list)
			}
		}
		base, err := g.Stop(g.TX[0])
		must(t, err)
		want := uint32(300)
		if packed {
			want = 300 - 256 // and the wrap counter has turned, to 0
			want |= want << 16
		}
		if base != want {
			t.Errorf("packed %t: stopped at %#x, want %#x", packed, base, want)
		}
		must(t, g.SendFrame(filled(60, 7)))
		if list := readFrames(t, l); len(list) != 0 {
			t.Errorf("packed %t: a stopped ring was read", packed)
		}
		must(t, g.Start(g.TX[0], base))
		if list := readFrames(t, l); len(list) != 1 || list[0][0] != 7 {
			t.Errorf("packed %t: after the start: %x", packed, list)
		}
		must(t, l.Close())
	}
}

// TestDisabled has rings that are started and not enabled.
func TestDisabled(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	must(t, g.Tell(uint32(setVringEnable), frontend.U32(0, 0)))
	must(t, g.Tell(uint32(setVringEnable), frontend.U32(1, 0)))
	must(t, g.SendFrame(filled(60, 1)))
	if list := readFrames(t, l); len(list) != 0 {
		t.Errorf("a disabled ring was read: %x", list)
	}
	if g.TX[0].UsedIndex() != 1 {
		t.Error("what a disabled ring has was not thrown away")
	}
	b := frame.Batch{Buf: filled(60, 2), Refs: []frame.Ref{{Len: 60}}}
	if n, err := l.WriteBatch(&b); n != 1 || err != nil || b.Refused != 1 || b.RefusedBytes != 60 {
		t.Errorf("wrote %d, refused %d: %v", n, b.Refused, err)
	}
	if g.RX[0].UsedIndex() != 0 {
		t.Error("a disabled ring was written")
	}
}

// TestDirtyLog wants every page that is written in the log, and no other.
func TestDirtyLog(t *testing.T) {
	for _, packed := range []bool{false, true} {
		l, g := pair(t, frontend.Options{Packed: packed, Features: 1 << 26})
		const pages = (frontend.GuestBase >> 12) + 1<<12
		fd, err := unix.MemfdCreate("log", unix.MFD_CLOEXEC)
		must(t, err)
		must(t, unix.Ftruncate(fd, pages/8))
		log, err := unix.Mmap(fd, 0, pages/8, unix.PROT_READ, unix.MAP_SHARED)
		must(t, err)
		if _, err := g.Ask(uint32(setLogBase), frontend.U64(pages/8, 0), fd); err != nil {
			t.Fatal(err)
		}
		must(t, g.Tell(frontend.ReqSetFeatures, frontend.U64(g.Features)))
		used := uint64(frontend.GuestBase + g.RX[0].Used)
		must(t, g.Tell(frontend.ReqSetVringAddr, g.RX[0].AddrBody(1, used)))
		must(t, writeOne(l, 5000))
		must(t, writeOne(l, 60))
		must(t, writeOne(l, 60))
		dirty := map[uint64]bool{}
		for page := range uint64(pages) {
			if log[page/8]&(1<<(page%8)) != 0 {
				dirty[page] = true
			}
		}
		want := map[uint64]bool{}
		for i := range uint64(5) { // 5012 bytes in buffers of 2048, and twice 72 in one
			at := frontend.GuestBase + uint64(offsetOf(g, uint16(i)))
			want[at>>12] = true
		}
		n := uint64(6 + 8*256)
		if packed {
			n = 16 * 256
		}
		for page := used >> 12; page <= (used+n-1)>>12; page++ {
			want[page] = true
		}
		if len(dirty) != len(want) {
			t.Errorf("packed %t: %d pages are in the log, want %d", packed, len(dirty), len(want))
		}
		for page := range want {
			if !dirty[page] {
				t.Errorf("packed %t: page %#x is not in the log", packed, page)
			}
		}
		must(t, l.Close())
		must(t, unix.Munmap(log))
		unix.Close(fd)
	}
}

// offsetOf is where a receive buffer is in the guest's memory.
func offsetOf(g *frontend.Guest, i uint16) int {
	b := g.RX[0].Buffer(i)
	for off := 0; ; off += 2048 {
		if &g.Mem[off] == &b[0] {
			return off
		}
	}
}

// TestMemorySlots adds and removes memory while frames go.
func TestMemorySlots(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	if n, err := g.AskU64(uint32(getMaxMemSlots)); err != nil || n != maxRegions {
		t.Fatalf("%d slots: %v", n, err)
	}
	fd, err := unix.MemfdCreate("dimm", unix.MFD_CLOEXEC)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Ftruncate(fd, 1<<20))
	const at, user = frontend.GuestBase + 1<<32, frontend.UserBase + 1<<32
	body := append(frontend.U64(0), frontend.U64(at, 1<<16, user, 1<<16)...)
	for range 2 { // QEMU repeats itself where there are several queues
		must(t, g.Tell(uint32(addMemReg), body, fd))
	}
	frameAt := append(make([]byte, 12), filled(60, 9)...)
	if _, err := unix.Pwrite(fd, frameAt, 1<<16); err != nil {
		t.Fatal(err)
	}
	offer(g, 0, at, 72, 0, 0)
	if list := readFrames(t, l); len(list) != 1 || list[0][0] != 9 {
		t.Fatalf("from the new memory: %x", list)
	}
	for range 2 {
		must(t, g.Tell(uint32(remMemReg), body))
	}
	must(t, g.ShareMemory()) // all of it anew, in use
	offer(g, 1, at, 72, 0, 0)
	b := frame.Batch{Buf: make([]byte, link.MinBuf)}
	if err := l.ReadBatch(&b); err != errOutside { //nolint:errorlint // it is this one
		t.Errorf("memory that was taken away is still read: %v", err)
	}
}

// TestRegionsInARow has a buffer that lies in two regions.
func TestRegionsInARow(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	const cut = 1 << 20
	size := uint64(len(g.Mem))
	body := append(frontend.U32(2, 0), frontend.U64(
		frontend.GuestBase, cut, frontend.UserBase, 0,
		frontend.GuestBase+cut, size-cut, frontend.UserBase+cut, cut)...)
	must(t, g.Tell(frontend.ReqSetMemTable, body, g.MemFD, g.MemFD))
	for i := range 60 {
		g.Mem[cut-20+12+i] = byte(i)
	}
	clear(g.Mem[cut-20 : cut-8])
	offer(g, 0, frontend.GuestBase+cut-20, 72, 0, 0)
	list := readFrames(t, l)
	if len(list) != 1 || list[0][59] != 59 {
		t.Fatalf("read %x", list)
	}
}

// TestQueues has a guest with several pairs of rings send by all of them, and
// receive each flow by one.
func TestQueues(t *testing.T) {
	l, g := pair(t, frontend.Options{Pairs: 4})
	defer l.Close()
	if n, err := g.AskU64(frontend.ReqGetQueueNum); err != nil || n != 4 {
		t.Fatalf("%d pairs: %v", n, err)
	}
	for i, r := range g.TX {
		must(t, r.Send(filled(60, byte(i+1))))
	}
	seen := map[byte]bool{}
	for _, f := range readFrames(t, l) {
		seen[f[0]] = true
	}
	if len(seen) != 4 {
		t.Errorf("frames of %d rings came", len(seen))
	}
	for flow := range 64 {
		f := filled(60, 2)
		copy(f[12:], []byte{8, 0, 0x45, 0})
		binary.BigEndian.PutUint16(f[16:], 46)
		f[20], f[21], f[23] = 0, 0, 17
		f[29], f[33], f[35] = byte(flow), 1, byte(flow)
		for range 2 {
			b := frame.Batch{Buf: f, Refs: []frame.Ref{{Len: 60}}}
			if _, err := l.WriteBatch(&b); err != nil {
				t.Fatal(err)
			}
		}
	}
	used, total := 0, 0
	for _, r := range g.RX {
		n := int(r.UsedIndex())
		if n%2 != 0 {
			t.Errorf("a flow was split: ring %d has %d frames", r.Index, n)
		}
		if n > 0 {
			used++
		}
		total += n
	}
	if used < 3 || total != 128 {
		t.Errorf("%d frames in %d rings", total, used)
	}
}

// TestOffload passes work on that guests leave, and refuses what they may not.
func TestOffload(t *testing.T) {
	var all uint64
	for _, o := range offloads {
		all |= o.takes | o.leaves
	}
	l, g := pair(t, frontend.Options{Features: all})
	defer l.Close()
	if takes := l.Takes(); takes != frame.CanCsum|frame.CanTCP4|frame.CanTCP6|frame.CanECN|frame.CanUDP {
		t.Errorf("it takes %v", takes)
	}
	f := filled(80, 3)
	copy(f[12:], []byte{8, 0, 0x45, 0, 0, 66})
	f[20], f[21], f[23] = 0, 0, 17
	send := func(flags, start, offset byte) (*frame.Batch, error) {
		r := g.TX[0]
		const at = 1 << 20
		copy(g.Mem[at:], []byte{flags, 0, 0, 0, 0, 0, start, 0, offset, 0, 0, 0})
		copy(g.Mem[at+12:], f)
		offer(g, uint16(r.UsedIndex()), frontend.GuestBase+at, 92, 0, 0)
		b := &frame.Batch{Buf: make([]byte, link.MinBuf)}
		return b, l.ReadBatch(b)
	}
	b, err := send(1, 34, 6)
	if err != nil || len(b.Refs) != 1 || b.Offload(b.Refs[0]) == nil {
		t.Fatalf("%d frames, %v", len(b.Refs), err)
	}
	if o := b.Offload(b.Refs[0]); o.Flags != frame.NeedsCsum || o.CsumStart != 34 || o.CsumOffset != 6 {
		t.Errorf("work %+v", o)
	}
	if _, err := l.WriteBatch(b); err != nil || b.Refused != 0 {
		t.Fatalf("refused %d: %v", b.Refused, err)
	}
	if head := g.RX[0].Buffer(0)[:12]; !bytes.Equal(head, []byte{1, 0, 0, 0, 0, 0, 34, 0, 6, 0, 1, 0}) {
		t.Errorf("the guest was given header %x", head)
	}
	if bad, err := send(1, 79, 6); err != nil || len(bad.Refs) != 0 || bad.Bad != 1 {
		t.Errorf("a checksum behind the end: %d frames, %d bad, %v", len(bad.Refs), bad.Bad, err)
	}
	// The driver comes anew and takes nothing.
	for _, r := range []*frontend.Ring{g.RX[0], g.TX[0]} {
		if _, err := g.Stop(r); err != nil {
			t.Fatal(err)
		}
	}
	must(t, g.Tell(frontend.ReqSetFeatures, frontend.U64(g.Features&^all)))
	must(t, g.Start(g.RX[0], uint32(g.RX[0].UsedIndex())))
	news := frame.Batch{Buf: make([]byte, link.MinBuf)}
	if err := l.ReadBatch(&news); err != nil || !news.Changed || l.Takes() != 0 {
		t.Errorf("changed %t, takes %v, %v", news.Changed, l.Takes(), err)
	}
	b.Refused = 0
	if _, err := l.WriteBatch(b); err != nil || b.Refused != 1 {
		t.Errorf("a frame made for the driver before: refused %d, %v", b.Refused, err)
	}
}

// TestResetKeepsPlaces: a front end may reset the device and then ask where its
// rings have ended.
func TestResetKeepsPlaces(t *testing.T) {
	l, g := pair(t, frontend.Options{})
	defer l.Close()
	for range 3 {
		must(t, g.SendFrame(filled(60, 1)))
	}
	if got := len(readFrames(t, l)); got != 3 {
		t.Fatalf("%d frames", got)
	}
	must(t, g.Tell(uint32(setStatus), frontend.U64(0)))
	if base, err := g.Stop(g.TX[0]); base != 3 || err != nil {
		t.Errorf("it is to go on at %d, %v; want 3", base, err)
	}
}
