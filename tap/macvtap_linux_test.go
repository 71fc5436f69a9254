package tap

import (
	"fmt"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// A macvtap's device is taken over like a TAP's, with all of its offload: the
// kernel knows the same ioctls there (drivers/net/tap.c).
func TestAdoptMacvtap(t *testing.T) {
	ns := linktest.NewNamespace(t)
	a := netlink.NewLinkAttrs()
	a.Name = "up0"
	add(ns, &netlink.Veth{LinkAttrs: a, PeerName: "far0"})
	change(ns, "up0", setUpLink)
	change(ns, "far0", setUpLink)
	a.Name, a.ParentIndex = "m0", find(t, ns, "up0").Attrs().Index
	a.Index = 1<<30 | os.Getpid() // it is in the name of the device file, which is not of a namespace
	add(ns, &netlink.Macvtap{Macvlan: netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}})
	fd, err := unix.Open(fmt.Sprintf("/dev/tap%d", a.Index), unix.O_RDWR, 0) // inherited: not closed on exec
	if err != nil {
		t.Skipf("this host makes no files for new devices in /dev: %v", err)
	}
	src := mustOpen(t, "tap:fd="+fmt.Sprint(fd), link.Options{})
	_ = unix.Close(fd)
	change(ns, "m0", setUpLink)
	l := accept(t, src)
	if want := frame.CanCsum | frame.CanTCP4 | frame.CanTCP6 | frame.CanECN; l.Takes()&want != want {
		t.Errorf("it takes %v", l.Takes())
	}
	s := ns.Device("far0", false)
	f := linktest.Sentinel()
	b := &frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}
	if n, err := l.WriteBatch(b); n != 1 || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	s.Expect(f)
	_ = l.Close()
}
