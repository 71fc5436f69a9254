package linktest

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Opener opens a Link of the kind under test and a Station on its other end.
type Opener func(t testing.TB) (link.Link, *Station)

// Run checks that the Links that open yields keep to the contract of package
// link.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Opener)
	}{
		{"ReadsEveryLength", readsEveryLength},
		{"WritesEveryLength", writesEveryLength},
		{"WritesPrefixed", writesPrefixed},
		{"Edits", edits},
		{"ManyInOneBatch", manyInOneBatch},
		{"FullThenLosesNothing", fullThenLosesNothing},
		{"NeverWaits", neverWaits},
		{"BothWaysAtOnce", bothWaysAtOnce},
		{"EndsWithEOF", endsWithEOF},
		{"FailsWhenPeerDies", failsWhenPeerDies},
		{"CloseReachesPeer", closeReachesPeer},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open) })
	}
}

// maxLength is the longest frame that must be survived; it may be refused, but
// never cut.
const maxLength = 65537

// lengths lists every length from 14 on, or, if not asked for all or if that
// would take long, those where something may change.
func lengths(every bool) []int {
	every = every && !testing.Short() && !raceEnabled
	var list []int
	for n := frame.HeaderLen; n <= maxLength; n++ {
		edge := n&(n-1) <= 4 || n&1023 >= 1020 || n > 65500
		if every || n <= 1600 || edge || n%509 == 0 {
			list = append(list, n)
		}
	}
	return list
}

// noise is where frames come from: cut at different places, no two look alike.
var noise = func() []byte {
	b := make([]byte, 1<<18)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x >> 24)
	}
	return b
}()

// content is what frame number i is, n bytes long.
func content(i, n int) []byte { return noise[i*61%(len(noise)-maxLength-1):][:n] }

