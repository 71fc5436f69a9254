package console

import (
	"fmt"
	"os"
	"strings"
	"testing"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// Ports show who is plugged in and the counters that the API has, with drops.
func TestPortPrint(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	a, b := l.plug("name=web"), l.plug("mtu=100")
	c := l.dial()
	a.Send(ether(0xff, 1, -1))
	b.Expect(ether(0xff, 1, -1))
	a.Send(append(ether(0xff, 1, -1), make([]byte, 500)...)) // too long for b
	a.Send(make([]byte, 5))                                  // a runt
	me := nameOf(os.Getuid())
	info, err := l.sw.Port("1")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Port 0001 untagged_vlan=0000 ACTIVE - NOT Unnamed Allocatable\n Current User: %s Access Control: (User: NONE - Group: NONE)\n"+
		" IN:  pkts          3          bytes                  648\n OUT: pkts          0          bytes                    0\n"+
		" DROP: pkts         1          (runt 1)\n"+
		"  -- endpoint ID %04d module pipe        : web user=%s pid=%d\n", me, info.Endpoints[0].ID, me, os.Getpid())
	until(t, "all is counted", func() bool {
		return c.do("port/print 1") == data(want) || strings.Contains(c.do("port/print 1"), "pkts         1 ")
	})
	c.want("port/print 1", data(want))
	if got := c.do("port/print 2"); !strings.Contains(got, "\n DROP: pkts         1          (mtu 1)\n") {
		t.Errorf("port 2: %s", got)
	}
	p, err := l.sw.Port("1")
	if err != nil || p.Rx != (vswitch.Count{Frames: 3, Bytes: 648}) {
		t.Errorf("the API has %+v, %v", p.Rx, err)
	}
	c.want("port/resetcounter 1", success)
	if got := c.do("port/print 1"); !strings.Contains(got, " IN:  pkts          0          bytes                    0\n") || strings.Contains(got, "DROP") {
		t.Errorf("after resetcounter: %s", got)
	}
	a.Send(ether(2, 1, -1))
	until(t, "one is counted", func() bool { return strings.Contains(c.do("port/print 1"), "IN:  pkts          1 ") })
	if p, _ := l.sw.Port("1"); p.Rx.Frames != 4 {
		t.Errorf("the API has %+v", p.Rx)
	}
	if err := l.sw.Remove("1"); err != nil { // and with it what was reset
		t.Fatal(err)
	}
	l.plug("id=1").Send(ether(2, 1, -1))
	until(t, "one is counted", func() bool { return strings.Contains(c.do("port/print 1"), "IN:  pkts          1 ") })
}

func TestPortCreateAndRemove(t *testing.T) {
	l := newLab(t, vswitch.Options{MaxPort: 5})
	l.plug("id=2")
	c := l.dial()
	c.want("port/createauto", data("Port 0001\n"))
	c.want("port/create 2", "1017 File exists\n")
	c.want("port/create 6", "1022 Invalid argument\n")
	c.want("port/create 5", success)
	c.want("port/setnumports 4", "1098 Address already in use\n")
	c.want("port/remove 2", "1098 Address already in use\n")
	c.want("port/remove 5", success)
	c.want("port/remove 5", "1006 No such device or address\n")
	c.want("port/setnumports 2", success)
	c.want("port/createauto", dataOf+".\n1028 No space left on device\n")
	c.want("port/showinfo", data("Numports=2\nHUB=false\ncounters=true\n"))
	c.want("port/sethub 1", success)
	if !l.sw.Info().Hub {
		t.Error("it is no hub")
	}
}

// The client at a port can be sent away if the port is its own.
func TestEndpointClose(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	if _, err := l.sw.Add(t.Context(), "pipe:door"); err != nil {
		t.Fatal(err)
	}
	s := l.plugInto("door", 0)
	c := l.dial()
	info, err := l.sw.Port("1")
	if err != nil {
		t.Fatal(err)
	}
	id := info.Endpoints[0].ID
	if got := c.do("port/print 1"); !strings.Contains(got, fmt.Sprintf("endpoint ID %04d module pipe ", id)) || !strings.Contains(got, "ACTIVE - Unnamed Allocatable") {
		t.Errorf("port 1: %s", got)
	}
	c.want(fmt.Sprint("port/epclose 1 ", id+1), "1006 No such device or address\n")
	c.want("port/epclose 3 1", "1006 No such device or address\n")
	c.want(fmt.Sprintf("port/epclose 1 %04d", id), success)
	s.ExpectEnd()
	until(t, "its port is gone", func() bool { return c.do("port/print") == data("") })
}

