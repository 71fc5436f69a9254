package vhost

import (
	"testing"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/vhost/frontend"
)

// bare is frames of one buffer each.
func bare(packed bool, size int) frontend.Options {
	return frontend.Options{Packed: packed, NoMerge: true, Size: 32, BufSize: size}
}

// TestStopWithChainsTaken stops rings of which more was taken than was used: they
// go on behind what was used, and nothing is lost or twice there.
func TestStopWithChainsTaken(t *testing.T) {
	for _, packed := range []bool{false, true} {
		wrap := b32(packed) * 0x8000_8000
		place := func(i uint32) uint32 { return i | b32(packed)*i<<16 | wrap }

		l, g := pair(t, bare(packed, 256))
		must(t, g.SetDeadline(time.Now().Add(30*time.Second)))
		write := func(want int, lens ...uint32) {
			t.Helper()
			b := frame.Batch{Buf: make([]byte, link.MinBuf)}
			for _, n := range lens {
				b.Refs = append(b.Refs, frame.Ref{Len: n})
			}
			if n, err := l.WriteBatch(&b); n != len(lens) || err != nil || b.Refused != len(lens)-want {
				t.Fatalf("packed %t: took %d, refused %d, %v", packed, n, b.Refused, err)
			}
		}
		write(2, 60, 1000, 61) // the second is too large for any buffer
		base, err := g.Stop(g.RX[0])
		if err != nil || base != place(2) {
			t.Fatalf("packed %t: receives from %#x on: %v", packed, base, err)
		}
		must(t, g.Start(g.RX[0], base))
		write(1, 62)
		for _, want := range []int{60, 61, 62} {
			if n, err := g.RecvFrame(make([]byte, 4096)); n != want || err != nil {
				t.Errorf("packed %t: received %d bytes, %v, want %d", packed, n, err, want)
			}
		}
		must(t, l.Close())
	}
}

// TestReadInPieces has more frames sent than there is room for, and the ring
// stopped when only some have been read.
func TestReadInPieces(t *testing.T) {
	const count, size = 5, 60000 // two fit into a batch
	for _, packed := range []bool{false, true} {
		l, g := pair(t, bare(packed, 72<<10))
		for i := range count {
			must(t, g.SendFrame(filled(size, byte(i))))
		}
		b := frame.Batch{Buf: make([]byte, link.MinBuf)}
		if err := l.ReadBatch(&b); err != nil || len(b.Refs) != 2 || !b.More {
			t.Fatalf("packed %t: %d frames, more %t, %v", packed, len(b.Refs), b.More, err)
		}
		base, err := g.Stop(g.TX[0])
		if err != nil || base&0x7fff != 2 {
			t.Fatalf("packed %t: sends from %#x on: %v", packed, base, err)
		}
		must(t, g.Start(g.TX[0], base))
		list := readFrames(t, l)
		if len(list) != count-2 {
			t.Fatalf("packed %t: %d frames more", packed, len(list))
		}
		for i, f := range list {
			if len(f) != size || f[0] != byte(i+2) {
				t.Errorf("packed %t: frame %d is of %d bytes, %#x", packed, i+2, len(f), f[0])
			}
		}
		must(t, l.Close())
	}
}

// TestManyInOneBatch fills rings with more than is gathered at once.
func TestManyInOneBatch(t *testing.T) {
	const count = 3 * ahead
	for _, packed := range []bool{false, true} {
		l, g := pair(t, frontend.Options{Packed: packed})
		must(t, g.SetDeadline(time.Now().Add(30*time.Second)))
		b := frame.Batch{Buf: make([]byte, link.MinBuf)}
		for i := range count {
			must(t, g.SendFrame(filled(60+i, byte(i))))
			b.Refs = append(b.Refs, frame.Ref{Len: uint32(60 + i)})
		}
		list := readFrames(t, l)
		if len(list) != count {
			t.Fatalf("packed %t: read %d", packed, len(list))
		}
		for i, f := range list {
			if len(f) != 60+i || f[0] != byte(i) {
				t.Fatalf("packed %t: frame %d is of %d bytes, %#x", packed, i, len(f), f[0])
			}
		}
		if n, err := l.WriteBatch(&b); n != count || err != nil {
			t.Fatalf("packed %t: wrote %d, %v", packed, n, err)
		}
		for i := range count {
			if n, err := g.RecvFrame(make([]byte, 4096)); n != 60+i || err != nil {
				t.Fatalf("packed %t: received %d bytes as number %d, %v", packed, n, i, err)
			}
		}
		must(t, l.Close())
	}
}

// TestUsedInOrder: a guest that wants its buffers used in order finds one used
// descriptor for many frames, and gets all of its buffers back by it.
func TestUsedInOrder(t *testing.T) {
	l, g := pair(t, frontend.Options{Packed: true, Size: 250, Features: frontend.FeatInOrder})
	defer l.Close()
	must(t, g.SetDeadline(time.Now().Add(30*time.Second)))
	const rounds, count = 8, 200
	for round := range rounds {
		for i := range count {
			must(t, g.SendFrame(filled(60+i, byte(round))))
		}
		list := readFrames(t, l)
		if len(list) != count || list[0][0] != byte(round) || len(list[count-1]) != 60+count-1 {
			t.Fatalf("round %d: read %d frames", round, len(list))
		}
	}
	if n := g.TX[0].UsedWords(); n == 0 || n > rounds*count/10 {
		t.Errorf("%d used descriptors for %d frames", n, (rounds-1)*count)
	}
}
