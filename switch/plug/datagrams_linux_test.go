package plug

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

func itoa(n int) string { return strconv.Itoa(n) }

// udpFar is a socket bound to one address that sends to another.
func udpFar(t testing.TB, own, theirs netip.AddrPort) *packetWire {
	t.Helper()
	family := unix.AF_INET6
	if own.Addr().Is4() {
		family = unix.AF_INET
	}
	fd := farSocket(t, family, unix.SOCK_DGRAM, 0)
	if err := unix.Bind(fd, sockaddr(own)); err != nil {
		t.Fatal(err)
	}
	return &packetWire{in: fd, out: fd, to: sockaddr(theirs)}
}

func TestUDP(t *testing.T) {
	linktest.RunDevice(t, maxDatagram, func(t testing.TB) (link.Link, *linktest.Station) {
		a, b := freeNet()
		near, far := netip.AddrPortFrom(a, 5000), netip.AddrPortFrom(b, 5000)
		src := openAs(t, UDP(), fmt.Sprintf("udp:%v,remote=%v", near, far), link.Options{})
		return accept(t, src), linktest.NewStation(t, udpFar(t, far, near))
	})
}

func TestUDP6(t *testing.T) {
	ns := linktest.NewNamespace(t)
	ns.Sysctl("net/ipv6/conf/all/disable_ipv6", "0")
	ns.Sysctl("net/ipv6/conf/lo/disable_ipv6", "0")
	sh(t, ns, "ip link set lo up")
	ns.Do(func() error {
		near, far := netip.MustParseAddrPort("[::1]:5000"), netip.MustParseAddrPort("[::1]:5001")
		l := accept(t, openAs(t, UDP(), fmt.Sprintf("udp:%v,remote=%v", near, far), link.Options{}))
		defer l.Close()
		s := linktest.NewStation(t, udpFar(t, far, near))
		stranger := linktest.NewStation(t, udpFar(t, netip.MustParseAddrPort("[::1]:5002"), near))
		stranger.Send(numbered(9, 60))
		s.Send(numbered(1, 61))
		if got := one(t, l); len(got) != 1 || !bytes.Equal(got[0], numbered(1, 61)) {
			t.Errorf("%d frames came in", len(got))
		}
		writeOne(t, l, numbered(2, 62))
		s.Expect(numbered(2, 62))
		return nil
	})
}

// writeOne writes one frame.
func writeOne(t testing.TB, l link.Link, f []byte) {
	t.Helper()
	if n, err := l.WriteBatch(&frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

// sh runs a command in a namespace.
func sh(t testing.TB, ns *linktest.Namespace, command string) {
	t.Helper()
	ns.Do(func() error {
		out, err := exec.Command("sh", "-c", command).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", command, err, out)
		}
		return err
	})
}

// Who has another address, or another port, is not listened to; nor are empty
// datagrams, and short ones are counted.
func TestUDPSource(t *testing.T) {
	a, b := freeNet()
	near, far := netip.AddrPortFrom(a, 5000), netip.AddrPortFrom(b, 5000)
	l := accept(t, openAs(t, UDP(), fmt.Sprintf("udp:%v,remote=%v", near, far), link.Options{}))
	defer l.Close()
	for _, ap := range []netip.AddrPort{netip.AddrPortFrom(b, 5001), netip.AddrPortFrom(b.Next(), 5000)} {
		linktest.NewStation(t, udpFar(t, ap, near)).Send(numbered(9, 60))
	}
	s := linktest.NewStation(t, udpFar(t, far, near))
	s.Send(nil)
	s.Send(numbered(8, 13))
	s.Send(numbered(1, 60))
	r := newVDEReader(l)
	if got := r.await(t, 1); len(got) != 1 || !bytes.Equal(got[0], numbered(1, 60)) || r.runts != 1 {
		t.Errorf("%d frames and %d runts came in", len(got), r.runts)
	}
}

// A peer that is not there yet, or has gone, costs frames and nothing else: no
// error, and no descriptor that is ready for ever.
func TestUDPNobody(t *testing.T) {
	a, b := freeNet()
	near, far := netip.AddrPortFrom(a, 5000), netip.AddrPortFrom(b, 5000)
	l := accept(t, openAs(t, UDP(), fmt.Sprintf("udp:%v,remote=%v", near, far), link.Options{}))
	defer l.Close()
	for range 100 {
		writeOne(t, l, numbered(1, 60))
	}
	fds := []unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); n != 0 || err != nil {
		t.Errorf("ready for %#x, %v", fds[0].Revents, err)
	}
	s := linktest.NewStation(t, udpFar(t, far, near))
	writeOne(t, l, numbered(2, 60))
	s.Expect(numbered(2, 60))
}

