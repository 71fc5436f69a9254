package ring_test

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vnetkit/switch/frame"
	"vnetkit/switch/ring"
)

var wide = ring.Limits{Frames: 1 << 20, Bytes: 1 << 30}

// numbered is a frame of size bytes that says which one it is.
func numbered(n, size int) []byte {
	f := bytes.Repeat([]byte{byte(n)}, size)
	binary.BigEndian.PutUint32(f, uint32(n))
	return f
}

// batchOf makes a Batch in which frames do not touch.
func batchOf(frames ...[]byte) *frame.Batch {
	b := &frame.Batch{}
	for _, f := range frames {
		b.Buf = append(b.Buf, 0xa5, 0xa5, 0xa5)
		b.Refs = append(b.Refs, frame.Ref{Off: uint32(len(b.Buf)), Len: uint32(len(f))})
		b.Buf = append(b.Buf, f...)
	}
	return b
}

// head returns what Head says, after checking that each frame's length stands
// before it and that the frames touch.
func head(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, r *ring.Ring) (list [][]byte) {
	t.Helper()
	var b frame.Batch
	r.Head(&b)
	if len(b.Refs) > 0 && !b.Prefixed {
		t.Fatal("what comes out of a ring is prefixed")
	}
	for i, ref := range b.Refs {
		if said := binary.BigEndian.Uint32(b.Buf[ref.Off-frame.PrefixLen:]); said != ref.Len {
			t.Fatalf("the length before a frame of %d bytes says %d", ref.Len, said)
		}
		if i > 0 && b.Refs[i-1].Off+b.Refs[i-1].Len+frame.PrefixLen != ref.Off {
			t.Fatalf("frames %d and %d do not touch", i-1, i)
		}
		if ref.Edit != 0 {
			t.Fatalf("frame %d is not in its final form", i)
		}
		list = append(list, b.Frame(ref))
	}
	return list
}

func TestRingKeepsOrder(t *testing.T) {
	r := ring.Ring{Limits: wide}
	const count = 20_000 // many chunks
	next, out := 0, 0
	for out < count {
		for range 700 {
			if n := r.Push(batchOf(numbered(next, 14+next%1500))); n != 1 {
				t.Fatalf("frame %d was not taken", next)
			}
			next++
		}
		for range 3 { // in parts, across the ends of chunks
			list := head(t, &r)
			take := min(len(list), 1+next%191)
			bytesWant := 0
			for _, f := range list[:take] {
				if !bytes.Equal(f, numbered(out, 14+out%1500)) {
					t.Fatalf("frame %d came out wrong", out)
				}
				bytesWant += len(f)
				out++
			}
			if got := r.Pop(take); got != bytesWant {
				t.Fatalf("popped %d bytes, want %d", got, bytesWant)
			}
		}
		if r.Len() != next-out {
			t.Fatalf("%d frames in it, want %d", r.Len(), next-out)
		}
	}
}

func TestRingEmpty(t *testing.T) {
	var r ring.Ring
	if n := r.Push(batchOf(numbered(0, 60))); n != 0 {
		t.Error("a ring without limits set took a frame")
	}
	if list := head(t, &r); len(list) != 0 || r.Len() != 0 || r.Pop(0) != 0 || popAll(&r) != 0 {
		t.Error("an empty ring has something in it")
	}
}

func TestRingLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits ring.Limits
		size   int
		want   int
	}{
		{"frames", ring.Limits{Frames: 5, Bytes: 1 << 20}, 60, 5},
		{"bytes", ring.Limits{Frames: 1 << 20, Bytes: 1000}, 100, 10},
		{"bytes, not quite", ring.Limits{Frames: 1 << 20, Bytes: 999}, 100, 9},
		{"none fits", ring.Limits{Frames: 1 << 20, Bytes: 99}, 100, 0},
		{"many chunks", ring.Limits{Frames: 1 << 20, Bytes: 4 << 20}, 65536, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ring.Ring{Limits: c.limits}
			var frames [][]byte
			for i := range 100 {
				frames = append(frames, numbered(i, c.size))
			}
			if n := r.Push(batchOf(frames...)); n != c.want || r.Len() != c.want {
				t.Fatalf("took %d, has %d, want %d", n, r.Len(), c.want)
			}
			if c.want == 0 {
				return
			}
			r.Pop(1) // makes room for exactly one
			if n := r.Push(batchOf(frames[:3]...)); n != 1 {
				t.Errorf("took %d where one was taken out", n)
			}
			if n := popAll(&r); n != c.want || r.Len() != 0 {
				t.Errorf("cleared %d, want %d", n, c.want)
			}
			if n := r.Push(batchOf(frames...)); n != c.want {
				t.Errorf("took %d after it was cleared, want %d", n, c.want)
			}
		})
	}
}

// Limits count bytes as they are after the edit.
func TestRingEdits(t *testing.T) {
	in := append(bytes.Repeat([]byte{1}, 12), 0x81, 0, 0, 9, 0x88, 0xb5, 7, 8, 9)
	for _, c := range []struct {
		edit frame.Edit
		want []byte
	}{
		{0, in},
		{frame.InsertTag(0x1234), append(append(bytes.Repeat([]byte{1}, 12), 0x81, 0, 0x12, 0x34), in[12:]...)},
		{frame.RemoveTag(), append(bytes.Repeat([]byte{1}, 12), in[16:]...)},
		{frame.SetTag(0x1234), append(append(bytes.Repeat([]byte{1}, 12), 0x81, 0, 0x12, 0x34), in[16:]...)},
	} {
		r := ring.Ring{Limits: ring.Limits{Frames: 9, Bytes: len(c.want)}}
		b := batchOf(in, in)
		b.Refs[0].Edit, b.Refs[1].Edit = c.edit, c.edit
		if n := r.Push(b); n != 1 {
			t.Errorf("edit %x: took %d, want 1", c.edit, n)
			continue
		}
		if got := head(t, &r); !bytes.Equal(got[0], c.want) {
			t.Errorf("edit %x: % x, want % x", c.edit, got[0], c.want)
		}
	}
}

