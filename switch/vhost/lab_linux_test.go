package vhost

import (
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
	"vnetkit/switch/vhost/frontend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var testOptions = options{queues: 4, packed: true}

// connPair is a connected pair of sockets.
func connPair(t testing.TB) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := [2]*net.UnixConn{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c.(*net.UnixConn)
	}
	return conns[0], conns[1]
}

// pair is a Link and the guest on its other end.
func pair(t testing.TB, opt frontend.Options) (*Link, *frontend.Guest) {
	t.Helper()
	near, far := connPair(t)
	l, err := newLink(near, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	g, err := frontend.New(far, opt)
	if err != nil {
		_ = l.Close()
		t.Fatalf("bring guest up: %v; the link says: %v", err, l.ended())
	}
	t.Cleanup(func() { _ = g.Close() })
	return l, g
}

// wire makes a guest a linktest.Wire.
type wire struct{ *frontend.Guest }

func (w wire) Send(f []byte) error            { return w.SendFrame(f) }
func (w wire) Recv(b []byte) (n int, e error) { return w.RecvFrame(b) }

// kinds of guests that differ in what goes through the rings.
var guests = []struct {
	name string
	opt  frontend.Options
}{
	{"Split", frontend.Options{}},
	{"SplitNoEventIdx", frontend.Options{NoEventIdx: true}},
	{"SplitIndirect", frontend.Options{Indirect: true}},
	{"SplitNoMerge", frontend.Options{NoMerge: true, BufSize: 72 << 10, Size: 32}},
	{"SplitLegacy", frontend.Options{NoMerge: true, Legacy: true, BufSize: 72 << 10, Size: 32}},
	{"SplitSmallBuffers", frontend.Options{BufSize: 256, Size: 1024}},
	{"Packed", frontend.Options{Packed: true}},
	{"PackedNoEventIdx", frontend.Options{Packed: true, NoEventIdx: true}},
	{"PackedIndirect", frontend.Options{Packed: true, Indirect: true}},
	{"PackedInOrder", frontend.Options{Packed: true, Features: frontend.FeatInOrder}},
	{"PackedInOrderIndirect", frontend.Options{Packed: true, Indirect: true, Features: frontend.FeatInOrder}},
	{"PackedOddSize", frontend.Options{Packed: true, Size: 201}},
}

func TestLink(t *testing.T) {
	for _, g := range guests {
		t.Run(g.name, func(t *testing.T) {
			linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
				l, far := pair(t, g.opt)
				return l, linktest.NewStation(t, wire{far})
			})
		})
	}
}
