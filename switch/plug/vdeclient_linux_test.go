package plug

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// vdeRaw is a request as a client of version 3 or 1 lays it out, byte by byte
// and independently of the code under test.
func vdeRaw(version, typ uint32, path, description string) []byte {
	b := []byte{0xce, 0xfa, 0xed, 0xfe} // little-endian, as these machines are
	if version == 1 {
		b = binary.LittleEndian.AppendUint32(b, typ)
		b = append(b, 2, 0, 0, 0, 0, 1)
	} else {
		b = binary.LittleEndian.AppendUint32(b, version)
		b = binary.LittleEndian.AppendUint32(b, typ)
	}
	addr := make([]byte, 110)
	addr[0] = 1
	copy(addr[2:], path)
	return append(append(b, addr...), description...)
}

// vdeEnd is a client's end of a plug.
type vdeEnd struct {
	ctl      *net.UnixConn
	data     int    // its socket
	own      string // name of that
	deadline atomic.Pointer[time.Time]
}

var vdeEnds atomic.Uint32

// vdeSocket binds a client's datagram socket in dir.
func vdeSocket(t testing.TB, dir string) (fd int, path string) {
	t.Helper()
	path = filepath.Join(dir, fmt.Sprintf(".%05d-%05d", os.Getpid(), vdeEnds.Add(1)))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd, path
}

// vdeConnect connects to a door.
func vdeConnect(t testing.TB, door string) *net.UnixConn {
	t.Helper()
	return dial(t, "unix", door).(*net.UnixConn)
}

// vdeReplyTo reads the answer: 110 bytes and no more, or the end.
func vdeReplyTo(ctl net.Conn) (path string, err error) {
	_ = ctl.SetReadDeadline(time.Now().Add(linktest.Patience))
	var b [200]byte
	n, err := io.ReadAtLeast(ctl, b[:], 110)
	if err != nil {
		return "", err
	}
	if n != 110 || b[0] != 1 || b[1] != 0 {
		return "", fmt.Errorf("an answer of %d bytes: % x", n, b[:n])
	}
	path, rest, _ := strings.Cut(string(b[2:110]), "\x00")
	if strings.Trim(rest, "\x00") != "" {
		return "", errors.New("the answer has something behind the path")
	}
	return path, nil
}

// plugVDE plugs in as libvdeplug does. The switch's side must run meanwhile.
func plugVDE(t testing.TB, dir string, port uint32, description string) *vdeEnd {
	t.Helper()
	e, err := tryPlugVDE(t, filepath.Join(dir, "ctl"), port<<8, description)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func tryPlugVDE(t testing.TB, door string, typ uint32, description string) (*vdeEnd, error) {
	t.Helper()
	e := &vdeEnd{ctl: vdeConnect(t, door)}
	e.data, e.own = vdeSocket(t, filepath.Dir(door))
	defer os.Remove(e.own)
	if _, err := e.ctl.Write(vdeRaw(3, typ, e.own, description)); err != nil {
		t.Fatal(err)
	}
	path, err := vdeReplyTo(e.ctl)
	if err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, unix.Connect(e.data, &unix.SockaddrUnix{Name: path})
}

// Send implements linktest.Wire.
func (e *vdeEnd) Send(f []byte) error {
	for {
		_, err := unix.SendmsgN(e.data, f, nil, nil, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EAGAIN) {
			return err
		}
		if err := e.await(unix.PollFd{Fd: int32(e.data), Events: unix.POLLOUT}); err != nil {
			return err
		}
	}
}

// Recv implements linktest.Wire. The end of ctl is the end, when all that was
// sent before is read.
func (e *vdeEnd) Recv(buf []byte) (n int, err error) {
	raw, err := e.ctl.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(ctl uintptr) { n, err = e.recv(buf, int(ctl)) })
	return n, errors.Join(cerr, err)
}

func (e *vdeEnd) recv(buf []byte, ctl int) (int, error) {
	for ended := false; ; {
		n, _, err := unix.Recvfrom(e.data, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN) && ended:
			return 0, io.EOF
		case !errors.Is(err, unix.EAGAIN):
			return n, err
		}
		fds := []unix.PollFd{{Fd: int32(e.data), Events: unix.POLLIN}, {Fd: int32(ctl), Events: unix.POLLIN}}
		if err := e.await(fds...); err != nil {
			return 0, err
		}
		ended = fds[1].Revents != 0
	}
}

// await waits for one of fds, at most until the deadline.
func (e *vdeEnd) await(fds ...unix.PollFd) error {
	for {
		n, err := unix.Poll(fds, int(time.Until(*e.deadline.Load()).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err == nil && n == 0:
			return os.ErrDeadlineExceeded
		default:
			return err
		}
	}
}

// SetDeadline implements linktest.Wire.
func (e *vdeEnd) SetDeadline(t time.Time) error {
	e.deadline.Store(&t)
	return nil
}

// Close implements linktest.Wire.
func (e *vdeEnd) Close() error { return errors.Join(unix.Close(e.data), e.ctl.Close()) }

// openVDE opens a door in a directory of its own.
func openVDE(t testing.TB, keys string, opt link.Options) (src link.Source, dir string) {
	t.Helper()
	dir = filepath.Dir(socketPath(t))
	return openKind(t, VDE(), "vde:"+dir+",listen=on"+keys, opt), dir
}

// openKind opens a Spec and closes it when the test ends.
func openKind(t testing.TB, kind link.Kind, text string, opt link.Options) link.Source {
	t.Helper()
	spec, err := link.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	src, err := kind.Open(t.Context(), spec, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// receptionist accepts one client and gives it port 1, as the switch would.
func receptionist(t testing.TB, src link.Source) <-chan *vdePlug {
	out := make(chan *vdePlug, 1)
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		l, err := src.Accept(t.Context())
		if err != nil {
			return
		}
		p := l.(*vdePlug)
		if err := p.Welcome(max(p.Claim().Port, 1)); err != nil {
			t.Errorf("welcome: %v", err)
		}
		out <- p
	}()
	return out
}

func TestVDEDoor(t *testing.T) {
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		src, dir := openVDE(t, "", link.Options{})
		links := receptionist(t, src)
		e := plugVDE(t, dir, 0, "test user=tester pid=1")
		return <-links, linktest.NewStation(t, e)
	})
}
