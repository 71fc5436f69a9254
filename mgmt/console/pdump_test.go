package console

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt/capture"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// What passes is in the file, which any reader of captures takes.
func TestPdump(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	a, b := l.plug(""), l.plug("")
	c := l.dial()
	path := filepath.Join(l.dir, "a.cap")
	c.want("pdump/filename "+path, data("dumpfile="+path+"\n"))
	c.want("pdump/active 0", dataOf+".\n1002 No such file or directory\n")
	c.want("pdump/active 1", data(""))
	c.want("pdump/active 1", dataOf+".\n1017 File exists\n")
	c.want("pdump/active", data("active=1\n"))
	c.want("pdump/filename "+path+"x", dataOf+".\n1016 Device or resource busy\n")
	c.want("pdump/buffered 1", "1016 Device or resource busy\n")
	a.Send(ether(0xff, 1, -1))
	b.Expect(ether(0xff, 1, -1))
	until(t, "both copies are written", func() bool { return countFrames(t, path) == 2 })
	c.want("pdump/active 0", data(""))
	c.want("pdump/buffered 1", success)
	c.want("pdump/active 1", data("")) // empties the file
	a.Send(ether(0xff, 1, -1))
	b.Expect(ether(0xff, 1, -1))
	c.want("pdump/active 0", data(""))
	if n := countFrames(t, path); n != 2 {
		t.Errorf("%d frames after the end", n)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", fi.Mode(), err)
	}
}

func countFrames(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := capture.NewReader(f)
	if err != nil {
		return 0 // nothing is there yet
	}
	for n := 0; ; n++ {
		if _, err := r.Next(); errors.Is(err, io.EOF) || err != nil {
			return n
		}
	}
}

