package cable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// pipes is a stream on two pipes and the far ends of them.
func pipes(t testing.TB) (s *stream, feed, drain int) {
	t.Helper()
	var in, out [2]int
	for _, p := range []*[2]int{&in, &out} {
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	s, err := newStream(in[0], out[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		for _, fd := range []int{in[0], in[1], out[0], out[1]} {
			_ = unix.Close(fd) // some are closed already
		}
	})
	return s, in[1], out[0]
}

// wire puts frames behind their lengths.
func wire(frames ...[]byte) []byte {
	var w []byte
	for _, f := range frames {
		w = append(binary.BigEndian.AppendUint16(w, uint16(len(f))), f...)
	}
	return w
}

// testFrame is a frame of n bytes from a station, with a content of its own.
func testFrame(seed, n int) []byte {
	f := make([]byte, n)
	for i := range f {
		f[i] = byte(seed*7 + i*3)
	}
	if n >= 12 {
		copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, byte(seed >> 8), byte(seed)})
	}
	return f
}

func newBatch() *frame.Batch { return &frame.Batch{Buf: make([]byte, bufSize)} }

// Every length comes in whole, however the stream is cut.
func TestStreamReadsEveryLength(t *testing.T) {
	s, feed, _ := pipes(t)
	b := newBatch()
	for _, n := range []int{14, 15, 59, 60, 61, 1514, 1518, 1519, 4096, 9234, 9235, 32768, 65534, 65535} {
		for _, cut := range []int{1, 2, 3, 15, 16, n / 2, n + 1} {
			f := testFrame(n, n)
			w := wire(nil, f)
			var got [][]byte
			for len(w) > 0 {
				k, err := unix.Write(feed, w[:min(len(w), max(cut, len(w)/4))])
				if err != nil {
					t.Fatal(err)
				}
				w = w[k:]
				b.Reset()
				if err := s.ReadBatch(b); err != nil {
					t.Fatalf("%d bytes cut at %d: %v", n, cut, err)
				}
				for _, r := range b.Refs {
					got = append(got, bytes.Clone(b.Frame(r)))
				}
			}
			if len(got) != 1 || !bytes.Equal(got[0], f) || len(s.part) != 0 {
				t.Fatalf("%d bytes cut at %d: %d frames came in, %d bytes left over", n, cut, len(got), len(s.part))
			}
		}
	}
	b.Reset()
	if err := s.ReadBatch(b); err != nil || len(b.Refs) != 0 {
		t.Errorf("an empty pipe: %v, %d frames", err, len(b.Refs))
	}
}

func TestStreamWritesEveryLength(t *testing.T) {
	s, _, drain := pipes(t)
	for _, n := range []int{14, 60, 1514, 9234, 65535} {
		f := testFrame(n, n)
		b := &frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(n)}}}
		taken, err := s.WriteBatch(b)
		if taken != 1 || err != nil && !errors.Is(err, link.ErrFull) {
			t.Fatalf("%d bytes: took %d, %v", n, taken, err)
		}
		got := make([]byte, lengthLen+n)
		for have := 0; have < len(got); {
			k, err := unix.Read(drain, got[have:])
			if err != nil {
				t.Fatal(err)
			}
			have += k
			if err := s.flush(); err != nil && !errors.Is(err, link.ErrFull) {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, wire(f)) {
			t.Fatalf("%d bytes arrived changed", n)
		}
	}
}

// What a full pipe does not take is known to the frame.
func TestStreamFull(t *testing.T) {
	s, _, drain := pipes(t)
	b := &frame.Batch{}
	for i := range 200 {
		f := testFrame(i, 1000)
		b.Refs = append(b.Refs, frame.Ref{Off: uint32(len(b.Buf)), Len: 1000})
		b.Buf = append(b.Buf, f...)
	}
	taken, err := s.WriteBatch(b)
	if !errors.Is(err, link.ErrFull) || taken == 0 || taken >= 200 {
		t.Fatalf("a pipe took %d frames of 1000 bytes: %v", taken, err)
	}
	frames, size := s.unwritten()
	room, err := unix.IoctlGetInt(drain, unix.TIOCINQ)
	if err != nil {
		t.Fatal(err)
	}
	if whole := room / 1002; int(frames) != taken-whole || size != frames*1000 {
		t.Errorf("took %d frames, %d are in the pipe, and it says that %d (%d bytes) are not", taken, whole, frames, size)
	}
}

