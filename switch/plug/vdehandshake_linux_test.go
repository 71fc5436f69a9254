package plug

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// vdeLab is a door and who stands behind it: everybody gets in, as port 1.
type vdeLab struct {
	t       *testing.T
	dir     string
	door    string
	links   chan *vdePlug
	refused chan error
}

func newVDELab(t *testing.T, keys string) *vdeLab {
	l := &vdeLab{t: t, links: make(chan *vdePlug, 400), refused: make(chan error, 400)}
	var src link.Source
	src, l.dir = openVDE(t, keys, link.Options{Refused: func(err error) { l.refused <- err }})
	l.door = filepath.Join(l.dir, "ctl")
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for {
			a, err := src.Accept(t.Context())
			if err != nil {
				return
			}
			p := a.(*vdePlug)
			if err := p.Welcome(max(p.Claim().Port, 1)); err != nil {
				l.refused <- err
			}
			l.links <- p
		}
	}()
	return l
}

// next is the plug that was made last.
func (l *vdeLab) next() *vdePlug {
	l.t.Helper()
	select {
	case p := <-l.links:
		l.t.Cleanup(func() { _ = p.Close() })
		return p
	case <-time.After(linktest.Patience):
		l.t.Fatal("nobody was let in")
		return nil
	}
}

// wantRefusal waits until a client is sent away, and looks at the reason.
func (l *vdeLab) wantRefusal(ctl net.Conn, says string) {
	l.t.Helper()
	_ = ctl.SetReadDeadline(time.Now().Add(linktest.Patience))
	if n, err := ctl.Read(make([]byte, 200)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
		l.t.Fatalf("the client was sent %d bytes, %v; want the end", n, err)
	}
	select {
	case err := <-l.refused:
		if !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), fmt.Sprint("pid ", os.Getpid())) {
			l.t.Errorf("the reason is %v; want one that says %q", err, says)
		}
	case <-time.After(linktest.Patience):
		l.t.Errorf("no reason; want one that says %q", says)
	}
	if list, err := filepath.Glob(l.dir + "/[0-9]*"); err != nil || len(list) > 0 {
		l.t.Errorf("left in the directory: %v, %v", list, err)
	}
}

func write(t *testing.T, ctl net.Conn, b []byte) {
	t.Helper()
	if _, err := ctl.Write(b); err != nil {
		t.Fatal(err)
	}
}

// A request may come in any pieces; its description is not lost by that.
func TestVDERequestInPieces(t *testing.T) {
	l := newVDELab(t, "")
	for name, version := range map[string]uint32{"3": 3, "1": 1} {
		for _, size := range []int{1, 7, 121, 123} {
			t.Run(fmt.Sprint("version ", name, " by ", size), func(t *testing.T) {
				c := linktest.NewVDEClient(t, l.door)
				defer c.Close()
				req := linktest.VDERequest(version, 0, c.Own, "slow user=me")
				for len(req) > 0 {
					n := min(size, len(req))
					write(t, c.Ctl, req[:n])
					req = req[n:]
				}
				if err := c.Finish(); err != nil {
					t.Fatal(err)
				}
				if p := l.next().Peer(); p.Description != "slow user=me" || p.PID != os.Getpid() || p.UID != os.Getuid() {
					t.Errorf("the peer is %+v", p)
				}
			})
		}
	}
}

