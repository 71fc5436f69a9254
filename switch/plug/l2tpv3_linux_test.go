package plug

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// l2tpForms are headers as the other side writes and reads them.
var l2tpForms = []struct {
	name, keys string
	send, skip string // hexadecimal: what stands before a frame to us; after it what we are to write
}{
	{"plain", "session=0x11223344", "00030000 11223344", "00030000 11223344"},
	{"cookies", "txsession=1,rxsession=2,txcookie=01020304,rxcookie=a1a2a3a4a5a6a7a8",
		"00030000 00000002 a1a2a3a4a5a6a7a8", "00030000 00000001 01020304"},
	{"counter", "session=7,cookie=0x0102030405060708,counter=on",
		"00030000 00000007 0102030405060708 000000ff", "00030000 00000007 0102030405060708 00000001"},
	{"offset", "session=7,offset=6", "00030000 00000007 ffffffffffff", "00030000 00000007 000000000000"},
	{"no version", "session=7", "00000000 00000007", "00030000 00000007"},
}

func unhex(t testing.TB, text string) []byte {
	var b []byte
	if _, err := fmt.Sscanf(strings.ReplaceAll(text, " ", ""), "%x", &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestL2TPv3(t *testing.T) {
	for _, form := range l2tpForms {
		t.Run(form.name, func(t *testing.T) {
			open := func(t testing.TB, mtu int) (link.Link, *packetWire) {
				a, b := freeNet()
				near, far := netip.AddrPortFrom(a, 1701), netip.AddrPortFrom(b, 1701)
				src := openAs(t, L2TPv3(), fmt.Sprintf("l2tpv3:%v,remote=%v,%s", near, far, form.keys), link.Options{MTU: mtu})
				w := udpFar(t, far, near)
				w.lead, w.skip = unhex(t, form.send), len(unhex(t, form.skip))
				return accept(t, src), w
			}
			linktest.RunDevice(t, qemuTunnel, func(t testing.TB) (link.Link, *linktest.Station) {
				l, w := open(t, 0)
				return l, linktest.NewStation(t, w)
			})
			l, w := open(t, 9000)
			if mtu := l.(link.Sized).MTU(); mtu != 9000 {
				t.Errorf("MTU %d", mtu)
			}
			w.skip = 0
			s := linktest.NewStation(t, w)
			writeOne(t, l, numbered(1, 70))
			s.Expect(append(unhex(t, form.skip), numbered(1, 70)...))
			_ = l.Close()
		})
	}
}

// What belongs to another session, or has another cookie, or ends within the
// header, is not ours.
func TestL2TPv3Others(t *testing.T) {
	a, b := freeNet()
	near, far := netip.AddrPortFrom(a, 1701), netip.AddrPortFrom(b, 1701)
	l := accept(t, openAs(t, L2TPv3(), fmt.Sprintf("l2tpv3:%v,remote=%v,session=7,cookie=01020304,counter=on", near, far), link.Options{}))
	defer l.Close()
	s := linktest.NewStation(t, udpFar(t, far, near))
	good := unhex(t, "00030000 00000007 01020304 00000001")
	for _, bad := range []string{"00030000 00000008 01020304 00000001", "00030000 00000007 01020305 00000001"} {
		s.Send(append(unhex(t, bad), numbered(9, 60)...))
	}
	for n := range good {
		s.Send(append([]byte(nil), good[:n]...))
	}
	s.Send(append(bytes.Clone(good), numbered(8, 13)...))
	s.Send(append(bytes.Clone(good), numbered(1, 60)...))
	r := newVDEReader(l)
	if got := r.await(t, 1); len(got) != 1 || !bytes.Equal(got[0], numbered(1, 60)) {
		t.Errorf("%d frames came in", len(got))
	}
}

func TestL2TPv3OverIP(t *testing.T) {
	for _, v := range []struct {
		near, far string
		header    int
	}{{"127.9.9.1", "127.9.9.2", 20}, {"fd00::1", "fd00::2", 0}} {
		ns := linktest.NewNamespace(t)
		ns.Sysctl("net/ipv6/conf/all/disable_ipv6", "0")
		ns.Sysctl("net/ipv6/conf/lo/disable_ipv6", "0")
		sh(t, ns, "ip link set lo up; ip addr add fd00::1/64 dev lo nodad; ip addr add fd00::2/64 dev lo nodad")
		// The kernel makes the routes of addresses later; until then what is sent to them gets lost.
		sh(t, ns, "for i in $(seq 3000); do [ $(ip -6 route show table local | grep -c ^local.fd00::[12]) = 2 ] && exit 0; sleep 0.01; done; exit 1")
		ns.Do(func() error {
			near, far := netip.MustParseAddr(v.near), netip.MustParseAddr(v.far)
			l := accept(t, openAs(t, L2TPv3(), fmt.Sprintf("l2tpv3:%v,remote=%v,session=5,rxcookie=01020304", near, far), link.Options{}))
			defer l.Close()
			family := unix.AF_INET6
			if near.Is4() {
				family = unix.AF_INET
			}
			fd := farSocket(t, family, unix.SOCK_RAW, unix.IPPROTO_L2TP)
			if err := unix.Bind(fd, sockaddr(netip.AddrPortFrom(far, 0))); err != nil {
				return err
			}
			w := &packetWire{in: fd, out: fd, to: sockaddr(netip.AddrPortFrom(near, 0)), lead: unhex(t, "00000005 01020304"), skip: v.header + 4}
			s := linktest.NewStation(t, w)
			s.Send(numbered(1, 60))
			if got := one(t, l); len(got) != 1 || !bytes.Equal(got[0], numbered(1, 60)) {
				t.Errorf("%v: %d frames came in", near, len(got))
			}
			writeOne(t, l, numbered(2, 60))
			s.Expect(numbered(2, 60))
			return nil
		})
	}
}

// FuzzL2TPv3 reads anything: what is kept lies within the message.
func FuzzL2TPv3(f *testing.F) {
	f.Add([]byte{0, 3, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4, 0, 0, 0, 1, 9}, byte(3), byte(4))
	f.Add([]byte{0x45}, byte(2), byte(0))
	f.Fuzz(func(t *testing.T, msg []byte, flags, offset byte) {
		l := &l2tp{udp: flags&1 != 0, ip4: flags&2 != 0, counter: flags&4 != 0, sentTo: 7, offset: int(offset) % (maxOffset + 1)}
		if flags&8 != 0 {
			l.comeBy = []byte{1, 2, 3, 4}
		}
		n, ok := l.strip(msg)
		if !ok {
			return
		}
		head := 4 + len(l.comeBy) + l.offset
		if n < head || n > len(msg) {
			t.Fatalf("a header of %d bytes in %d", n, len(msg))
		}
		if l.udp && binary.BigEndian.Uint32(msg[4:]) != 7 {
			t.Fatal("another session")
		}
	})
}
