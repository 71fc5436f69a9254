package plug

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// dgramPair is a Link and the data socket on its other end.
func dgramPair(t testing.TB) (l *dgramLink, far, control int) {
	t.Helper()
	data, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l = newDgramLink(data[0], ctl[0], link.Peer{})
	growSendBuffer(data[1]) // so that a test can send much at once
	t.Cleanup(func() {
		_ = l.Close()
		unix.Close(data[1])
		unix.Close(ctl[1])
	})
	return l, data[1], ctl[1]
}

// vdeReader collects what a Link reads, in whatever parts.
type vdeReader struct {
	link   link.Link
	frames [][]byte
	runts  int
	giants int
	calls  int
}

func newVDEReader(l link.Link) *vdeReader { return &vdeReader{link: l} }

// read reads once into a buffer full of old bytes.
func (r *vdeReader) read() (more bool, err error) {
	b := frame.Batch{Buf: bytes.Repeat([]byte{0xa5}, link.MinBuf)}
	err = r.link.ReadBatch(&b)
	for _, ref := range b.Refs {
		r.frames = append(r.frames, bytes.Clone(b.Frame(ref)))
	}
	r.runts += b.Runts
	r.giants += b.Giants
	r.calls++
	return b.More, err
}

// all reads what is there, as a worker does.
func (r *vdeReader) all(t *testing.T) {
	t.Helper()
	for {
		more, err := r.read()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// await reads until n frames are there.
func (r *vdeReader) await(t *testing.T, n int) [][]byte {
	t.Helper()
	for end := time.Now().Add(linktest.Patience); len(r.frames) < n; {
		if _, err := r.read(); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("%d frames of %d", len(r.frames), n)
		}
	}
	return r.frames
}

// sendAll writes one frame, waiting where the Link does not.
func (l *dgramLink) sendAll(f []byte) error {
	b := frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}
	for {
		_, err := l.WriteBatch(&b)
		if !errors.Is(err, link.ErrFull) {
			return err
		}
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLOUT}}, int(linktest.Patience.Milliseconds())); err != nil {
			return err
		}
	}
}

func numbered(i, n int) []byte {
	f := bytes.Repeat([]byte{byte(i + 1)}, n)
	return f
}

// Long frames among short ones, from the first batch on: all come in whole, in
// order; what is too short or too long is counted, and nothing is cut.
func TestDgramMixedLengths(t *testing.T) {
	for name, sizes := range map[string][]int{
		"one jumbo":      {60, 1514, 9014, 60, 61},
		"jumbo first":    {9234, 14, 2112, 2113, 60},
		"all jumbo":      {9000, 9001, 9002, 9003, 9234},
		"super-frames":   {65535, 60, 65536, 60, 65537},
		"longest":        {frame.MaxLen, 60},
		"giants":         {60, frame.MaxLen + 1, 61, frame.MaxLen + 5000, 62},
		"runts":          {60, 13, 1, 14, 61},
		"empty datagram": {60, 0, 61, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l, far, _ := dgramPair(t)
			r := newVDEReader(l)
			for round := range 3 { // each time with the slots that the time before has led to
				r.frames, r.runts, r.giants = nil, 0, 0
				var want [][]byte
				runts, giants := 0, 0
				for i, n := range sizes {
					f := numbered(i+round, n)
					if err := unix.Send(far, f, 0); err != nil {
						t.Fatal(err)
					}
					switch {
					case n > frame.MaxLen:
						giants++
					case n >= frame.HeaderLen:
						want = append(want, f)
					case n > 0:
						runts++
					}
				}
				r.all(t)
				if len(r.frames) != len(want) || r.runts != runts || r.giants != giants {
					t.Fatalf("%d frames, %d runts, %d giants came in, want %d, %d, %d", len(r.frames), r.runts, r.giants, len(want), runts, giants)
				}
				for i := range want {
					if !bytes.Equal(r.frames[i], want[i]) {
						t.Fatalf("round %d: frame %d came in wrong", round, i)
					}
				}
			}
		})
	}
}

// Slots grow for long frames and shrink again when they have been gone for long.
func TestDgramSlots(t *testing.T) {
	l, far, _ := dgramPair(t)
	r := newVDEReader(l)
	send := func(n int) {
		t.Helper()
		if err := unix.Send(far, numbered(0, n), 0); err != nil {
			t.Fatal(err)
		}
		r.all(t)
	}
	for _, tt := range []struct{ length, size int }{{1514, 0}, {9000, 1}, {60000, 2}, {60, 2}} {
		if send(tt.length); l.size != tt.size {
			t.Fatalf("after %d bytes the slots are number %d, want %d", tt.length, l.size, tt.size)
		}
	}
	for range 2 * keepSize {
		send(60)
	}
	if l.size != 0 {
		t.Errorf("after %d short frames the slots are number %d", 2*keepSize, l.size)
	}
}

// One call brings many, and says so when there may be more.
func TestDgramManyInOneCall(t *testing.T) {
	l, far, _ := dgramPair(t)
	r := newVDEReader(l)
	const count = 500
	for i := range count {
		if err := unix.Send(far, numbered(i%200, 60), 0); err != nil {
			t.Fatal(err)
		}
	}
	r.all(t)
	if len(r.frames) != count || r.calls > count/60+2 {
		t.Errorf("%d frames came in by %d calls", len(r.frames), r.calls)
	}
}

// The control connection: silence means nothing, anything else is the end, when
// all frames are read.
func TestDgramControl(t *testing.T) {
	l, far, control := dgramPair(t)
	r := newVDEReader(l)
	for range 3 {
		if _, err := r.read(); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Send(far, numbered(0, 60), 0); err != nil {
		t.Fatal(err)
	}
	_ = unix.Shutdown(control, unix.SHUT_RDWR)
	if _, err := r.read(); err != nil || len(r.frames) != 1 {
		t.Errorf("before the end: %d frames, %v", len(r.frames), err)
	}
	if _, err := r.read(); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}

	l, _, control = dgramPair(t)
	if _, err := unix.Write(control, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := newVDEReader(l).read(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a byte too many is %v", err)
	}
}

// Neither reading nor writing allocates.
func TestDgramAllocatesNothing(t *testing.T) {
	a, far, _ := dgramPair(t)
	b, _, _ := dgramPair(t)
	buf := make([]byte, 192<<10)
	f := numbered(0, 200)
	in := frame.Batch{Buf: buf, Refs: make([]frame.Ref, 0, 128)}
	out := make([]byte, 256)
	drain, err := unix.Dup(b.FD())
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(drain)
	allocs := testing.AllocsPerRun(200, func() {
		for range 8 {
			_ = unix.Send(far, f, 0)
		}
		in.Reset()
		if err := a.ReadBatch(&in); err != nil || len(in.Refs) != 8 {
			t.Fatalf("%d frames, %v", len(in.Refs), err)
		}
		for i := range in.Refs[:4] {
			in.Refs[i].Edit = frame.InsertTag(10)
		}
		if n, err := a.WriteBatch(&in); err != nil || n != 8 {
			t.Fatalf("wrote %d, %v", n, err)
		}
		for range 8 {
			if _, err := unix.Read(far, out); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 0 && !raceEnabled {
		t.Errorf("%.1f allocations per batch", allocs)
	}
}