// UML and Dynamips send 124 bytes and bind abstract names, of which all 108
// bytes count; and they do not connect their socket to the switch's.
func TestVDEAbstractName(t *testing.T) {
	l := newVDELab(t, "")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	name := "\x00" + fmt.Sprintf("%05d", os.Getpid()) + strings.Repeat("\x00\xa5", 51)
	if len(name) != 108 {
		t.Fatalf("the test is wrong: %d", len(name))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: "@" + name[1:]}); err != nil {
		t.Fatal(err)
	}
	ctl := dial(t, "unix", l.door)
	defer ctl.Close()
	write(t, ctl, append(linktest.VDERequest(3, 0, name, ""), 0xde, 0x41))
	reply := make([]byte, 110)
	if _, err := io.ReadFull(ctl, reply); err != nil {
		t.Fatal(err)
	}
	p := l.next()
	if p.Peer().Description != "" {
		t.Errorf("two bytes of padding are called %q", p.Peer().Description)
	}
	path, _, _ := strings.Cut(string(reply[2:]), "\x00")
	if err := unix.Sendto(fd, []byte("a frame of UML"), 0, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if got := newVDEReader(p).await(t, 1); string(got[0]) != "a frame of UML" {
		t.Errorf("%q came in", got)
	}
	if err := p.sendAll([]byte("an answer")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, _, err := unix.Recvfrom(fd, buf, 0); err != nil || strings.TrimRight(string(buf[:n]), "\x00") != "an answer" || n != 60 {
		t.Errorf("%q arrived, %v", buf[:n], err)
	}
}

// What is no request is refused as soon as that can be seen, with a reason, and
// nothing of the client before it is used in its place.
func TestVDEBadRequests(t *testing.T) {
	l := newVDELab(t, "")
	good, err := linktest.PlugVDE(t, l.door, 0, "a good one before")
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	if err := l.next().Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(l.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		req  []byte
		says string
	}{
		"magic":            {[]byte("V0 xxxxxxxxxx"), "magic"},
		"version":          {linktest.VDERequest(2, 0, "/x", ""), "version 2"},
		"type":             {linktest.VDERequest(3, 9, "/x", ""), "type 0x9"},
		"no such file":     {linktest.VDERequest(3, 0, l.dir+"/nobody", ""), "no such file"},
		"no socket":        {linktest.VDERequest(3, 0, file, ""), "no socket"},
		"stream socket":    {linktest.VDERequest(3, 0, l.door, ""), "no datagram socket"},
		"nobody's socket":  {linktest.VDERequest(3, 0, deadSocket(t), ""), "connection refused"},
		"no abstract name": {linktest.VDERequest(3, 0, "\x00nobody", ""), "connection refused"},
		"symlink":          {linktest.VDERequest(3, 0, symlinkTo(t, good.Path), ""), "no socket"},
		"too long a path":  {linktest.VDERequest(3, 0, "/"+strings.Repeat("n", 107), ""), "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := dial(t, "unix", l.door)
			defer ctl.Close()
			write(t, ctl, tt.req)
			(&vdeLab{t, l.dir, l.door, l.links, l.refused}).wantRefusal(ctl, tt.says)
		})
	}
}

func symlinkTo(t *testing.T, to string) string {
	path := socketPath(t)
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// deadSocket is a datagram socket's file whose process is gone.
func deadSocket(t *testing.T) string {
	path := socketPath(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		unix.Close(fd)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Half a request is waited for, but not for ever; who leaves without a word is
// not worth one.
func TestVDEShortRequests(t *testing.T) {
	l := newVDELab(t, "")
	for _, n := range []int{1, 12, 121} {
		ctl := dial(t, "unix", l.door)
		write(t, ctl, linktest.VDERequest(3, 0, "/tmp/x", "abc")[:n])
		l.wantRefusal(ctl, fmt.Sprintf("only %d bytes", n))
		_ = ctl.Close()
	}
	ctl := dial(t, "unix", l.door).(*net.UnixConn)
	defer ctl.Close()
	write(t, ctl, linktest.VDERequest(3, 0, "/tmp/x", "abc")[:50])
	_ = ctl.CloseWrite()
	l.wantRefusal(ctl, "hung up after 50 bytes")
	_ = dial(t, "unix", l.door).Close()
	c, err := linktest.PlugVDE(t, l.door, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.next()
	select {
	case err := <-l.refused:
		t.Errorf("who looked at the door was called %v", err)
	default:
	}
}

// A description of any length is taken; what would not fit into a request is
// left out.
func TestVDELongDescription(t *testing.T) {
	l := newVDELab(t, "")
	c := linktest.NewVDEClient(t, l.door)
	defer c.Close()
	write(t, c.Ctl, linktest.VDERequest(3, 0, c.Own, strings.Repeat("d", 134))) // 256 in all
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if d := l.next().Peer().Description; d != strings.Repeat("d", 134) {
		t.Errorf("the description is %q", d)
	}
}

// Clients that connect and say nothing, or half of it, keep nobody out.
func TestVDEHalfOpenClientsAreNoObstacle(t *testing.T) {
	l := newVDELab(t, "")
	for i := range maxGuestsOfAUser + 100 {
		ctl := dial(t, "unix", l.door)
		defer ctl.Close()
		if i%2 == 0 {
			write(t, ctl, linktest.VDERequest(3, 0, "/tmp/x", "")[:40])
		}
	}
	begin := time.Now()
	c, err := linktest.PlugVDE(t, l.door, 0, "")
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Logf("plugged in within %v beside %d others", took, maxGuestsOfAUser+100)
	if took >= vdePatience {
		t.Errorf("plugged in after %v: as long as those have who say nothing", took)
	}
	l.next()
}
