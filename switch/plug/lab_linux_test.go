package plug

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// socketPath is a path short enough for a socket, in a directory of its own.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "plug")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// open opens a Spec of kind stream and closes it when the test ends.
func open(t testing.TB, text string, opt link.Options) link.Source {
	t.Helper()
	src, err := tryOpen(t, text, opt)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func tryOpen(t testing.TB, text string, opt link.Options) (link.Source, error) {
	t.Helper()
	spec, err := link.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	src, err := Stream().Open(t.Context(), spec, opt)
	if err == nil {
		t.Cleanup(func() { _ = src.Close() })
	}
	return src, err
}

// listenTCP listens on a free port of host.
func listenTCP(t testing.TB, host string) (_ link.Source, addr string) {
	t.Helper()
	for range 20 { // someone may take the port before we do
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Skipf("no TCP on %s here: %v", host, err)
		}
		addr = ln.Addr().String()
		_ = ln.Close()
		src, err := tryOpen(t, "stream:tcp:"+addr, link.Options{})
		if err == nil {
			return src, addr
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Fatal(err)
		}
	}
	t.Fatal("no free TCP port")
	return nil, ""
}

func accept(t testing.TB, src link.Source) link.Link {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), linktest.Patience)
	defer cancel()
	l, err := src.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// pair is a Link on one end of a socket pair and what a client would hold.
func pair(t testing.TB) (*streamLink, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newStreamLink(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	far := os.NewFile(uintptr(fds[1]), "far end")
	t.Cleanup(func() { _ = l.Close(); _ = far.Close() })
	return l.(*streamLink), far
}

// streamWire speaks QEMU's protocol, independently of the code under test.
type streamWire struct {
	net.Conn
	in *bufio.Reader
}

func newWire(conn net.Conn) linktest.Wire {
	return streamWire{conn, bufio.NewReaderSize(conn, 1<<17)}
}

// Send implements linktest.Wire.
func (w streamWire) Send(f []byte) error {
	msg := append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)
	_, err := w.Write(msg)
	return err
}

// Recv implements linktest.Wire.
func (w streamWire) Recv(buf []byte) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n < frame.HeaderLen || n > frame.MaxLen {
		return 0, fmt.Errorf("QEMU would choke on a frame of %d bytes", n)
	}
	if n < frame.MinLen {
		return 0, fmt.Errorf("frame of %d bytes was not filled up to %d", n, frame.MinLen)
	}
	return io.ReadFull(w.in, buf[:n])
}
