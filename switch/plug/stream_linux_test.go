package plug

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

func TestStreamUnix(t *testing.T) {
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		path := socketPath(t)
		src := open(t, "stream:unix:"+path, link.Options{})
		station := linktest.NewStation(t, newWire(dial(t, "unix", path)))
		return accept(t, src), station
	})
}

func TestStreamTCP4(t *testing.T) { runTCP(t, "127.0.0.1") }

func TestStreamTCP6(t *testing.T) { runTCP(t, "::1") }

func runTCP(t *testing.T, host string) {
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		src, addr := listenTCP(t, host)
		station := linktest.NewStation(t, newWire(dial(t, "tcp", addr)))
		return accept(t, src), station
	})
}

// stream puts frames of these lengths, each with its own content, behind each
// other as they are on the wire, and returns what must come in.
func stream(sizes ...int) (wire []byte, want [][]byte, runts int) {
	for i, n := range sizes {
		f := bytes.Repeat([]byte{byte(i + 1)}, n)
		wire = binary.BigEndian.AppendUint32(wire, uint32(n))
		wire = append(wire, f...)
		if n < frame.HeaderLen {
			runts++
		} else {
			want = append(want, f)
		}
	}
	return wire, want, runts
}

// reader collects what a Link reads, in whatever parts.
type reader struct {
	link   *streamLink
	frames [][]byte
	runts  int
}

func (r *reader) read() error {
	b := frame.Batch{Buf: bytes.Repeat([]byte{0xa5}, link.MinBuf)}
	err := r.link.ReadBatch(&b)
	for _, ref := range b.Refs {
		r.frames = append(r.frames, bytes.Clone(b.Frame(ref)))
	}
	r.runts += b.Runts
	return err
}

func (r *reader) check(t *testing.T, want [][]byte, runts int) {
	t.Helper()
	if len(r.frames) != len(want) || r.runts != runts {
		t.Fatalf("%d frames and %d runts came in, want %d and %d", len(r.frames), r.runts, len(want), runts)
	}
	for i := range want {
		if !bytes.Equal(r.frames[i], want[i]) {
			t.Fatalf("frame %d came in wrong", i)
		}
	}
}

// A stream may be cut anywhere: it comes in the same for every place.
func TestStreamSplitAnywhere(t *testing.T) {
	wire, want, runts := stream(14, 60, 1, 13, 100, 61, 14)
	l, far := pair(t)
	for cut := range len(wire) + 1 {
		r := &reader{link: l}
		for _, part := range [][]byte{wire[:cut], wire[cut:]} {
			if _, err := far.Write(part); err != nil {
				t.Fatal(err)
			}
			if err := r.read(); err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
		r.check(t, want, runts)
	}
}

func TestStreamByteByByte(t *testing.T) {
	wire, want, runts := stream(14, 5, 60, 300)
	l, far := pair(t)
	r := &reader{link: l}
	for i := range wire {
		if _, err := far.Write(wire[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
	}
	r.check(t, want, runts)
}

func TestStreamManyFramesInOneRead(t *testing.T) {
	var sizes []int
	for i := range 1000 {
		sizes = append(sizes, 14+i%50)
	}
	wire, want, _ := stream(sizes...)
	l, far := pair(t)
	if _, err := far.Write(wire); err != nil {
		t.Fatal(err)
	}
	r := &reader{link: l}
	if err := r.read(); err != nil {
		t.Fatal(err)
	}
	r.check(t, want, 0)
}

func TestStreamRuntsAreSkippedAndCounted(t *testing.T) {
	for n := 1; n < frame.HeaderLen; n++ {
		wire, want, runts := stream(60, n, 61, n, n)
		l, far := pair(t)
		if _, err := far.Write(wire); err != nil {
			t.Fatal(err)
		}
		r := &reader{link: l}
		if err := r.read(); err != nil {
			t.Fatalf("length %d: %v", n, err)
		}
		if runts != 3 {
			t.Fatal("the test is wrong")
		}
		r.check(t, want, runts)
	}
}

// A length that cannot be ends the link at once, whatever else is to come, with
// a reason, and makes nobody allocate.
func TestStreamOutOfStep(t *testing.T) {
	for _, n := range []uint32{0, frame.MaxLen + 1, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, binary.BigEndian.Uint32([]byte("GET "))} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			wire, want, _ := stream(60, 61)
			wire = binary.BigEndian.AppendUint32(wire, n)
			l, far := pair(t)
			if _, err := far.Write(wire); err != nil {
				t.Fatal(err)
			}
			r := &reader{link: l}
			err := r.read()
			if err == nil || !strings.Contains(err.Error(), fmt.Sprint("frame length ", n)) || errors.Is(err, io.EOF) {
				t.Fatalf("the link goes on with: %v", err)
			}
			r.check(t, want, 0)
			if cap(l.part) > keepPart {
				t.Errorf("keeps %d bytes for a frame that will never come", cap(l.part))
			}
		})
	}
}