// Push keeps nothing of what it was given.
func TestRingCopies(t *testing.T) {
	r := ring.Ring{Limits: wide}
	b := batchOf(numbered(7, 100))
	r.Push(b)
	clear(b.Buf)
	if got := head(t, &r); !bytes.Equal(got[0], numbered(7, 100)) {
		t.Errorf("the frame changed with the buffer it came from: % x", got[0][:8])
	}
}

func TestRingLargestFrames(t *testing.T) {
	r := ring.Ring{Limits: wide}
	for i := range 5 {
		b := batchOf(numbered(i, frame.MaxLen))
		b.Refs[0].Edit = frame.InsertTag(1)
		if r.Push(b) != 1 {
			t.Fatal("not taken")
		}
	}
	for range 5 {
		if got := head(t, &r); len(got) == 0 || len(got[0]) != frame.MaxLen+frame.TagLen {
			t.Fatalf("%d frames at the head", len(got))
		}
		r.Pop(1)
	}
}

// As the port uses it: one goroutine looks at the head under a lock, writes it
// without, and pops under the lock; meanwhile others push.
func TestRingHeadStaysGoodWhileOthersPush(t *testing.T) {
	const count = 50_000
	r := ring.Ring{Limits: ring.Limits{Frames: 1000, Bytes: 1 << 20}}
	var mu sync.Mutex
	room := sync.NewCond(&mu)
	go func() {
		for i := range count {
			b := batchOf(numbered(i, 14+i%200))
			mu.Lock()
			for r.Push(b) == 0 {
				room.Wait()
			}
			mu.Unlock()
		}
	}()
	var b frame.Batch
	for out := 0; out < count; {
		mu.Lock()
		r.Head(&b)
		mu.Unlock()
		take := (len(b.Refs) + 1) / 2 // the kernel took half
		for _, ref := range b.Refs[:take] {
			if f := b.Frame(ref); !bytes.Equal(f, numbered(out, 14+out%200)) {
				t.Fatalf("frame %d came out wrong: % x", out, f[:8])
			}
			out++
		}
		mu.Lock()
		r.Pop(take)
		room.Signal()
		mu.Unlock()
	}
}

// The ring against a slice of slices.
func TestRingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := ring.Limits{Frames: rapid.IntRange(0, 50).Draw(t, "frames"), Bytes: rapid.IntRange(0, 400_000).Draw(t, "bytes")}
		r := ring.Ring{Limits: limits}
		var want [][]byte
		total := func() (n int) {
			for _, f := range want {
				n += len(f)
			}
			return n
		}
		number := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				var frames [][]byte
				for _, size := range rapid.SliceOfN(rapid.OneOf(rapid.IntRange(14, 100), rapid.IntRange(14, frame.MaxLen)), 1, 8).Draw(t, "sizes") {
					frames = append(frames, numbered(number, size))
					number++
				}
				n := r.Push(batchOf(frames...))
				fit := 0
				for _, f := range frames {
					if len(want) >= limits.Frames || total()+len(f) > limits.Bytes {
						break
					}
					want = append(want, f)
					fit++
				}
				if n != fit {
					t.Fatalf("took %d of %d, want %d", n, len(frames), fit)
				}
			},
			"pop": func(t *rapid.T) {
				n := len(head(t, &r))
				if n == 0 {
					t.Skip()
				}
				n = rapid.IntRange(1, n).Draw(t, "count")
				r.Pop(n)
				want = want[n:]
			},
			"clear": func(t *rapid.T) {
				if n := popAll(&r); n != len(want) {
					t.Fatalf("cleared %d, want %d", n, len(want))
				}
				want = nil
			},
			"": func(t *rapid.T) {
				if r.Len() != len(want) {
					t.Fatalf("has %d, want %d", r.Len(), len(want))
				}
				got := head(t, &r)
				if len(got) == 0 && len(want) > 0 {
					t.Fatal("nothing at the head of a ring that is not empty")
				}
				for i, f := range got {
					if !bytes.Equal(f, want[i]) {
						t.Fatalf("frame %d is wrong", i)
					}
				}
			},
		})
	})
}

// BenchmarkRing passes frames through in batches of 64, as a receiver that
// stumbles does.
func BenchmarkRing(b *testing.B) {
	r := ring.Ring{Limits: wide}
	in := &frame.Batch{}
	for i := range 64 {
		in.Refs = append(in.Refs, frame.Ref{Off: uint32(i * 64), Len: 60})
	}
	in.Buf = make([]byte, 64*64)
	var out frame.Batch
	r.Push(in)
	b.SetBytes(64 * 60)
	b.ReportAllocs()
	for b.Loop() {
		r.Push(in)
		r.Head(&out)
		r.Pop(min(len(out.Refs), 64))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(64*b.N), "ns/frame")
}

// popAll empties r and returns how many frames were in it.
func popAll(r *ring.Ring) int {
	n := 0
	var b frame.Batch
	for r.Head(&b); len(b.Refs) > 0; r.Head(&b) {
		n += len(b.Refs)
		r.Pop(len(b.Refs))
	}
	return n
}
