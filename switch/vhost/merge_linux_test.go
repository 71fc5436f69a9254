package vhost

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/offload"
	"vnetkit/switch/vhost/frontend"
)

// superFrame is TCP over IPv4 with some data that is to be cut.
func superFrame(data, size int) ([]byte, frame.Offload) {
	f := []byte{0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 8, 0}
	f = append(f, 0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1)
	f = append(f, 0x13, 0x88, 0x13, 0x89, 0, 0, 1, 0, 0, 0, 2, 0, 0x50, 0x18, 4, 0, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(f[16:], uint16(40+data))
	sum := func(b []byte, s uint32) uint16 {
		for ; len(b) > 1; b = b[2:] {
			s += uint32(binary.BigEndian.Uint16(b))
		}
		s = s>>16 + s&0xffff
		return uint16(s>>16 + s)
	}
	binary.BigEndian.PutUint16(f[24:], ^sum(f[14:34], 0))
	binary.BigEndian.PutUint16(f[50:], sum(f[26:34], 6+20+uint32(data))) // of the pseudo-header
	for i := range data {
		f = append(f, byte(i*7))
	}
	return f, frame.Offload{
		Flags: frame.NeedsCsum, GSO: frame.GSOTCP4, HeadLen: 54, Size: uint16(size), CsumStart: 34, CsumOffset: 16,
	}
}

// segmentsOf cuts f as the switch does for who does not take it.
func segmentsOf(f []byte, o frame.Offload) *frame.Batch {
	in := frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f)), Edit: frame.Edit(0).WithOffload(0)}}, Offloads: []frame.Offload{o}}
	out, all := frame.Batch{Buf: make([]byte, 0, 1<<16)}, frame.Batch{}
	var c offload.Cutter
	c.Start(&in)
	for c.Next(&out) {
		for _, r := range out.Refs {
			all.Refs = append(all.Refs, frame.Ref{Off: uint32(len(all.Buf)), Len: r.Len})
			all.Buf = append(all.Buf, out.Frame(r)...)
		}
	}
	return &all
}

// TestMerge: segments that come one by one from a link without offload reach the
// guest as the super-frame that they could have been, if it takes that.
func TestMerge(t *testing.T) {
	const takes = featTakesCsum | featTakesTSO4 | featTakesTSO6
	super, o := superFrame(5000, 1000)
	for _, g := range []struct {
		name string
		opt  frontend.Options
		want int // frames
	}{
		{"Mergeable", frontend.Options{Features: takes}, 1},
		{"Packed", frontend.Options{Features: takes, Packed: true}, 1},
		{"OneBuffer", frontend.Options{Features: takes, NoMerge: true, BufSize: 72 << 10, Size: 32}, 1},
		{"NotTaken", frontend.Options{}, 5},
		{"NotAllTaken", frontend.Options{Features: featTakesCsum | featTakesTSO4}, 5},
	} {
		t.Run(g.name, func(t *testing.T) {
			l, guest := pair(t, g.opt)
			defer l.Close()
			must(t, guest.SetDeadline(time.Now().Add(30*time.Second)))
			b := segmentsOf(super, o)
			if len(b.Refs) != 5 {
				t.Fatalf("%d segments", len(b.Refs))
			}
			if n, err := l.WriteBatch(b); n != 5 || err != nil || b.Merged != 5-g.want || b.Refused != 0 {
				t.Fatalf("took %d, %d merged, %d refused, %v", n, b.Merged, b.Refused, err)
			}
			head := slices.Clone(guest.RX[0].Buffer(0)[:12])
			buf := make([]byte, 1<<16)
			n, err := guest.RecvFrame(buf)
			must(t, err)
			if g.want > 1 {
				if n != 1054 || head[0] != 0 || head[1] != 0 {
					t.Errorf("%d bytes with header %x", n, head)
				}
				return
			}
			if !bytes.Equal(buf[:n], super) {
				t.Errorf("%d bytes:\n%x\nwant %d:\n%x", n, buf[:min(n, 64)], len(super), super[:64])
			}
			got, err := offload.Parse(head, frame.Frame(buf[:n]))
			if err != nil || got != o {
				t.Errorf("work %+v, %v, want %+v", got, err, o)
			}
		})
	}
}

// TestTagMovesWork: what is left to be done with a frame is where it is behind
// the tag that the frame gets, in one buffer or in several.
func TestTagMovesWork(t *testing.T) {
	super, o := superFrame(3000, 1000)
	want := o.Moved(frame.TagLen)
	for _, size := range []int{4096, 512} {
		l, guest := pair(t, frontend.Options{Features: featTakesCsum | featTakesTSO4, BufSize: size})
		must(t, guest.SetDeadline(time.Now().Add(30*time.Second)))
		b := &frame.Batch{Buf: super, Offloads: []frame.Offload{o}}
		b.Refs = []frame.Ref{{Len: uint32(len(super)), Edit: frame.InsertTag(7).WithOffload(0)}}
		if n, err := l.WriteBatch(b); n != 1 || err != nil || b.Refused != 0 {
			t.Fatalf("buffers of %d: took %d, refused %d, %v", size, n, b.Refused, err)
		}
		head, buf := slices.Clone(guest.RX[0].Buffer(0)[:12]), make([]byte, 1<<16)
		n, err := guest.RecvFrame(buf)
		must(t, err)
		if f := frame.InsertTag(7).Append(nil, super); !bytes.Equal(buf[:n], f) {
			t.Errorf("buffers of %d: %d bytes:\n%x\nwant %d:\n%x", size, n, buf[:min(n, 64)], len(f), f[:64])
		}
		if got, err := offload.Parse(head, frame.Frame(buf[:n])); err != nil || got != want {
			t.Errorf("buffers of %d: work %+v, %v, want %+v", size, got, err, want)
		}
		must(t, l.Close())
	}
}

// TestTooLarge: a frame that a ring cannot hold when all of it is free does not
// stop those behind it for ever.
func TestTooLarge(t *testing.T) {
	l, guest := pair(t, frontend.Options{Size: 8, BufSize: 256})
	defer l.Close()
	must(t, guest.SetDeadline(time.Now().Add(30*time.Second)))
	b := &frame.Batch{Buf: make([]byte, link.MinBuf), Refs: []frame.Ref{{Len: 3000}, {Len: 60}}}
	n, err := l.WriteBatch(b)
	if n != 2 || err != nil || b.Refused != 1 || b.RefusedBytes != 3000 {
		t.Fatalf("took %d, refused %d with %d bytes, %v", n, b.Refused, b.RefusedBytes, err)
	}
	if n, err := guest.RecvFrame(make([]byte, 4096)); n != 60 || err != nil {
		t.Errorf("received %d bytes, %v", n, err)
	}
}
