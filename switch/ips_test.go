package vswitch

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"vnetkit/switch/frame"
)

// arp is a request from a station that says it has addr.
func arp(dst, src frame.MAC, addr string, tags ...uint32) []byte {
	f := eth(dst, src, tags...)
	f[len(f)-48], f[len(f)-47] = 0x08, 0x06 // 60 bytes but for the tags: 46 behind the type
	b := f[len(f)-46:]
	a := netip.MustParseAddr(addr).As4()
	copy(b, append(append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, src[:]...), a[:]...))
	return f
}

// solicit is a neighbour solicitation for target from addr, to its group.
func solicit(src frame.MAC, addr, target string) []byte {
	f := ethLen(78, frame.MAC{0x33, 0x33, 0xff, 0, 0, 1}, src)
	f[12], f[13] = 0x86, 0xdd
	b := f[14:]
	b[0], b[6] = 0x60, 58
	a, g, to := netip.MustParseAddr(addr).As16(), netip.MustParseAddr("ff02::1:ff00:1").As16(), netip.MustParseAddr(target).As16()
	copy(b[8:], a[:])
	copy(b[24:], g[:])
	b[40] = 135
	copy(b[48:], to[:])
	return f
}

// What stations say of themselves to all is known, by port, VLAN and address;
// what they say of others is not, nor what passes from one to another.
func TestIPs(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("tagged=none"), l.plug("vlan=7")
	c, d := l.plug("tagged=none"), l.plug("vlan=7")
	said := func() string {
		t.Helper()
		list, err := l.sw.IPs(FDBFilter{})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, e := range list {
			fmt.Fprintf(&b, "%v %v %d %d\n", e.Addr, e.MAC, e.VID, e.Port)
		}
		return b.String()
	}
	l.introduce(a, c)
	l.introduce(b, d)
	for _, f := range [][]byte{
		arp(c.mac, a.mac, "10.0.0.9"),            // to one
		arp(frame.Broadcast, a.mac, "0.0.0.0"),   // a probe
		arp(frame.Broadcast, a.mac, "224.0.0.1"), // nobody's
		eth(frame.Broadcast, a.mac),              // of another type
	} {
		l.expectSame(a, f, c)
	}
	proxy := arp(frame.Broadcast, c.mac, "10.0.0.9")
	copy(proxy[6:], a.mac[:])
	l.expectSame(a, proxy, c)
	if got := said(); got != "" {
		t.Fatalf("nobody has said so:\n%s", got)
	}
	l.expectSame(a, arp(frame.Broadcast, a.mac, "10.0.0.1"), c)
	l.expectSame(b, arp(frame.Broadcast, b.mac, "10.0.0.1"), d)
	l.expectSame(c, dhcp(c.mac, "", "10.0.0.7"), a)
	l.expectSame(c, solicit(c.mac, "fe80::1", "fe80::7"), a)
	l.expectSame(c, solicit(c.mac, "::", "fd00::1"), a)
	want := fmt.Sprintf("10.0.0.1 %v 1 1\n10.0.0.1 %v 7 2\n10.0.0.7 %v 1 3\nfd00::1 %v 1 3\nfe80::1 %v 1 3\n", a.mac, b.mac, c.mac, c.mac, c.mac)
	if got := said(); got != want {
		t.Fatalf("got\n%swant\n%s", got, want)
	}
	one := b.mac
	if list, err := l.sw.IPs(FDBFilter{MAC: &one}); err != nil || len(list) != 1 || list[0].Port != b.id {
		t.Errorf("%v, %v", list, err)
	}
	// Another takes an address over; a port goes.
	l.expectSame(c, arp(frame.Broadcast, c.mac, "10.0.0.1"), a)
	if err := l.sw.Remove(b.ref); err != nil {
		t.Fatal(err)
	}
	want = fmt.Sprintf("10.0.0.1 %v 1 3\n10.0.0.7 %v 1 3\nfd00::1 %v 1 3\nfe80::1 %v 1 3\n", c.mac, c.mac, c.mac, c.mac)
	if got := said(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A station that claims a million addresses costs no memory.
func TestIPsAreBounded(t *testing.T) {
	r := newRig(t, "", "")
	f := arp(frame.Broadcast, mac(1), "10.0.0.1")
	batch := trainOf(1, f)
	n := byte(0)
	if allocs := testing.AllocsPerRun(1000, func() {
		n++
		copy(batch.Frame(batch.Refs[0])[28:], []byte{10, n * 7, n * 31, n})
		r.w.forward(r.ports[0], batch)
	}); allocs != 0 {
		t.Errorf("%v allocations a frame", allocs)
	}
	list, err := r.w.sw.IPs(FDBFilter{})
	if err != nil || len(list) < 200 || len(list) > ipSets*ipWays {
		t.Errorf("%d addresses, %v", len(list), err)
	}
}

func FuzzSaidIP(f *testing.F) {
	f.Add(arp(frame.Broadcast, mac(1), "10.0.0.1"))
	f.Add(arp(frame.Broadcast, mac(1), "10.0.0.1", 0x8100_0005))
	f.Add(solicit(mac(1), "::", "fd00::1"))
	f.Add(dhcp(mac(1), "10.0.0.1", ""))
	f.Add(dhcp(mac(1), "", "10.0.0.1"))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, ok := saidIP(data); ok {
			b := a.AsSlice()
			if !strings.Contains(hex.EncodeToString(data), hex.EncodeToString(b)) || a.IsMulticast() || a.IsUnspecified() {
				t.Errorf("%v in %x", a, data)
			}
		}
	})
}
