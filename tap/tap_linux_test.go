package tap

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// longest is the longest frame of a device with the largest MTU.
const longest = maxMTU + frame.HeaderLen

func TestLink(t *testing.T)      { runSuite(t, "") }
func TestLinkPlain(t *testing.T) { runSuite(t, ",offload=off") }

func runSuite(t *testing.T, keys string) {
	linktest.RunDevice(t, longest, func(t testing.TB) (link.Link, *linktest.Station) {
		ns := linktest.NewNamespace(t)
		src := mustOpen(t, "tap:t0,netns="+ns.Path()+keys, link.Options{MTU: maxMTU})
		return accept(t, src), ns.Device("t0", false)
	})
}

func closeAll(list []*queue) {
	for _, q := range list {
		_ = q.Close()
	}
}

// Everything that can be asked of a device is done.
func TestSetUp(t *testing.T) {
	ns := linktest.NewNamespace(t)
	add(ns, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br7"}})
	src := mustOpen(t, "tap:t0,queues=2,mac=02:11:22:33:44:55,master=br7,owner=7,group=8,netns="+ns.Path(), link.Options{MTU: 9000})
	d := find(t, ns, "t0").(*netlink.Tuntap)
	a := d.Attrs()
	if a.MTU != 9000 || a.HardwareAddr.String() != "02:11:22:33:44:55" || a.MasterIndex != find(t, ns, "br7").Attrs().Index || a.RawFlags&unix.IFF_UP == 0 {
		t.Errorf("the device is %+v", a)
	}
	if d.Owner != 7 || d.Group != 8 || !d.NonPersist || d.Flags&netlink.TUNTAP_MULTI_QUEUE == 0 || d.Flags&netlink.TUNTAP_VNET_HDR == 0 || d.Queues != 2 {
		t.Errorf("the device is %+v", d)
	}
	l := accept(t, src)
	if l.MTU() != 9000 || len(l.Queues()) != 1 || l.Takes()&(frame.CanCsum|frame.CanTCP4|frame.CanTCP6) == 0 {
		t.Errorf("the link has MTU %d, %d further queues and takes %v", l.MTU(), len(l.Queues()), l.Takes())
	}
	_ = src.Close()
	if find(t, ns, "t0") == nil {
		t.Error("the device went before the link on it")
	}
	closeAll(l.more)
	_ = l.Close()
	if find(t, ns, "t0") != nil {
		t.Error("the device is still there")
	}
}

// A device that was there before stays, as it was, whatever becomes of the port.
func TestExistingDevice(t *testing.T) {
	for _, keys := range []string{"", ",offload=off"} {
		ns := linktest.NewNamespace(t)
		add(ns, &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "t0"}, Mode: netlink.TUNTAP_MODE_TAP})
		src := mustOpen(t, "tap:t0,up=on,netns="+ns.Path()+keys, link.Options{})
		l := accept(t, src)
		if again, err := tryOpen(t, "tap:t0,netns="+ns.Path()+keys, link.Options{}); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("opened twice: %v, %v", again, err)
		}
		_, _ = l.Close(), src.Close()
		if find(t, ns, "t0") == nil {
			t.Error("a device that was not made here was deleted")
		}
	}
}

func TestPersist(t *testing.T) {
	ns := linktest.NewNamespace(t)
	src := mustOpen(t, "tap:t0,persist=on,netns="+ns.Path(), link.Options{})
	_ = src.Close()
	if find(t, ns, "t0") == nil {
		t.Error("a persistent device has gone")
	}
}

// What cannot be done is said with its object, cause and cure, and leaves nothing
// behind.
func TestMistakes(t *testing.T) {
	ns := linktest.NewNamespace(t)
	add(ns, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br7"}})
	add(ns, &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun7"}, Mode: netlink.TUNTAP_MODE_TUN})
	add(ns, &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tap7"}, Mode: netlink.TUNTAP_MODE_TAP})
	before := find(t, ns, "tap7").Attrs()
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, c := range []struct {
		spec string
		mtu  int
		says []string
	}{
		{"tap:t0,master=nobridge,mac=02:00:00:00:00:07", 0, []string{"t0", "no bridge nobridge", "ip link add"}},
		{"tap:t0,master=tun7", 0, []string{"t0", "tun7 is no bridge"}},
		{"tap:t0", 65535, []string{"t0", "68 to 65521"}},
		{"tap:br7", 0, []string{"br7", "taken", "bridge", "another name"}},
		{"tap:tun7", 0, []string{"tun7", "TUN device", "another name"}},
		{"tap:tap7,queues=2", 0, []string{"tap7", "one queue", "multi_queue"}},
		{"tap:tap7,persist=off", 0, []string{"tap7", "persist=off", "ip link del"}},
		{"tap:tap7,mac=02:00:00:00:00:07,up=on,master=nobridge", 1400, []string{"tap7", "nobridge"}},
	} {
		_, err := tryOpen(t, c.spec+",netns="+ns.Path(), link.Options{MTU: c.mtu})
		if err == nil {
			t.Errorf("%s: opened", c.spec)
			continue
		}
		for _, word := range c.says {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v\ndoes not say %q", c.spec, err, word)
			}
		}
	}
	if find(t, ns, "t0") != nil {
		t.Error("a device was left behind")
	}
	after := find(t, ns, "tap7").Attrs()
	if after.MTU != before.MTU || after.HardwareAddr.String() != before.HardwareAddr.String() || after.RawFlags&unix.IFF_UP != 0 {
		t.Errorf("a device that was there is %+v, was %+v", after, before)
	}
	for spec, says := range map[string]string{
		"tap:t0,netns=no-such-namespace": "ip netns list",
		"tap:t0,netns=/dev/null":         "network namespace",
		"tap:fd=1023":                    "1023<>/dev/net/tun",
	} {
		if _, err := tryOpen(t, spec, link.Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// A descriptor that was opened by somebody else is taken over as it is.
func TestAdopt(t *testing.T) {
	for _, flags := range []uint16{unix.IFF_VNET_HDR, 0} {
		ns := linktest.NewNamespace(t)
		var fd int
		ns.Do(func() (err error) {
			fd, err = openQueue("t9", unix.IFF_TAP|unix.IFF_NO_PI|flags)
			return err
		})
		inherited, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD, 3)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(fd)
		src := mustOpen(t, "tap:fd="+fmt.Sprint(inherited), link.Options{})
		_ = unix.Close(inherited)
		change(ns, "t9", setUpLink)
		l := accept(t, src)
		if (l.Takes() != 0) != (flags != 0) {
			t.Errorf("it takes %v", l.Takes())
		}
		s := ns.Device("t9", false)
		f := linktest.Sentinel()
		b := &frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}
		if n, err := l.WriteBatch(b); n != 1 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		s.Expect(f)
		_ = l.Close()
	}
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inherited, _ := unix.FcntlInt(file.Fd(), unix.F_DUPFD, 3)
	defer unix.Close(inherited)
	if _, err := tryOpen(t, "tap:fd="+fmt.Sprint(inherited), link.Options{}); err == nil || !strings.Contains(err.Error(), "no TAP device") {
		t.Errorf("/dev/null is taken for a TAP: %v", err)
	}
}