func TestStreamEnds(t *testing.T) {
	text := "Welcome to a host that greets everybody\n"
	noStation := bytes.Repeat(wire(append(bytes.Repeat([]byte{0xff}, 12), 0, 0)), outOfStep)
	for _, tc := range []struct {
		name   string
		data   []byte
		want   error
		words  string
		frames int
	}{
		{"nothing", nil, io.EOF, "", 0},
		{"a frame", wire(testFrame(1, 60)), io.EOF, "", 1},
		{"half a frame", wire(testFrame(1, 60), testFrame(2, 60))[:80], io.ErrUnexpectedEOF, "middle of a frame", 1},
		{"half a length", wire(testFrame(1, 60), nil)[:63], io.ErrUnexpectedEOF, "middle of a frame", 1},
		{"text", []byte(text), errOutOfStep, "Welcome", 0},
		{"a short word", []byte("hi\n"), errOutOfStep, "hi", 0},
		{"frames without a sender", noStation, errOutOfStep, "8 impossible", outOfStep},
		{"runts", bytes.Repeat(wire(make([]byte, 5)), outOfStep), errOutOfStep, "8 impossible", 0},
		{"bad senders once in step", append(wire(testFrame(1, 60)), noStation...), io.EOF, "", outOfStep + 1},
		{"only empty frames", make([]byte, 64), io.EOF, "", 0},
		{"a runt between frames", wire(testFrame(1, 60), make([]byte, 13), testFrame(2, 60)), io.EOF, "", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, feed, _ := pipes(t)
			if _, err := unix.Write(feed, tc.data); err != nil {
				t.Fatal(err)
			}
			if err := unix.Close(feed); err != nil {
				t.Fatal(err)
			}
			b, frames := newBatch(), 0
			var err error
			for err == nil {
				b.Reset()
				err = s.ReadBatch(b)
				frames += len(b.Refs)
			}
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.words) || frames != tc.frames {
				t.Errorf("%d frames, then: %v; want %d, then %v with %q", frames, err, tc.frames, tc.want, tc.words)
			}
		})
	}
}

// A pipe that others use too keeps waiting for them.
func TestDescriptorLeavesFlagsAlone(t *testing.T) {
	s, feed, drain := pipes(t)
	if s.in.fd == 0 || !s.in.own || !s.out.own {
		t.Fatal("the pipes were not opened anew")
	}
	for _, fd := range []int{feed, drain} {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("flags %x, %v", flags, err)
		}
	}
	if _, err := openDescriptor(-1, 0); err == nil {
		t.Error("no error for a descriptor that is not open")
	}
}

// A stream that is cut anywhere says the same as one that comes whole.
func FuzzParse(f *testing.F) {
	f.Add(wire(testFrame(1, 60), nil, testFrame(2, 14)), 7)
	f.Add([]byte("Last login: today\n"), 3)
	f.Add(bytes.Repeat([]byte{0, 1, 9}, 20), 1)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		if len(data) > 100<<10 {
			return
		}
		read := func(step int) (frames [][]byte, runts int, bad bool) {
			s, b := &stream{}, newBatch()
			for at := 0; ; {
				next := min(len(data), at+step)
				have := copy(b.Buf, s.part)
				have += copy(b.Buf[have:], data[at:next])
				b.Reset()
				used, err := s.parse(b, b.Buf[:have])
				for _, r := range b.Refs {
					if int(r.Off+r.Len) > used || r.Len < frame.HeaderLen {
						t.Fatalf("frame %+v of %d bytes", r, used)
					}
					frames = append(frames, bytes.Clone(b.Frame(r)))
				}
				runts += b.Runts
				s.part = append(s.part[:0], b.Buf[used:have]...)
				if err != nil || next == len(data) {
					return frames, runts, err != nil
				}
				at = next
			}
		}
		frames, runts, bad := read(len(data) + 1)
		frames2, runts2, bad2 := read(max(cut, 1))
		if len(frames) != len(frames2) || runts != runts2 || bad != bad2 || !bytes.Equal(bytes.Join(frames, nil), bytes.Join(frames2, nil)) {
			t.Fatalf("whole: %d frames, %d runts, bad %t; cut at %d: %d, %d, %t", len(frames), runts, bad, cut, len(frames2), runts2, bad2)
		}
	})
}
