package console

import (
	"fmt"
	"strings"
	"testing"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// station is a plugged-in station's frames.
func ether(dst, src byte, tag int) []byte {
	f := []byte{2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src}
	if dst == 0xff {
		copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}
	if tag >= 0 {
		f = append(f, 0x81, 0, byte(tag>>8), byte(tag))
	}
	return append(append(f, 0x88, 0xb5), make([]byte, 60)...)
}

// Until somebody creates a VLAN tags pass; from then on they need a membership,
// also at ports that come later.
func TestTagsNeedMembershipOnceThereAreVLANs(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	if _, err := l.sw.Add(t.Context(), "pipe:door"); err != nil {
		t.Fatal(err)
	}
	a, b := l.plugInto("door", 0), l.plugInto("door", 0)
	a.Send(ether(0xff, 1, 10))
	b.Expect(ether(0xff, 1, 10))
	c := l.dial()
	c.want("vlan/create 10", success)
	d := l.plugInto("door", 0)
	for _, s := range []interface{ Send([]byte) }{a, d} {
		s.Send(ether(0xff, 3, 10)) // nobody's
	}
	until(t, "it came in", func() bool { p, err := l.sw.Port("3"); return err == nil && p.Rx.Frames == 1 })
	a.Send(ether(0xff, 1, -1))
	b.Expect(ether(0xff, 1, -1)) // first of what arrives
	d.Expect(ether(0xff, 1, -1))
	c.want("vlan/addport 10 1", success)
	c.want("port/setvlan 3 10", success)
	a.Send(ether(0xff, 1, 10)) // a trunk's frame to an access port
	d.Expect(ether(0xff, 1, -1))
	d.Send(ether(1, 3, -1))
	a.Expect(ether(1, 3, 10))
	c.want("vlan/print 10", data("VLAN 0010\n -- Port 0001 tagged=1 active=1 status=Forwarding\n -- Port 0003 tagged=0 active=1 status=Forwarding\n"))
	c.want("vlan/print 0", data("VLAN 0000\n -- Port 0001 tagged=0 active=1 status=Forwarding\n -- Port 0002 tagged=0 active=1 status=Forwarding\n"))
	c.want("vlan/remove 10", "1098 Address already in use\n")
	c.want("vlan/delport 10 3", "1098 Address already in use\n")
	c.want("port/setvlan 3 0", success)
	c.want("vlan/delport 10 1", success)
	c.want("vlan/remove 10", success)
	d.Send(ether(0xff, 3, -1))
	a.Expect(ether(0xff, 3, -1))
	b.Expect(ether(0xff, 3, -1))
}

// VLAN 1 can be created: VLAN 0 then has another number inside, and nobody
// notices.
func TestVLANOneIsNotVLANZero(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	if _, err := l.sw.Add(t.Context(), "pipe:door"); err != nil {
		t.Fatal(err)
	}
	a, b := l.plugInto("door", 0), l.plugInto("door", 0)
	c := l.dial()
	c.want("vlan/create 1", success)
	late, trunk := l.plugInto("door", 0), l.plugInto("door", 0)
	c.want("port/setvlan 2 1", success)
	c.want("vlan/addport 1 4", success)
	a.Send(ether(0xff, 1, -1)) // VLAN 0
	late.Expect(ether(0xff, 1, -1))
	trunk.Expect(ether(0xff, 1, -1))
	b.Send(ether(0xff, 2, -1)) // VLAN 1
	trunk.Expect(ether(0xff, 2, 1))
	a.Send(ether(0xff, 1, -1)) // not b's
	late.Expect(ether(0xff, 1, -1))
	trunk.Expect(ether(0xff, 1, -1))
	trunk.Send(ether(0xff, 4, 1))
	b.Expect(ether(0xff, 4, -1)) // the first that it hears
	got := c.do("port/print")
	for port, vlan := range map[int]int{1: 0, 2: 1, 3: 0, 4: 0} {
		if !strings.Contains(got, fmt.Sprintf("Port %04d untagged_vlan=%04d ACTIVE", port, vlan)) {
			t.Errorf("port %d is not in VLAN %d:\n%s", port, vlan, got)
		}
	}
	if got := c.do("hash/print"); !strings.Contains(got, "02:00:00:00:00:01 VLAN 0000 to port: 001") || !strings.Contains(got, "02:00:00:00:00:02 VLAN 0001 to port: 002") {
		t.Errorf("addresses: %s", got)
	}
	c.want("hash/find 02:00:00:00:00:01 0", data("Hash: 0000 Addr: 02:00:00:00:00:01 VLAN 0000 to port: 001  age 0 secs\n"))
}

// Ports without an untagged VLAN have nothing to do with each other.
func TestNoUntaggedVLAN(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	a, b, other := l.plug(""), l.plug(""), l.plug("")
	c := l.dial()
	c.want("vlan/create 4094", success) // where the search begins
	c.want("port/setvlan 1 4095", success)
	c.want("port/setvlan 2 4095", success)
	c.want("vlan/addport 4094 1", success)
	c.want("vlan/addport 4094 3", success)
	a.Send(ether(0xff, 1, -1))
	a.Send(ether(0xff, 1, 4094))
	other.Expect(ether(0xff, 1, 4094))
	other.Send(ether(0xff, 3, 4094))
	a.Expect(ether(0xff, 3, 4094))
	for port := 1; port <= 2; port++ {
		if got := c.do(fmt.Sprint("port/print ", port)); !strings.Contains(got, "untagged_vlan=4095") {
			t.Errorf("port %d: %s", port, got)
		}
	}
	c.want("vlan/create 4093", success)
	if got := c.do("port/print 2"); !strings.Contains(got, "untagged_vlan=4095") {
		t.Errorf("after all: %s", got)
	}
	c.want("vlan/print 4093", data("VLAN 4093\n"))
	c.want("port/setvlan 2 0", success)
	other.Send(ether(0xff, 3, -1))
	b.Expect(ether(0xff, 3, -1)) // the first that it hears
	if err := l.sw.Remove("1"); err != nil {
		t.Fatal(err)
	}
	c.want("port/create 1", success)
	if got := c.do("port/allprint 1"); !strings.Contains(got, "untagged_vlan=0000") {
		t.Errorf("a new port 1 is as the old one was: %s", got)
	}
}

// What was set elsewhere is shown in the original's words, and taken back by them.
func TestNativeSetElsewhere(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	a, trunk, own := l.plug("vlan=10"), l.plug("native=none,tagged=10+20"), l.plug("vlan=10,native=tagged,tagged=30")
	c := l.dial()
	if got := c.do("port/print 2"); !strings.HasPrefix(got, "0000 DATA END WITH '.'\nPort 0002 untagged_vlan=4095 ACTIVE - NOT Unnamed Allocatable\n") {
		t.Errorf("port 2: %q", got)
	}
	if got := c.do("port/print 3"); !strings.Contains(got, "Port 0003 untagged_vlan=0010 ACTIVE") {
		t.Errorf("port 3: %q", got)
	}
	c.want("vlan/print", data("VLAN 0000\nVLAN 0010\n"+
		" -- Port 0001 tagged=0 active=1 status=Forwarding\n -- Port 0002 tagged=1 active=1 status=Forwarding\n -- Port 0003 tagged=1 active=1 status=Forwarding\n"+
		"VLAN 0020\n -- Port 0002 tagged=1 active=1 status=Forwarding\nVLAN 0030\n -- Port 0003 tagged=1 active=1 status=Forwarding\n"))
	c.want("vlan/create 1", success) // which moves VLAN 0, where neither is
	c.want("vlan/delport 20 2", success)
	c.want("port/setvlan 3 10", success)
	a.Send(ether(0xff, 1, -1))
	trunk.Expect(ether(0xff, 1, 10))
	own.Expect(ether(0xff, 1, -1))
	c.want("port/setvlan 2 10", success)
	trunk.Send(ether(0xff, 2, -1))
	a.Expect(ether(0xff, 2, -1))
	p, err := l.sw.Port("2")
	if err != nil || p.Config.Native != vswitch.NativeUntagged || p.Config.PVID != 10 || !p.Config.Tagged.Empty() {
		t.Errorf("port 2 is %+v, %v", p.Config, err)
	}
}

// All VLANs can exist but for the one that VLAN 0 needs.
func TestAllVLANs(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	l.plug("")
	c := l.dial()
	for v := 1; v < maxVLAN; v++ {
		if got := c.do(fmt.Sprint("vlan/create ", v)); got != success {
			t.Fatalf("VLAN %d: %s", v, got)
		}
	}
	c.want("vlan/create 4094", "1028 No space left on device\n")
	if p, err := l.sw.Port("1"); err != nil || p.Config.PVID != frame.MaxVID {
		t.Errorf("port 1 is in VLAN %d, %v", p.Config.PVID, err)
	}
	if got := c.do("vlan/print"); strings.Count(got, "\nVLAN ") != 4094 {
		t.Errorf("%d VLANs", strings.Count(got, "\nVLAN "))
	}
}

// What was set by other means is seen here.
func TestVLANsOfTheSwitch(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	l.plug("vlan=20,tagged=30+40")
	l.plug("transparent=on,vlan=50")
	l.plug("")
	c := l.dial()
	c.want("vlan/print", data(`VLAN 0000
 -- Port 0003 tagged=0 active=1 status=Forwarding
VLAN 0020
 -- Port 0001 tagged=0 active=1 status=Forwarding
 -- Port 0003 tagged=1 active=1 status=Forwarding
VLAN 0030
 -- Port 0001 tagged=1 active=1 status=Forwarding
 -- Port 0003 tagged=1 active=1 status=Forwarding
VLAN 0040
 -- Port 0001 tagged=1 active=1 status=Forwarding
 -- Port 0003 tagged=1 active=1 status=Forwarding
VLAN 0050
 -- Port 0002 tagged=0 active=1 status=Forwarding
 -- Port 0003 tagged=1 active=1 status=Forwarding
`))
	c.want("vlan/create 30", "1017 File exists\n")
	c.want("vlan/create 99", success)
	c.want("vlan/print 30", data("VLAN 0030\n -- Port 0001 tagged=1 active=1 status=Forwarding\n"))
	p, err := l.sw.Port("2")
	if err != nil || !p.Config.Transparent {
		t.Errorf("port 2 was changed: %+v, %v", p.Config, err)
	}
}
