package plug

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// unixFar is QEMU's end: a socket with a name, not connected.
func unixFar(t testing.TB, own, theirs string) *packetWire {
	fd := boundUnix(t, own)
	return &packetWire{
		in: fd, out: fd, to: &unix.SockaddrUnix{Name: theirs},
		gone:    func() bool { _, err := os.Lstat(theirs); return err != nil },
		cleanup: func() { os.Remove(own) },
	}
}

func TestDgramUnix(t *testing.T) {
	t.Parallel()
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		path := socketPath(t)
		src := openAs(t, Dgram(), "dgram:unix:"+path+",remote="+path+".vm", link.Options{})
		station := linktest.NewStation(t, unixFar(t, path+".vm", path))
		return accept(t, src), station
	})
}

// Whoever is first has the port, with its first frame; vfkit says hello.
func TestDgramFirstSender(t *testing.T) {
	for _, hello := range []string{"", vfkitHello} {
		path := socketPath(t)
		src := openAs(t, Dgram(), "dgram:unix:"+path+",mode=0600", link.Options{})
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		nameless := farSocket(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		defer unix.Close(nameless)
		if err := unix.Sendto(nameless, numbered(7, 60), 0, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		far := unixFar(t, path+".vm", path)
		s := linktest.NewStation(t, far)
		if hello != "" {
			s.Send([]byte(hello))
		}
		s.Send(numbered(1, 70))
		other := unixFar(t, path+".x", path)
		o := linktest.NewStation(t, other)
		s.Send(numbered(2, 80))
		l := accept(t, src)
		got := newVDEReader(l).await(t, 2)
		if len(got) != 2 || !bytes.Equal(got[0], numbered(1, 70)) || !bytes.Equal(got[1], numbered(2, 80)) {
			t.Fatalf("%d frames came in", len(got))
		}
		if err := o.TrySend(numbered(3, 60)); !errors.Is(err, unix.EPERM) {
			t.Errorf("another sender: %v", err)
		}
		_ = l.Close()
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket is left behind")
		}
	}
}

// A peer that is replaced, as QEMU does it: its successor removes the path.
func TestDgramPeerReplaced(t *testing.T) {
	path := socketPath(t)
	src := openAs(t, Dgram(), "dgram:unix:"+path+",remote="+path+".vm", link.Options{})
	first := unixFar(t, path+".vm", path)
	first.cleanup = nil // killed
	s := linktest.NewStation(t, first)
	l := accept(t, src)
	s.Close()
	if err := os.Remove(path + ".vm"); err != nil {
		t.Fatal(err)
	}
	r := newVDEReader(l)
	for end := time.Now().Add(linktest.Patience); ; {
		if _, err := r.read(); errors.Is(err, io.EOF) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the link does not end")
		}
	}
	_ = l.Close()
	s = linktest.NewStation(t, unixFar(t, path+".vm", path))
	l = accept(t, src)
	defer l.Close()
	s.Send(numbered(1, 60))
	if got := one(t, l); !bytes.Equal(got[0], numbered(1, 60)) {
		t.Error("another frame")
	}
}

// What is at the path is removed only if it is a socket that nobody has.
func TestDgramPaths(t *testing.T) {
	path := socketPath(t)
	live := boundUnix(t, path)
	if _, err := tryKind(t, Dgram(), "dgram:unix:"+path, link.Options{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a socket in use: %v", err)
	}
	unix.Close(live)
	src := openAs(t, Dgram(), "dgram:unix:"+path, link.Options{})
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left behind")
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryKind(t, Dgram(), "dgram:unix:"+path, link.Options{}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("a file was touched")
	}
	for spec, says := range map[string]string{
		"dgram:udp:1.2.3.4:5":                    "want unix:PATH",
		"dgram:unix:":                            "missing",
		"dgram:unix:" + path + ",remote=" + path: "this end itself",
		"dgram:unix:" + path + ",remote=" + filepath.Dir(path) + "/./s":             "this end itself",
		"dgram:unix:" + path + ",mode=9":                                            "octal",
		"dgram:unix:" + path + ",colour=red":                                        "colour",
		"dgram:unix:/" + strings.Repeat("x", 107):                                   "107",
		"dgram:unix:" + path + ",remote=/" + strings.Repeat("x", 107):               "107",
		"dgram:unix:" + filepath.Join(filepath.Dir(path), "nosuch", "s") + ",mode=": "octal",
	} {
		if _, err := tryKind(t, Dgram(), spec, link.Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestAdoptedStream(t *testing.T) {
	t.Parallel()
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		near, far := inherited(t, unix.SOCK_STREAM)
		file := os.NewFile(uintptr(far), "far end")
		defer file.Close()
		conn, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		return accept(t, openAs(t, FD(), near, link.Options{})), linktest.NewStation(t, newWire(conn))
	})
}

func TestAdoptedDatagrams(t *testing.T) {
	linktest.RunDevice(t, frame.MaxLen, func(t testing.TB) (link.Link, *linktest.Station) {
		ns := linktest.NewNamespace(t) // where a socket holds more than a few datagrams
		ns.Sysctl("net/unix/max_dgram_qlen", "200")
		var near string
		var far int
		ns.Do(func() error {
			near, far = inherited(t, unix.SOCK_DGRAM)
			return nil
		})
		return accept(t, openAs(t, FD(), near, link.Options{})), linktest.NewStation(t, &packetWire{in: far, out: far})
	})
}

// inherited is a socket pair whose near end looks as if the program had been
// started with it.
func inherited(t testing.TB, typ int) (spec string, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fds[0]), unix.F_SETFD, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	growSendBuffer(fds[1])
	return "fd:" + itoa(fds[0]), fds[1]
}

// The end of a datagram socket shows when it is written to, and nobody comes
// again.
func TestAdoptedEnds(t *testing.T) {
	near, far := inherited(t, unix.SOCK_DGRAM)
	src := openAs(t, FD(), near, link.Options{})
	l := accept(t, src)
	defer l.Close()
	unix.Close(far)
	b := &frame.Batch{Buf: numbered(0, 60), Refs: []frame.Ref{{Len: 60}}}
	if _, err := l.WriteBatch(b); err == nil {
		t.Error("a frame was written to nobody")
	}
	if _, err := src.Accept(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody can come again") {
		t.Errorf("accept: %v", err)
	}
}

// Only what was inherited, and is a socket that frames can pass, is taken.
func TestAdoptRefuses(t *testing.T) {
	own, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(own[0])
	defer unix.Close(own[1])
	open := func(typ int) int {
		fd, err := unix.Socket(unix.AF_UNIX, typ, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	packets, far := inherited(t, unix.SOCK_SEQPACKET)
	defer unix.Close(far)
	file, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	for spec, says := range map[string]string{
		"fd:" + itoa(own[0]):                 "switch's own",
		"fd:" + itoa(open(unix.SOCK_STREAM)): "not connected",
		"fd:" + itoa(file):                   "not a socket",
		packets:                              "another kind",
		"fd:99999":                           "started without it",
		"fd:2":                               "3 or more",
		"fd:":                                "3 or more",
		"fd:x":                               "3 or more",
		"fd:7,x=y":                           "unknown key",
	} {
		if _, err := tryKind(t, FD(), spec, link.Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", spec, err)
		}
	}
	near, far2 := inherited(t, unix.SOCK_STREAM)
	defer unix.Close(far2)
	openAs(t, FD(), near, link.Options{})
	if _, err := tryKind(t, FD(), near, link.Options{}); err == nil || !strings.Contains(err.Error(), "another port") {
		t.Errorf("a second time: %v", err)
	}
}