// Events come before the answer to what caused them, and by themselves otherwise.
func TestNews(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	if _, err := l.sw.Add(t.Context(), "pipe:door"); err != nil {
		t.Fatal(err)
	}
	c, other := l.dial(), l.dial()
	c.want("debug/add", success)
	c.want("port/create 9", "3021 port/+ 09\n"+success)
	me := nameOf(os.Getuid())
	s := l.plugInto("door", 0)
	info, err := l.sw.Port("1")
	if err != nil {
		t.Fatal(err)
	}
	id := info.Endpoints[0].ID
	c.expect(fmt.Sprintf("3021 port/+ 01\n3031 port/ep/+ Port 01 FD %2d\n3023 port/descr Port 01 FD %2d -> \"port1 user=%s pid=%d\"\n", id, id, me, os.Getpid()))
	s.Send(ether(0xff, 0xaa, -1))
	c.expect("3011 hash/+ 02:00:00:00:00:aa VLAN 00:00 Port 1\n")
	c.want("port/setvlan 1 4095", "3012 hash/- 02:00:00:00:00:aa VLAN 00:00 Port 1\n"+success)
	c.want("debug/del hash", success)
	c.want("debug/add hash/+", success)
	if got := c.do("debug/list hash"); !strings.Contains(got, "hash/+                 011 ON     hash: new element\nhash/-                 012 OFF    hash: discarded element\n") {
		t.Errorf("listed: %s", got)
	}
	s.Close()
	c.expect(fmt.Sprintf("3032 port/ep/- Port 01 FD %2d\n3022 port/- 01\n", id))
	c.want("debug/del", success)
	c.want("port/create 8", success)
	other.want("port/create 7", success) // heard nothing of it all
}

// expect reads until it has read this.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	for n := 0; n < len(want); {
		k, err := c.Read(got[n:])
		if n += k; err != nil {
			c.t.Fatalf("read %q: %v", got[:n], err)
		}
	}
	if string(got) != want {
		c.t.Errorf("read %q, want %q", got, want)
	}
}

// Descriptions are what clients say: they play no tricks.
func TestPrintable(t *testing.T) {
	if got := printable("a\nb\x1b[2J\tc\xffé"); got != "a?b?[2J c?é" {
		t.Errorf("printable is %q", got)
	}
}

// A hub has no tree and no VLANs.
func TestTreeThatIsNone(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	l.plug("")
	c := l.dial()
	c.want("fstp/setfstp 0", data(""))
	c.want("fstp/setfstp 1", dataOf+".\n1038 Function not implemented\n")
	if got := c.do("fstp/print"); !strings.Contains(got, "FST DATA VLAN 0000 ROOTSWITCH FSTP IS DISABLED\n ++ root 80:00:00:ff:01:02:03:04\n") ||
		!strings.Contains(got, " -- Port 0001 tagged=0 portcost=20000000 role=Designated\n") {
		t.Errorf("off, it is %s", got)
	}
}

// fakeTree is a Tree that blocks a port.
type fakeTree struct{ on bool }

func (f *fakeTree) On() bool                                { return f.on }
func (f *fakeTree) Set(on bool) error                       { f.on = on; return nil }
func (f *fakeTree) SetEdge(frame.VID, int, bool) error      { return nil }
func (f *fakeTree) SetBonus(_ frame.VID, _, cost int) error { return nil }
func (f *fakeTree) Branches() map[frame.VID]Branch          { return nil }
func (f *fakeTree) Branch(frame.VID) Branch {
	return Branch{Root: [8]byte{0, 1, 2, 3, 4, 5, 6, 7}, RootPort: 1, Cost: 20000, Ports: map[int]Twig{
		1: {20000, "Root", "Forwarding"}, 2: {20000, "Alternate/Backup", "Discarding"},
	}}
}

func TestTree(t *testing.T) {
	tree := &fakeTree{}
	l := newLab(t, vswitch.Options{}, func(o *Options) { o.Tree = tree })
	l.plug("")
	l.plug("")
	c := l.dial()
	c.want("fstp/setfstp 1", data(""))
	c.want("fstp/showinfo", data("MAC 00:ff:01:02:03:04 Priority 32768 (0x8000)\nFSTP=true\n"))
	c.want("fstp/print 0", data(`FST DATA VLAN 0000  
 ++ root 00:01:02:03:04:05:06:07
 ++ designated 00:00:00:00:00:00:00:00
 ++ rootport 0001 cost 20000 age 0 bonusport 0000 bonuscost 0
 -- Port 0001 tagged=0 portcost=20000 role=Root
 -- Port 0002 tagged=0 portcost=20000 role=Alternate/Backup
`))
	c.want("vlan/print", data("VLAN 0000\n -- Port 0001 tagged=0 active=1 status=Forwarding\n -- Port 0002 tagged=0 active=1 status=Discarding\n"))
	c.want("port/sethub 1", success)
	c.want("fstp/showinfo", data("MAC 00:ff:01:02:03:04 Priority 32768 (0x8000)\nFSTP=false\n"))
	c.want("fstp/setfstp 1", data("Can't use fstp in hub mode\n"))
}