func TestStreamLongestFrame(t *testing.T) {
	wire, want, _ := stream(frame.MaxLen, 60)
	l, far := pair(t)
	r := &reader{link: l}
	for len(wire) > 0 {
		n := min(len(wire), 10_000)
		if _, err := far.Write(wire[:n]); err != nil {
			t.Fatal(err)
		}
		wire = wire[n:]
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
	}
	r.check(t, want, 0)
	if cap(l.part) > keepPart {
		t.Errorf("keeps %d bytes when nothing is incomplete", cap(l.part))
	}
}

// Who dies in the middle of a frame, or of a header, has not just left.
func TestStreamEndsInMidFrame(t *testing.T) {
	for _, n := range []int{1, 3, 4, 5, 40} {
		wire, _, _ := stream(60)
		l, far := pair(t)
		if _, err := far.Write(wire[:n]); err != nil {
			t.Fatal(err)
		}
		r := &reader{link: l}
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
		_ = far.Close()
		if err := r.read(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", n, err)
		}
		r.check(t, nil, 0)
	}
}

// Half a header, and then silence, is not an error and costs nothing.
func TestStreamHalfAHeader(t *testing.T) {
	l, far := pair(t)
	if _, err := far.Write([]byte{0, 0}); err != nil {
		t.Fatal(err)
	}
	r := &reader{link: l}
	for range 3 {
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
	}
	wire, want, _ := stream(60)
	if _, err := far.Write(wire[2:]); err != nil {
		t.Fatal(err)
	}
	if err := r.read(); err != nil {
		t.Fatal(err)
	}
	r.check(t, want, 0)
}

// FuzzParse cuts any bytes in two places; the frames and the end are the same
// as in one piece.
func FuzzParse(f *testing.F) {
	wire, _, _ := stream(14, 60, 1, 13, 100)
	f.Add(wire, uint16(5), uint16(90))
	f.Add([]byte{0, 0, 0, 0}, uint16(1), uint16(1))
	f.Add([]byte{0, 1, 16, 1, 9}, uint16(3), uint16(1))
	f.Add(append(wire, 0xff, 0xff, 0xff, 0xff), uint16(0), uint16(200))
	f.Fuzz(func(t *testing.T, data []byte, a, b uint16) {
		if len(data) > 100_000 {
			t.Skip("does not fit into the socket at once")
		}
		whole := readParts(t, data)
		one := int(a) % (len(data) + 1)
		two := one + int(b)%(len(data)-one+1)
		parts := readParts(t, data[:one], data[one:two], data[two:])
		if len(whole.frames) != len(parts.frames) || whole.runts != parts.runts || (whole.err == nil) != (parts.err == nil) ||
			whole.err != nil && whole.err.Error() != parts.err.Error() {
			t.Fatalf("whole: %d frames, %d runts, %v; cut at %d and %d: %d frames, %d runts, %v",
				len(whole.frames), whole.runts, whole.err, one, two, len(parts.frames), parts.runts, parts.err)
		}
		for i, fr := range whole.frames {
			if len(fr) < frame.HeaderLen || len(fr) > frame.MaxLen || !bytes.Equal(fr, parts.frames[i]) {
				t.Fatalf("frame %d differs", i)
			}
		}
	})
}

type outcome struct {
	reader
	err error
}

// readParts feeds a Link these parts, one read for each.
func readParts(t *testing.T, parts ...[]byte) *outcome {
	l, far := pair(t)
	o := &outcome{reader: reader{link: l}}
	for _, p := range parts {
		if _, err := far.Write(p); err != nil {
			t.Fatal(err)
		}
		if o.err = o.read(); o.err != nil {
			break
		}
	}
	_ = far.Close()
	_ = l.Close()
	l.sock.fd = -1 // closed: the clean-up must not close another's
	return o
}