// A dump overwrites dumps, and nothing else.
func TestPdumpSparesFiles(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	c := l.dial()
	path := filepath.Join(l.dir, "precious")
	write(t, path, "precious")
	link := filepath.Join(l.dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path: "1017 File exists\n", link: "1040 Too many levels of symbolic links\n", "/dev/null": "1022 Invalid argument\n", l.dir: "1021 Is a directory\n"} {
		c.want("pdump/filename "+name, data("dumpfile="+name+"\n"))
		c.want("pdump/active 1", dataOf+".\n"+want)
	}
	if got := c.do("pdump/filename /nonexistent/x"); got != dataOf+"ERROR: cannot dump to /nonexistent/x\n.\n1022 Invalid argument\n" {
		t.Errorf("a directory that is not there: %s", got)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

// ipFrame is an IP header of a station behind an Ethernet header.
func ipFrame(src byte, a netip.Addr) []byte {
	f := append(ether(0xff, src, -1)[:12], 8, 0, 0x45)
	if a.Is6() {
		f = append(f[:12], 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 59, 64)
		return append(append(f, a.AsSlice()...), make([]byte, 32)...)
	}
	f = append(f, make([]byte, 11)...)
	return append(append(f, a.AsSlice()...), make([]byte, 40)...)
}

func arp(src byte, a netip.Addr) []byte {
	f := append(ether(0xff, src, -1)[:12], 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, src)
	return append(append(f, a.AsSlice()...), make([]byte, 30)...)
}

func TestIPLog(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	a, b := l.plug("name=a"), l.plug("name=b,vlan=10")
	c := l.dial()
	v4, v6 := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fe80::1")
	a.Send(ipFrame(1, v4)) // before anybody asked
	until(t, "it has come", func() bool {
		p, err := l.sw.Port("a")
		return err == nil && p.Rx.Frames == 1
	})
	c.want("iplog/ipadd 10.0.0.0/8", success)
	c.want("iplog/ipadd 10.0.0.0/8", "1017 File exists\n")
	c.want("iplog/ipadd xx", "1022 Invalid argument\n")
	c.want("iplog/ipadd fe80::/10", success)
	c.want("iplog/list", data("  ipv4: 10.0.0.0/8\n  ipv6: fe80::/10\n"))
	log := filepath.Join(l.dir, "log")
	c.want("iplog/logfile "+log, success)
	c.want("debug/add iplog", success)
	me := nameOf(os.Getuid())
	c.want("iplog/iplist", data(""))
	for range 1000 { // one is enough for a second
		a.Send(ipFrame(1, v4))
	}
	b.Send(ipFrame(2, v6))
	b.Send(ipFrame(3, netip.MustParseAddr("192.0.2.1"))) // in no range
	b.Send(arp(3, netip.MustParseAddr("10.0.0.9")))
	list := "ipv4 10.0.0.9 port=2 user=" + me + "\nipv4 10.1.2.3 port=1 user=" + me + "\nipv6 fe80::1 port=2 user=" + me + "\n"
	until(t, "all are known", func() bool { return strings.Contains(c.do("iplog/iplist"), list) })
	if text, err := os.ReadFile(log); err != nil || strings.Count(string(text), "\n") != 3 ||
		!strings.Contains(string(text), "ipv6 fe80::1 mac=02:00:00:00:00:02 port=2 vlan=10 user="+me+" \"b ") {
		t.Errorf("the log says %s, %v", text, err)
	}
	c.want("iplog/ipport 1", data("ipv4 10.1.2.3 port=1 user="+me+"\n"))
	c.want("iplog/ipuser "+me, data(list))
	c.want("iplog/ipuser nobody-at-all", data(""))
	c.want("iplog/ipsearch 10.1.2.3", data("ipv4 10.1.2.3 port=1 user="+me+"\n"))
	c.want("iplog/ipsearch x", dataOf+".\n1022 Invalid argument\n")
	b.Send(ipFrame(2, v4)) // it has moved
	until(t, "it has moved", func() bool { return strings.Contains(c.do("iplog/ipport 2"), "10.1.2.3") })
	c.want("iplog/ipdel 10.0.0.0/8", success)
	c.want("iplog/ipdel 10.0.0.0/8", "1002 No such file or directory\n")
	c.want("iplog/ipdel fe80::/10", success)
	if l.c.ips.tap != nil {
		t.Error("frames are looked at although there is no range")
	}
	if got := c.do("iplog/showinfo"); !strings.Contains(got, "log on file "+log+"\n") || !strings.Contains(got, "GC expire 360 secs\n") {
		t.Errorf("info: %s", got)
	}
}

// News of addresses come by themselves, with what the real switch writes.
func TestIPNews(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	a := l.plug("name=a")
	c := l.dial()
	c.want("iplog/ipadd 0.0.0.0/0", success)
	c.want("debug/add iplog/newip", success)
	a.Send(arp(1, netip.MustParseAddr("10.1.2.3")))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	c.expect("3301 iplog/newip ipv4 10.1.2.3 mac=02:00:00:00:00:01 port=1 vlan=0 user=" + nameOf(os.Getuid()) + " \"a user=")
}

func TestReadIP(t *testing.T) {
	v4, v6 := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("2001:db8::7")
	na := ipFrame(1, netip.MustParseAddr("fe80::1"))
	na[14+6] = protoICMPv6
	na = append(na[:14+40], append([]byte{neighbourAd, 0, 0, 0, 0, 0, 0, 0}, v6.AsSlice()...)...)
	tagged := append(append(append([]byte{}, arp(1, v4)[:12]...), 0x81, 0, 0, 7), arp(1, v4)[12:]...)
	for _, c := range []struct {
		name string
		f    []byte
		want string
	}{
		{"IPv4", ipFrame(1, v4), "10.1.2.3"},
		{"IPv6", ipFrame(1, v6), "2001:db8::7"},
		{"ARP", arp(1, v4), "10.1.2.3"},
		{"tagged", tagged, "10.1.2.3"},
		{"advertised", na, "2001:db8::7"},
		{"probe", arp(1, netip.IPv4Unspecified()), ""},
		{"DHCP discover", ipFrame(1, netip.IPv4Unspecified()), ""},
		{"multicast", ipFrame(1, netip.MustParseAddr("224.0.0.1")), ""},
		{"broadcast", ipFrame(1, netip.MustParseAddr("255.255.255.255")), ""},
		{"unspecified", ipFrame(1, netip.IPv6Unspecified()), ""},
		{"other", ether(1, 2, -1), ""},
		{"cut", ipFrame(1, v4)[:20], ""},
		{"runt", []byte{1, 2, 3}, ""},
	} {
		a, ok := readIP(frame.Frame(c.f))
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%s: %v, %t", c.name, a, ok)
		}
	}
}

func FuzzReadIP(f *testing.F) {
	f.Add(arp(1, netip.MustParseAddr("10.1.2.3")))
	f.Add(ipFrame(1, netip.MustParseAddr("2001:db8::7")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < frame.HeaderLen {
			return
		}
		_, ok := ipKey(frame.Frame(b))
		if a, found := readIP(frame.Frame(b)); found && (!ok || !a.IsValid()) {
			t.Errorf("address %v, key %t", a, ok)
		}
	})
}

// Looking at a frame's addresses takes no memory.
func TestMatchDoesNotAllocate(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	f := frame.Frame(ipFrame(1, netip.MustParseAddr("10.1.2.3")))
	if n := testing.AllocsPerRun(100, func() { l.c.ips.match(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
