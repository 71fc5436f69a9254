package linktest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"vnetkit/switch/frame"
)

// Wire is the far end of a Link, as a kind gives it to a Station: whole frames
// go in and come out. Both methods wait, at most until the deadline.
type Wire interface {
	Send(frame []byte) error
	Recv(buf []byte) (n int, err error) // io.EOF when the Link was closed
	SetDeadline(time.Time) error
	Close() error
}

// Station stands in for a VM. Its methods fail the test when something does
// not go as it must; Send and Recv may be used at the same time as each other.
type Station struct {
	t      testing.TB
	wire   Wire
	buf    []byte
	closed atomic.Bool
}

// NewStation makes a Station of the far end of a Link. It is closed when the
// test ends, if not earlier.
func NewStation(t testing.TB, wire Wire) *Station {
	s := &Station{t: t, wire: wire}
	t.Cleanup(s.Close)
	return s
}

// room is where to receive: many stations never do.
func (s *Station) room() []byte {
	if s.buf == nil {
		s.buf = make([]byte, frame.MaxLen+2<<10)
	}
	return s.buf
}

// Close goes away without a word, as a VM does that is killed.
func (s *Station) Close() {
	if s.closed.Swap(true) {
		return
	}
	if err := s.wire.Close(); err != nil {
		s.t.Errorf("close station: %v", err)
	}
}

// Send sends one frame, waiting for room.
func (s *Station) Send(frame []byte) {
	s.t.Helper()
	if err := s.TrySend(frame); err != nil {
		s.t.Fatalf("send %d bytes: %v", len(frame), err)
	}
}

// TrySend is Send for other goroutines than the test's, and for ends that may
// be gone.
func (s *Station) TrySend(frame []byte) error {
	if err := s.wire.SetDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	return s.wire.Send(frame)
}

// Recv returns the next frame, which is good until the next call.
func (s *Station) Recv() []byte {
	s.t.Helper()
	f, err := s.TryRecv()
	if err != nil {
		s.t.Fatalf("receive: %v", err)
	}
	return f
}

// TryRecv is Recv for other goroutines than the test's, and for ends that may
// be gone.
func (s *Station) TryRecv() ([]byte, error) {
	if err := s.wire.SetDeadline(time.Now().Add(Patience)); err != nil {
		return nil, err
	}
	n, err := s.wire.Recv(s.room())
	return s.buf[:n:n], err
}

// Expect fails the test unless the next frame is want, or want made longer
// with zeros up to the shortest length that Ethernet allows.
func (s *Station) Expect(want []byte) {
	s.t.Helper()
	if got := s.Recv(); !Same(got, want) {
		s.t.Fatalf("received %d bytes\n%s\nwant %d bytes\n%s", len(got), show(got), len(want), show(want))
	}
}

// ExpectNone fails the test if anything was sent to s: from sends a broadcast
// frame, which must be the next one that s receives. Frames from one port to
// another stay in order, so that nothing can come behind it.
func (s *Station) ExpectNone(from *Station) {
	s.t.Helper()
	last := Sentinel()
	from.Send(last)
	s.Expect(last)
}

// ExpectNothing fails the test if a frame waits for s at this moment. It is for
// tests that know that the switch is at rest.
func (s *Station) ExpectNothing() {
	s.t.Helper()
	if f, ok := s.Poll(); ok {
		s.t.Fatalf("received %d bytes where nothing may come\n%s", len(f), show(f))
	}
}

// poller is a Wire that can look without waiting.
type poller interface {
	Poll(buf []byte) (n int, ok bool, err error)
}

// Poll returns the frame that waits for s, if there is one. Only pipes can.
func (s *Station) Poll() (f []byte, ok bool) {
	s.t.Helper()
	f, ok, err := s.TryPoll()
	if err != nil {
		s.t.Fatalf("receive: %v", err)
	}
	return f, ok
}

// TryPoll is Poll for other goroutines than the test's, and for ends that may
// be gone.
func (s *Station) TryPoll() (f []byte, ok bool, err error) {
	n, ok, err := s.wire.(poller).Poll(s.room())
	return s.buf[:n:n], ok, err
}

// ExpectEnd fails the test unless the link ends, after whatever is still on
// its way.
func (s *Station) ExpectEnd() {
	s.t.Helper()
	for {
		_, err := s.TryRecv()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.t.Fatal("the link should have ended and did not")
		case errors.Is(err, io.EOF):
			return
		default: // reset: what we had sent was not read
			return
		}
	}
}

var sentinels atomic.Uint64

// Sentinel is a broadcast frame that no other call returns.
func Sentinel() []byte {
	f := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x5e, 0x17, 0x11, 0xe1, 0x00, 0x88, 0xb5}
	f = append(f, "sentinel"...)
	f = binary.BigEndian.AppendUint64(f, sentinels.Add(1))
	return append(f, make([]byte, 60-len(f))...)
}

// Same tells whether got is what must arrive when want was sent: the same
// bytes, and zeros behind them where a kind fills short frames up.
func Same(got, want []byte) bool {
	if len(got) > len(want) && len(got) == 60 {
		want = append(bytes.Clone(want), make([]byte, 60-len(want))...)
	}
	return bytes.Equal(got, want)
}

// show prints the beginning of a frame.
func show(f []byte) string {
	const most = 64
	var b []byte
	for i, c := range f[:min(len(f), most)] {
		if i > 0 && i%16 == 0 {
			b = append(b, '\n')
		}
		b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15], ' ')
	}
	if len(f) > most {
		b = append(b, "..."...)
	}
	return string(b)
}
