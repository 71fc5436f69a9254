package linktest

import (
	"errors"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// RunDevice checks Links whose far end is a network device, with a Station on the
// device. A device is not somebody who leaves, and its kernel takes what it has
// no room for and throws it away; so nothing here fills one up. longest is the
// longest frame that it carries: longer ones are refused, whole.
func RunDevice(t *testing.T, longest int, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, int, Opener)
	}{
		{"ReadsEveryLength", deviceReads},
		{"WritesEveryLength", func(t *testing.T, longest int, open Opener) { deviceWrites(t, longest, open, false) }},
		{"WritesPrefixed", func(t *testing.T, longest int, open Opener) { deviceWrites(t, longest, open, true) }},
		{"Edits", func(t *testing.T, longest int, open Opener) {
			editsOf(t, open, shortestTagged, longest-frame.TagLen)
		}},
		{"NeverWaits", deviceSilent},
		{"RefusesTooLong", deviceRefuses},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, longest, open) })
	}
}

// shortestTagged is the shortest frame whose tag Linux takes off and keeps: there
// must be a type behind it.
const shortestTagged = 24

// upTo lists lengths up to the longest.
func upTo(longest int) []int {
	var list []int
	for _, n := range lengths(false) {
		if n < longest {
			list = append(list, n)
		}
	}
	return append(list, longest)
}

// deviceReads sends a few frames at a time: the device's queue is short.
func deviceReads(t *testing.T, longest int, open Opener) {
	l, s := open(t)
	n := newNear(t, l)
	all := upTo(longest)
	const few = 40
	for from := 0; from < len(all); from += few {
		part := all[from:min(from+few, len(all))]
		for i, size := range part {
			s.Send(content(from+i, size))
		}
		for got := 0; got < len(part); {
			for _, f := range n.read() {
				if want := content(from+got, part[got]); !Same(f, want) {
					t.Fatalf("frame %d came in as %d bytes\n%s\nwant %d bytes\n%s", from+got, len(f), show(f), len(want), show(want))
				}
				got++
			}
		}
	}
}

func deviceWrites(t *testing.T, longest int, open Opener, prefixed bool) {
	l, s := open(t)
	n := newNear(t, l)
	all := upTo(longest)
	for from := 0; from < len(all); {
		b, first := newBatch(prefixed), from
		for from < len(all) && b.fits(all[from]) && from-first < 97 {
			b.add(content(from, all[from]), 0)
			from++
		}
		n.write(b)
		for i := first; i < from; i++ {
			s.Expect(content(i, all[i]))
		}
	}
}

func deviceSilent(t *testing.T, _ int, open Opener) {
	l, s := open(t)
	n := newNear(t, l)
	for range 3 {
		if frames, err := n.readOnce(); len(frames) > 0 || err != nil {
			t.Fatalf("read from a silent link: %d frames, %v", len(frames), err)
		}
	}
	b := newBatch(false)
	n.write(b)
	s.ExpectNothing()
}

// deviceRefuses writes frames that the device cannot carry among others.
func deviceRefuses(t *testing.T, longest int, open Opener) {
	l, s := open(t)
	for _, size := range []int{frame.MaxLen, longest + 4096} {
		if size > frame.MaxLen {
			continue
		}
		b := &frame.Batch{}
		for _, size := range []int{100, size, 200} {
			f := make([]byte, size)
			copy(f, content(size, min(size, 200)))
			b.Refs = append(b.Refs, frame.Ref{Off: uint32(len(b.Buf)), Len: uint32(size)})
			b.Buf = append(b.Buf, f...)
		}
		n, err := l.WriteBatch(b)
		if n != 3 || err != nil && !errors.Is(err, link.ErrFull) {
			t.Fatalf("wrote %d frames, %v", n, err)
		}
		s.Expect(b.Frame(b.Refs[0]))
		if b.Refused == 0 { // it took it: whole
			s.Expect(b.Frame(b.Refs[1]))
		} else if b.Refused != 1 || b.RefusedBytes != size {
			t.Errorf("refused %d frames of %d bytes, want 1 of %d", b.Refused, b.RefusedBytes, size)
		}
		s.Expect(b.Frame(b.Refs[2]))
	}
	_ = l.Close()
}
