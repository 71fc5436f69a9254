package tap

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/link/linktest"
)

func port(t *testing.T, sw *vswitch.Switch, id int) vswitch.PortInfo {
	t.Helper()
	p, err := sw.Port(fmt.Sprint(id))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// passes checks that a frame gets from one station to another, once the switch
// knows the way again.
func passes(t *testing.T, from, to host) {
	t.Helper()
	f := linktest.Sentinel()
	from.Send(append(make([]byte, 10), f...))
	got := to.Recv()
	if !linktest.Same(got[10:], f) {
		t.Fatalf("received % x", got)
	}
}

// Whatever becomes of a device, the port says so, the switch goes on, and the
// port comes back when the device does.
func TestLife(t *testing.T) {
	sw := newSwitch(t)
	ns, elsewhere := linktest.NewNamespace(t), linktest.NewNamespace(t)
	id := addPort(t, sw, "tap:t0,netns="+ns.Path())
	other := tapHost(t, sw, "")
	awaitUp(t, sw, 2)
	passes(t, host{ns.Device("t0", true), true}, other)
	says := func(state vswitch.State, words string) {
		t.Helper()
		waitFor(t, fmt.Sprintf("port is %s and says %q", state, words), func() bool {
			p := port(t, sw, id)
			return p.State == state && strings.Contains(p.Reason+p.Peer.Addr, words)
		})
	}

	change(ns, "t0", setDownLink)
	says(vswitch.StateWaiting, "ip link set t0 up")
	other.Send(append(make([]byte, 10), linktest.Sentinel()...)) // to nobody
	change(ns, "t0", setUpLink)
	says(vswitch.StateUp, "t0")
	passes(t, host{ns.Device("t0", true), true}, other)

	change(ns, "t0", setDownLink)
	says(vswitch.StateWaiting, "down")
	change(ns, "t0", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetName(l, "t9") })
	change(ns, "t9", setUpLink)
	says(vswitch.StateUp, "t9")
	passes(t, host{ns.Device("t9", true), true}, other)

	change(ns, "t9", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetNsFd(l, elsewhere.FD()) })
	says(vswitch.StateWaiting, "another network namespace")
	change(elsewhere, "t9", setUpLink)
	says(vswitch.StateUp, "t9")
	passes(t, host{elsewhere.Device("t9", true), true}, other)

	change(elsewhere, "t9", deleteLink)
	waitFor(t, "the device is made again", func() bool {
		p := port(t, sw, id)
		return p.State == vswitch.StateUp && strings.Contains(p.Peer.Addr, "t0") && find(t, ns, "t0") != nil
	})
	passes(t, host{ns.Device("t0", true), true}, other)

	if err := sw.Remove(fmt.Sprint(id)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the device is gone", func() bool { return find(t, ns, "t0") == nil })
}

// A device that the switch itself has is not in use by another process.
func TestDeviceOfAnotherPort(t *testing.T) {
	sw := newSwitch(t)
	ns := linktest.NewNamespace(t)
	addPort(t, sw, "tap:t0,name=first,netns="+ns.Path())
	awaitUp(t, sw, 1)
	_, err := sw.Add(t.Context(), "tap:t0,netns="+ns.Path())
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "port first (tap:t0") || strings.Contains(err.Error(), "process") {
		t.Errorf("the same device again: %v", err)
	}
}

// A larger MTU of the device's lets larger frames through at once.
func TestMTUFollowsTheDevice(t *testing.T) {
	sw := newSwitch(t)
	ns := linktest.NewNamespace(t)
	id := addPort(t, sw, "tap:t0,netns="+ns.Path())
	big := tapHost(t, sw, ",mtu=9000")
	awaitUp(t, sw, 2)
	s := ns.Device("t0", true)
	f := make([]byte, 10+5000)
	copy(f[10:], linktest.Sentinel())
	big.Send(f)
	waitFor(t, "a frame is too large", func() bool { return port(t, sw, id).Drops[vswitch.DropMTU] == 1 })
	change(ns, "t0", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetMTU(l, 9000) })
	waitFor(t, "the frame passes", func() bool {
		big.Send(f)
		_, ok := s.Poll()
		return ok
	})
}

