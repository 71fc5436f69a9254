package linktest

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
)

// VDERequest is what a client of VDE's plug protocol sends, version 3 or 1, byte
// by byte and independently of the code under test.
func VDERequest(version, typ uint32, path, description string) []byte {
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

// VDEClient is a client's end of a VDE plug; it is a Wire.
type VDEClient struct {
	Ctl  *net.UnixConn
	Data int    // its datagram socket, connected to the switch's
	Path string // of the switch's socket
	Own  string // its own had this name while it plugged in

	deadline atomic.Pointer[time.Time]
}

var vdeClients atomic.Uint32

// NewVDEClient connects to a door and makes a datagram socket beside it, as
// libvdeplug does before it asks for anything.
func NewVDEClient(t testing.TB, door string) *VDEClient {
	t.Helper()
	conn, err := net.Dial("unix", door)
	if err != nil {
		t.Fatal(err)
	}
	c := &VDEClient{Ctl: conn.(*net.UnixConn)}
	c.Own = filepath.Join(filepath.Dir(door), fmt.Sprintf(".%05d-%05d", os.Getpid(), vdeClients.Add(1)))
	c.Data, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.Bind(c.Data, &unix.SockaddrUnix{Name: c.Own})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(c.Own) })
	return c
}

// PlugVDE plugs in at a door as libvdeplug does. The lowest byte of typ is the
// kind of plug, the rest the number that is asked for. It returns an error where
// the switch refuses.
func PlugVDE(t testing.TB, door string, typ uint32, description string) (*VDEClient, error) {
	t.Helper()
	c := NewVDEClient(t, door)
	if _, err := c.Ctl.Write(VDERequest(3, typ, c.Own, description)); err != nil {
		t.Fatal(err)
	}
	if err := c.Finish(); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Finish reads the switch's answer and connects to what it names.
func (c *VDEClient) Finish() (err error) {
	if c.Path, err = c.Answer(); err != nil {
		return err
	}
	if err := os.Remove(c.Own); err != nil {
		return err
	}
	return unix.Connect(c.Data, &unix.SockaddrUnix{Name: c.Path})
}

// Answer reads the switch's answer, which has 110 bytes and no more, or io.EOF.
func (c *VDEClient) Answer() (path string, err error) {
	_ = c.Ctl.SetReadDeadline(time.Now().Add(Patience))
	defer func() { _ = c.Ctl.SetReadDeadline(time.Time{}) }()
	var b [200]byte
	n, err := io.ReadAtLeast(c.Ctl, b[:], 110)
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

// Send implements Wire.
func (c *VDEClient) Send(f []byte) error {
	for {
		_, err := unix.SendmsgN(c.Data, f, nil, nil, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EAGAIN) {
			return err
		}
		if err := c.await(unix.PollFd{Fd: int32(c.Data), Events: unix.POLLOUT}); err != nil {
			return err
		}
	}
}

// Recv implements Wire. The end of ctl is the end, when all that was
// sent before is read.
func (c *VDEClient) Recv(buf []byte) (n int, err error) {
	raw, err := c.Ctl.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(ctl uintptr) { n, err = c.recv(buf, int(ctl)) })
	return n, errors.Join(cerr, err)
}

func (c *VDEClient) recv(buf []byte, ctl int) (int, error) {
	for ended := false; ; {
		n, _, err := unix.Recvfrom(c.Data, buf, 0)
		switch {
		case errors.Is(err, unix.EAGAIN) && ended:
			return 0, io.EOF
		case !errors.Is(err, unix.EAGAIN):
			return n, err
		}
		fds := []unix.PollFd{{Fd: int32(c.Data), Events: unix.POLLIN}, {Fd: int32(ctl), Events: unix.POLLIN}}
		if err := c.await(fds...); err != nil {
			return 0, err
		}
		ended = fds[1].Revents != 0
	}
}

// await waits for one of fds, at most until the deadline.
func (c *VDEClient) await(fds ...unix.PollFd) error {
	for {
		n, err := unix.Poll(fds, int(time.Until(*c.deadline.Load()).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err == nil && n == 0:
			return os.ErrDeadlineExceeded
		default:
			return err
		}
	}
}

// SetDeadline implements Wire.
func (c *VDEClient) SetDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return nil
}

// Close implements Wire.
func (c *VDEClient) Close() error { return errors.Join(unix.Close(c.Data), c.Ctl.Close()) }