// group makes a namespace whose loopback carries groups.
func group(t testing.TB) *linktest.Namespace {
	ns := linktest.NewNamespace(t)
	sh(t, ns, "ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo")
	return ns
}

// memberOf is QEMU's end: one socket bound to the group, from which it sends, too.
func memberOf(t testing.TB, ns *linktest.Namespace, ap netip.AddrPort) (w *packetWire) {
	ns.Do(func() error {
		fd := farSocket(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
		w = &packetWire{in: fd, out: fd, to: sockaddr(ap)}
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.Bind(fd, sockaddr(ap)),
			unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: ap.Addr().As4()}))
	})
	return w
}

// hearsNotItself drops what a member of the group has sent itself.
type hearsNotItself struct {
	*packetWire
	sent [][]byte
}

func (w *hearsNotItself) Send(f []byte) error {
	w.sent = append(w.sent, bytes.Clone(f))
	return w.packetWire.Send(f)
}

func (w *hearsNotItself) Recv(buf []byte) (int, error) {
	for {
		n, err := w.packetWire.Recv(buf)
		if err != nil || len(w.sent) == 0 || !bytes.Equal(buf[:n], w.sent[0]) {
			return n, err
		}
		w.sent = w.sent[1:]
	}
}

var testGroup = netip.MustParseAddrPort("239.192.7.1:5000")

func TestMcast(t *testing.T) {
	linktest.RunDevice(t, maxDatagram, func(t testing.TB) (l link.Link, s *linktest.Station) {
		ns := group(t)
		ns.Do(func() error {
			l = accept(t, openAs(t, Mcast(), "mcast:"+testGroup.String(), link.Options{}))
			return nil
		})
		return l, linktest.NewStation(t, &hearsNotItself{packetWire: memberOf(t, ns, testGroup)})
	})
}

// What is sent to the group does not come back; others' frames come, also those
// of members on this host who have our address.
func TestMcastNoEcho(t *testing.T) {
	for _, keys := range []string{"", ",if=lo", ",if=127.0.0.1,ttl=3"} {
		ns := group(t)
		ns.Do(func() error {
			one := accept(t, openAs(t, Mcast(), "mcast:"+testGroup.String()+keys, link.Options{}))
			defer one.Close()
			two := accept(t, openAs(t, Mcast(), "mcast:"+testGroup.String()+keys, link.Options{}))
			defer two.Close()
			s := linktest.NewStation(t, memberOf(t, ns, testGroup))
			writeOne(t, one, numbered(1, 60))
			s.Expect(numbered(1, 60))
			writeOne(t, two, numbered(2, 60))
			s.Expect(numbered(2, 60))
			s.Send(numbered(3, 60))
			for l, want := range map[link.Link]int{one: 2, two: 1} {
				got := newVDEReader(l).await(t, 2)
				if len(got) != 2 || !bytes.Equal(got[0], numbered(want, 60)) || !bytes.Equal(got[1], numbered(3, 60)) {
					t.Errorf("%s: %d frames came in", keys, len(got))
				}
			}
			return nil
		})
	}
}

func TestMcastWithoutRoute(t *testing.T) {
	ns := linktest.NewNamespace(t)
	sh(t, ns, "ip link set lo up")
	ns.Do(func() error {
		if _, err := tryKind(t, Mcast(), "mcast:"+testGroup.String(), link.Options{}); err == nil || !strings.Contains(err.Error(), "ip route add") {
			t.Errorf("without a route: %v", err)
		}
		if _, err := tryKind(t, Mcast(), "mcast:"+testGroup.String()+",if=nosuch", link.Options{}); err == nil || !strings.Contains(err.Error(), "interface nosuch") {
			t.Errorf("without an interface: %v", err)
		}
		return nil
	})
}