// TCP from a device with a larger MTU is cut to what the receiver can take; what
// is not TCP is dropped.
func TestNothingExceedsTheMTU(t *testing.T) {
	for _, to := range hostKinds {
		t.Run(to.name, func(t *testing.T) {
			sw := newSwitch(t)
			a, b := tapHost(t, sw, ",mtu=9000"), to.open(t, sw, ",mtu=1000")
			awaitUp(t, sw, 2)
			j := newJudge(t)
			m := talk{size: 5000} // in segments of 1,400 bytes
			m.send(a)
			m.receive(t, b, false, j)
			u := talk{size: 5000, udp: true}
			u.send(a)
			id := sw.Ports()[1].Config.ID
			waitFor(t, "UDP is dropped", func() bool { return port(t, sw, id).Drops[vswitch.DropMTU] == 1 })
			m = talk{size: 500, udp: true}
			m.send(a)
			m.receive(t, b, false, j)
			j.verdict(t)
		})
	}
}

// Frames of several queues, read in different threads, arrive at one port, and a
// port that goes takes all queues with it.
func TestQueues(t *testing.T) {
	sw := newSwitch(t)
	ns := linktest.NewNamespace(t)
	id := addPort(t, sw, "tap:t0,queues=4,netns="+ns.Path())
	other := tapHost(t, sw, ",queues=2")
	awaitUp(t, sw, 2)
	s := ns.Device("t0", true)
	const flows = 200
	for i := range flows {
		f, l4 := (talk{udp: true, size: 100}).frame(0, make([]byte, 100))
		f[l4+1] = byte(i) // the source port
		s.Send(append(make([]byte, 10), f...))
	}
	seen := map[byte]bool{}
	for range flows {
		f := other.Recv()
		seen[f[10+35]] = true
	}
	if len(seen) != flows {
		t.Errorf("%d of %d flows arrived", len(seen), flows)
	}
	var used int
	for i := range 4 {
		if queueFrames(t, ns, i) > 0 {
			used++
		}
	}
	if used < 2 {
		t.Errorf("the kernel used %d queues", used)
	}
	for range 3 {
		change(ns, "t0", setDownLink)
		waitFor(t, "the port waits", func() bool { return port(t, sw, id).State == vswitch.StateWaiting })
		change(ns, "t0", setUpLink)
		waitFor(t, "the port is up", func() bool { return port(t, sw, id).State == vswitch.StateUp })
	}
	passes(t, host{ns.Device("t0", true), true}, other)
	if p := port(t, sw, id); p.Rx.Frames != flows+1 {
		t.Errorf("%d frames came in, want %d", p.Rx.Frames, flows+1)
	}
	if err := sw.Remove(fmt.Sprint(id)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the device is gone", func() bool { return find(t, ns, "t0") == nil })
}

// queueFrames asks whether a queue of t0 was used: its qdisc counts. A kernel
// without one says nothing, and then all are taken as used.
func queueFrames(t *testing.T, ns *linktest.Namespace, i int) (n uint64) {
	t.Helper()
	n = 1
	within(ns, func(h *netlink.Handle) error {
		l, err := h.LinkByName("t0")
		if err != nil {
			return err
		}
		list, err := h.QdiscList(l)
		for _, q := range list {
			if _, minor := netlink.MajorMinor(q.Attrs().Parent); int(minor) == i+1 && q.Attrs().Statistics != nil {
				n = uint64(q.Attrs().Statistics.Basic.Packets)
			}
		}
		return err
	})
	return n
}

// Hostile headers come in by a descriptor that somebody handed us: they are
// dropped and counted, and others are unharmed.
func TestBadHeaders(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	q := &queue{fds[0], 10, "t0"}
	defer q.Close()
	good, _ := (talk{size: 100}).frame(0, make([]byte, 100))
	for _, head := range [][]byte{
		make([]byte, 10),
		{1, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, // checksum behind the end
		{1, 1, 0, 0, 0, 0, 34, 0, 16, 0},     // segments of nothing
		{0, 0x55, 0, 0, 1, 0, 0, 0, 0, 0},    // unknown type
		{1, 1, 0xff, 0xff, 50, 0, 20, 0, 1, 0},
		make([]byte, 10),
	} {
		if _, err := unix.Write(fds[1], append(head, good...)); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = unix.Write(fds[1], make([]byte, 9)) // not even a header
	b := frame.Batch{Buf: make([]byte, 192<<10)}
	if err := q.ReadBatch(&b); err != nil || len(b.Refs) != 2 || b.Bad != 4 || b.Runts != 1 {
		t.Errorf("%d frames, %d bad, %d runts, %v", len(b.Refs), b.Bad, b.Runts, err)
	}
}
