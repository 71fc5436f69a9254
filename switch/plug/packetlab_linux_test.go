package plug

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// packetWire is the far end of a Link whose frames are datagrams, independently
// of the code under test.
type packetWire struct {
	in, out  int
	to       unix.Sockaddr // nil: out is connected
	lead     []byte        // stands before each frame that is sent
	skip     int           // stands before each frame that comes
	gone     func() bool   // the Link was closed; nil: cannot be seen
	cleanup  func()
	deadline atomic.Pointer[time.Time]
}

// Send implements linktest.Wire.
func (w *packetWire) Send(f []byte) error {
	msg := append(bytes.Clone(w.lead), f...)
	for {
		_, err := unix.SendmsgN(w.out, msg, nil, w.to, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EAGAIN) {
			return err
		}
		if time.Until(*w.deadline.Load()) <= 0 {
			return os.ErrDeadlineExceeded
		}
		time.Sleep(20 * time.Microsecond) // a socket that is not connected is always writable
	}
}

// Recv implements linktest.Wire.
func (w *packetWire) Recv(buf []byte) (int, error) {
	for {
		n, ok, err := w.Poll(buf)
		if ok || err != nil {
			return n, err
		}
		if w.gone != nil && w.gone() {
			if n, ok, err := w.Poll(buf); ok || err != nil {
				return n, err
			}
			return 0, io.EOF
		}
		if err := w.await(w.in, unix.POLLIN); err != nil {
			return 0, err
		}
	}
}

// Poll looks for a frame without waiting.
func (w *packetWire) Poll(buf []byte) (n int, ok bool, err error) {
	room := buf
	if w.skip > 0 {
		room = make([]byte, len(buf)+w.skip)
	}
	n, _, err = unix.Recvfrom(w.in, room, unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	case n < w.skip+60:
		return 0, false, errors.New("a datagram that QEMU would choke on")
	}
	if w.skip > 0 {
		copy(buf, room[w.skip:n])
	}
	return n - w.skip, true, nil
}

// await waits for a descriptor, with a look at gone now and then.
func (w *packetWire) await(fd int, events int16) error {
	left := time.Until(*w.deadline.Load())
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	if w.gone != nil {
		left = min(left, 10*time.Millisecond)
	}
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	if _, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}

// SetDeadline implements linktest.Wire.
func (w *packetWire) SetDeadline(t time.Time) error {
	w.deadline.Store(&t)
	return nil
}

// Close implements linktest.Wire.
func (w *packetWire) Close() error {
	err := unix.Close(w.in)
	if w.out != w.in {
		err = errors.Join(err, unix.Close(w.out))
	}
	if w.cleanup != nil {
		w.cleanup()
	}
	return err
}

// farSocket makes a socket with room for a whole batch of long frames.
func farSocket(t testing.TB, family, typ, proto int) int {
	t.Helper()
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		t.Fatal(err)
	}
	const room = 8 << 20
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room)
	}
	return fd
}

// boundUnix is a datagram socket with a name.
func boundUnix(t testing.TB, path string) int {
	t.Helper()
	fd := farSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// tryKind opens a Spec of a kind and closes it when the test ends.
func tryKind(t testing.TB, kind link.Kind, text string, opt link.Options) (link.Source, error) {
	t.Helper()
	spec, err := link.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kind.Check(spec); err != nil {
		return nil, err
	}
	src, err := kind.Open(t.Context(), spec, opt)
	if err == nil {
		t.Cleanup(func() { _ = src.Close() })
	}
	return src, err
}

func openAs(t testing.TB, kind link.Kind, text string, opt link.Options) link.Source {
	t.Helper()
	src, err := tryKind(t, kind, text, opt)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// nets counts addresses: each test has its own, so that ports need no luck.
var nets atomic.Uint32

// freeNet is two addresses of this host that no other test has.
func freeNet() (near, far netip.Addr) {
	n := nets.Add(1)
	pid := uint32(os.Getpid())
	a := func(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, byte(1 + pid%254), byte(n), last}) }
	return a(1), a(2)
}

// one reads the next frames from a Link.
func one(t testing.TB, l link.Link) [][]byte {
	t.Helper()
	return newVDEReader(l).await(t.(*testing.T), 1)
}
