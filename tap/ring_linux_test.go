package tap

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
	"vnetkit/switch/packet"
)

// ringHost is a host with a bridge br0, whose ports are rw0, the other end of which
// is on no bridge, and ry0, the other end of ry1; and another bridge.
func ringHost(t *testing.T) *linktest.Namespace {
	ns := linktest.NewNamespace(t)
	for _, name := range []string{"br0", "br1"} {
		add(ns, &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
		change(ns, name, setUpLink)
	}
	for _, name := range []string{"rw", "ry", "rz"} {
		add(ns, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name + "0"}, PeerName: name + "1"})
		change(ns, name+"0", setUpLink)
		change(ns, name+"1", setUpLink)
		if name != "rz" {
			change(ns, name+"0", inBridge("br0"))
		}
	}
	return ns
}

// in has a TAP made in the namespace; kind packet is where its thread is.
func in(ns *linktest.Namespace, spec string) string {
	if strings.HasPrefix(spec, "tap:") {
		spec += ",netns=" + ns.Path()
	}
	return spec
}

func inBridge(name string) func(h *netlink.Handle, l netlink.Link) error {
	return func(h *netlink.Handle, l netlink.Link) error {
		b, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		return h.LinkSetMaster(l, b)
	}
}

// Two ways into one bridge of the kernel are a ring. With a spanning tree they can
// be, unless a packet socket on one of the bridge's ports, or two on one interface,
// would keep it from hearing of the ring.
func TestTwoWaysIntoABridge(t *testing.T) {
	ns := ringHost(t)
	for _, c := range []struct {
		first, second string
		ring, deaf    bool
	}{
		{"packet:br0", "tap:rt0,master=br0", true, false},
		{"tap:rt0,master=br0", "tap:rt1,master=br0", true, false},
		{"tap:rt0,master=br0", "packet:ry1", true, false},
		{"packet:rz0", "packet:rz1", true, false},
		{"packet:rw0", "tap:rt0,master=br0", true, true},
		{"packet:rw0", "packet:br0", true, true},
		{"packet:rz0", "packet:rz0,ring=off", true, true},
		{"packet:rz0,vlan=10", "packet:rz0,ring=off,vlan=11", true, true},
		{"tap:rt0,master=br0", "tap:rt1,master=br1", false, false},
		{"tap:rt0", "tap:rt1", false, false},
		{"packet:rz0", "tap:rt1,master=br0", false, false},
		{"packet:rw1", "packet:rz0", false, false},
		// No frame goes from one to the other here.
		{"tap:rt0,master=br0,vlan=10", "tap:rt1,master=br0,vlan=11", false, false},
		{"tap:rt0,master=br0,isolated=on", "tap:rt1,master=br0,isolated=on", false, false},
		{"packet:rw0,vlan=10", "tap:rt0,master=br0,vlan=11", false, false},
		{"tap:rt0,master=br0,vlan=10", "tap:rt1,master=br0,vlan=11,tagged=10", true, false},
		{"tap:rt0,master=br0,vlan=10", "tap:rt1,master=br0,vlan=10,native=none,tagged=11", false, false},
	} {
		for _, mode := range []vswitch.STPMode{vswitch.STPOff, vswitch.STPRapid} {
			t.Run(fmt.Sprintf("%s %s %s", mode, c.first, c.second), func(t *testing.T) {
				sw, err := vswitch.New(vswitch.Options{Kinds: []link.Kind{Kind(), packet.Kind()}, STP: vswitch.STPConfig{Mode: mode}, Workers: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer sw.Close()
				ns.Do(func() error {
					if _, err := sw.Add(t.Context(), in(ns, c.first)); err != nil {
						t.Error(err)
					}
					_, err := sw.Add(t.Context(), in(ns, c.second))
					refused := c.deaf || c.ring && mode == vswitch.STPOff
					if errors.Is(err, vswitch.ErrLoop) != refused || !refused && err != nil {
						t.Errorf("second: %v", err)
					}
					if refused && err != nil && (len(sw.Ports()) != 1 || !strings.Contains(err.Error(), c.first) || !strings.Contains(err.Error(), c.second) || c.deaf == strings.Contains(err.Error(), "--stp rstp")) {
						t.Errorf("%d ports, error %v", len(sw.Ports()), err)
					}
					return nil
				})
			})
		}
	}
}

// What counts is where the interfaces are now, and rings that others have made are
// no reason to refuse a port that has no part in them.
func TestTwoWaysIntoABridgeLater(t *testing.T) {
	ns := ringHost(t)
	sw, err := vswitch.New(vswitch.Options{Kinds: []link.Kind{Kind(), packet.Kind()}, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer sw.Close()
	try := func(spec string) (err error) {
		ns.Do(func() error {
			_, err = sw.Add(t.Context(), in(ns, spec))
			return nil
		})
		return err
	}
	if err := errors.Join(try("tap:rt0,master=br0,name=t"), try("packet:rz0")); err != nil {
		t.Fatal(err)
	}
	change(ns, "rz1", inBridge("br0"))
	if err := errors.Join(try("tap:rt9"), sw.Remove("t")); err != nil {
		t.Error(err)
	}
	// News of interfaces may take a while.
	comes := func(what string, ok func(error) bool) {
		t.Helper()
		for end := time.Now().Add(linktest.Patience); ; time.Sleep(10 * time.Millisecond) {
			err := try("packet:br0,name=x")
			if err == nil {
				if err := sw.Remove("x"); err != nil {
					t.Fatal(err)
				}
			}
			if ok(err) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	comes("rz0 leads to br0", func(err error) bool { return errors.Is(err, vswitch.ErrLoop) })
	change(ns, "rz1", inBridge("br1"))
	comes("rz0 leads to br1", func(err error) bool { return err == nil })
}