func TestPacketMistakes(t *testing.T) {
	for spec, says := range map[string]string{
		"udp:127.0.0.1:5000":                                   "remote=",
		"udp:127.0.0.1,remote=127.0.0.1:1":                     "ADDRESS:PORT",
		"udp:127.0.0.1:0,remote=127.0.0.1:1":                   "port 0",
		"udp:localhost:1,remote=127.0.0.1:1":                   "numeric",
		"udp::5000,remote=127.0.0.1:5000":                      "this end itself",
		"udp::5000,remote=[::1]:5000":                          "IPv6",
		"udp::5000,remote=239.1.1.1:5000":                      "mcast:",
		"udp::5000,remote=0.0.0.0:5000":                        "one host",
		"udp::5000,remote=127.0.0.2:5000,x=1":                  "unknown key",
		"udp:192.0.2.77:5000,remote=127.0.0.2:5000":            "no interface",
		"mcast:192.0.0.1:5000":                                 "224.0.0.0",
		"mcast:[ff02::1]:5000":                                 "224.0.0.0",
		"mcast:239.1.1.1:5000,ttl=256":                         "0 to 255",
		"mcast:239.1.1.1:5000,if=":                             "if=",
		"mcast:239.1.1.1:5000,if=::1":                          "IPv4",
		"mcast:239.1.1.1:5000,remote=127.0.0.1:1":              "unknown key",
		"l2tpv3:127.0.0.1:1,remote=127.0.0.2:1":                "session=N is missing",
		"l2tpv3:127.0.0.1:1,remote=127.0.0.2:1,txsession=1":    "session=N is missing",
		"l2tpv3:127.0.0.1:1,remote=127.0.0.2,session=1":        "both ports",
		"l2tpv3:127.0.0.1:1,remote=127.0.0.2:1,session=1e9":    "number",
		"l2tpv3:127.0.0.1:1,remote=127.0.0.2:1,session=-1":     "number",
		"l2tpv3::1,remote=127.0.0.2:1,session=1,cookie=12":     "hexadecimal",
		"l2tpv3::1,remote=127.0.0.2:1,session=1,rxcookie=q":    "hexadecimal",
		"l2tpv3::1,remote=127.0.0.2:1,session=1,offset=17":     "0 to 16",
		"l2tpv3::1,remote=127.0.0.2:1,session=1,counter=maybe": "on or off",
		"l2tpv3::1,remote=127.0.0.2:1,session=1,udp=on":        "unknown key",
	} {
		kind := map[byte]link.Kind{'u': UDP(), 'm': Mcast(), 'l': L2TPv3()}[spec[0]]
		if _, err := tryKind(t, kind, spec, link.Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// An address in use is an error at once.
func TestUDPInUse(t *testing.T) {
	a, b := freeNet()
	spec := fmt.Sprintf("udp:%v:5000,remote=%v:5000", a, b)
	openAs(t, UDP(), spec, link.Options{})
	if _, err := tryKind(t, UDP(), spec, link.Options{}); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "ss -ulnp") {
		t.Errorf("in use: %v", err)
	}
}

// Neither reading nor writing allocates.
func TestDatagramsAllocateNothing(t *testing.T) {
	a, b := freeNet()
	near, far := netip.AddrPortFrom(a, 1701), netip.AddrPortFrom(b, 1701)
	l := accept(t, openAs(t, L2TPv3(), fmt.Sprintf("l2tpv3:%v,remote=%v,session=7,counter=on", near, far), link.Options{}))
	defer l.Close()
	w := udpFar(t, far, near)
	defer w.Close()
	msg := append(unhex(t, "00030000 00000007 00000001"), numbered(1, 200)...)
	in := frame.Batch{Buf: make([]byte, 192<<10), Refs: make([]frame.Ref, 0, 128)}
	out := make([]byte, 300)
	allocs := testing.AllocsPerRun(200, func() {
		for range 8 {
			_ = unix.Sendto(w.out, msg, 0, w.to)
		}
		in.Reset()
		if err := l.ReadBatch(&in); err != nil || len(in.Refs) != 8 {
			t.Fatalf("%d frames, %v", len(in.Refs), err)
		}
		in.Refs[0].Edit = frame.InsertTag(10)
		if n, err := l.WriteBatch(&in); err != nil || n != 8 {
			t.Fatalf("wrote %d, %v", n, err)
		}
		for range 8 {
			if _, err := unix.Read(w.in, out); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 8 && !raceEnabled { // Sendto of the test's own allocates
		t.Errorf("%.1f allocations per batch", allocs)
	}
}