// readsEveryLength sends frames of all lengths to the Link and looks at what
// comes out of it.
func readsEveryLength(t *testing.T, open Opener) {
	l, s := open(t)
	n := newNear(t, l)
	all := lengths(true)
	sent := make(chan error, 1)
	go func() {
		for i, size := range all {
			if err := s.TrySend(content(i, size)); err != nil {
				sent <- fmt.Errorf("send %d bytes: %w", size, err)
				return
			}
		}
		sent <- nil
	}()
	for got := 0; got < len(all); {
		for _, f := range n.read() {
			if want := content(got, all[got]); !Same(f, want) {
				t.Fatalf("frame %d came in as %d bytes\n%s\nwant %d bytes\n%s", got, len(f), show(f), len(want), show(want))
			}
			got++
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// writesEveryLength writes frames of all lengths to the Link and looks at what
// the Station receives.
func writesEveryLength(t *testing.T, open Opener) { writeAll(t, open, lengths(true), false) }

// writesPrefixed writes frames that lie in memory as a stream carries them.
func writesPrefixed(t *testing.T, open Opener) { writeAll(t, open, lengths(false), true) }

func writeAll(t *testing.T, open Opener, sizes []int, prefixed bool) {
	l, s := open(t)
	n := newNear(t, l)
	received := receive(s, len(sizes), func(i int) []byte { return content(i, sizes[i]) })
	for from := 0; from < len(sizes); {
		b := newBatch(prefixed)
		first := from
		for from < len(sizes) && b.fits(sizes[from]) && from-first < 97 {
			b.add(content(from, sizes[from]), 0)
			from++
		}
		n.write(b)
	}
	if err := <-received; err != nil {
		t.Fatal(err)
	}
}

// receive has s receive count frames and compares them with what want says.
func receive(s *Station, count int, want func(i int) []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		for i := range count {
			f, err := s.TryRecv()
			if err != nil {
				done <- fmt.Errorf("receive frame %d: %w", i, err)
				return
			}
			if w := want(i); !Same(f, w) {
				done <- fmt.Errorf("frame %d arrived as %d bytes\n%s\nwant %d bytes\n%s", i, len(f), show(f), len(w), show(w))
				return
			}
		}
		done <- nil
	}()
	return done
}

// fullThenLosesNothing writes while the Station does not read, until the Link
// takes no more, then lets the Station read: the frames that the Link said it
// took, and those that it took later, arrive whole, once and in order.
func fullThenLosesNothing(t *testing.T, open Opener) {
	for _, sizes := range [][]int{{60}, {1514}, {65535}, {61, 9014, 18, 1514, 60, 40000, 333}} {
		t.Run(fmt.Sprint(sizes), func(t *testing.T) {
			l, s := open(t)
			n := newNear(t, l)
			total := 0
			more := func() *batch {
				b := newBatch(total%2 == 0)
				for len(b.Refs) < 50 {
					in, edit, _ := mixed(total, sizes)
					if !b.fits(len(in)) {
						break
					}
					b.add(in, edit)
					total++
				}
				return b
			}
			var left *batch
			for left == nil {
				b := more()
				took, err := n.writeOnce(b)
				switch {
				case errors.Is(err, link.ErrFull):
					left = b.from(took)
				case err != nil || took != len(b.Refs):
					t.Fatalf("write %d frames: took %d and said: %v", len(b.Refs), took, err)
				}
			}
			// It stays full, for empty batches too, and forgets nothing.
			for range 3 {
				took, err := n.writeOnce(left)
				if err != nil && !errors.Is(err, link.ErrFull) {
					t.Fatalf("write to a full link: %v", err)
				}
				left = left.from(took)
			}
			const rounds = 20
			for range rounds {
				b := more()
				for i := range b.Refs { // behind those that are left
					left.add(b.Frame(b.Refs[i]), b.Refs[i].Edit)
				}
			}
			received := receive(s, total, func(i int) []byte {
				_, _, out := mixed(i, sizes)
				return out
			})
			n.write(left)
			if err := <-received; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// bothWaysAtOnce reads and writes at the same time, in two goroutines.
func bothWaysAtOnce(t *testing.T, open Opener) {
	const count = 4000
	size := func(i int) int { return 60 + i*37%3000 }
	l, s := open(t)
	n := newNear(t, l)
	received := receive(s, count, func(i int) []byte { return content(i, size(i)) })
	sent := make(chan error, 1)
	go func() {
		for i := range count {
			if err := s.TrySend(content(i, size(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	written := make(chan error, 1)
	go func() {
		for i := 0; i < count; i += 16 {
			b := newBatch(i%32 == 0)
			for j := range 16 {
				b.add(content(i+j, size(i+j)), 0)
			}
			if err := n.tryWrite(b); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for got := 0; got < count; {
		for _, f := range n.read() {
			if want := content(got, size(got)); !Same(f, want) {
				t.Fatalf("frame %d came in as %d bytes, want %d", got, len(f), len(want))
			}
			got++
		}
	}
	for _, c := range []<-chan error{received, sent, written} {
		if err := <-c; err != nil {
			t.Fatal(err)
		}
	}
}

// neverWaits calls when there is nothing to read and no room to write. That
// the test ends is what it shows.
func neverWaits(t *testing.T, open Opener) {
	l, _ := open(t)
	n := newNear(t, l)
	for range 3 {
		if frames, err := n.readOnce(); len(frames) > 0 || err != nil {
			t.Fatalf("read from a silent link: %d frames, %v", len(frames), err)
		}
	}
	full := false
	for i := 0; !full; i++ {
		b := newBatch(false)
		b.add(content(i, 9014), 0)
		_, err := n.writeOnce(b)
		full = errors.Is(err, link.ErrFull)
		if err != nil && !full {
			t.Fatalf("write: %v", err)
		}
	}
	if frames, err := n.readOnce(); len(frames) > 0 || err != nil {
		t.Fatalf("read from a silent link that is full: %d frames, %v", len(frames), err)
	}
}

// endsWithEOF sends some frames and goes: they come in, and then the end.
func endsWithEOF(t *testing.T, open Opener) {
	l, s := open(t)
	n := newNear(t, l)
	const count = 20
	for i := range count {
		s.Send(content(i, 100+i))
	}
	s.Close()
	got := 0
	for {
		n.awaitReadable()
		frames, err := n.readOnce()
		for _, f := range frames {
			if !Same(f, content(got, 100+got)) {
				t.Fatalf("frame %d is not what was sent", got)
			}
			got++
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("end: %v, want io.EOF", err)
		}
		if got != count {
			t.Fatalf("%d frames came in before the end, want %d", got, count)
		}
		return
	}
}

// failsWhenPeerDies writes to a Station that is gone. A kind may learn of that
// late, but must learn of it.
func failsWhenPeerDies(t *testing.T, open Opener) {
	l, s := open(t)
	n := newNear(t, l)
	s.Close()
	for i := 0; ; i++ {
		b := newBatch(false)
		b.add(content(i, 60), 0)
		_, err := n.writeOnce(b)
		if errors.Is(err, link.ErrFull) {
			t.Fatal("the link of a peer that is gone is full, so that nobody ever hears of it")
		}
		if err != nil {
			return
		}
		if i > 1e6 {
			t.Fatal("a million frames were written to a peer that is gone")
		}
	}
}

// closeReachesPeer closes the Link: the Station sees what was written, then
// the end.
func closeReachesPeer(t *testing.T, open Opener) {
	l, s := open(t)
	n := newNear(t, l)
	b := newBatch(false)
	b.add(content(1, 77), 0)
	n.write(b)
	n.close()
	s.Expect(content(1, 77))
	s.ExpectEnd()
}
