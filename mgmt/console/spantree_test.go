package console

import (
	"strings"
	"testing"

	vswitch "vnetkit/switch"
)

// The menu switches the switch's own tree on and off, and shows it.
func TestSpanningTree(t *testing.T) {
	mac := testMAC
	l := newLab(t, vswitch.Options{STP: vswitch.STPConfig{MAC: mac}})
	l.c.tree = SpanningTree(l.sw)
	l.plug("")
	c := l.dial()
	c.want("fstp/showinfo", data("MAC 00:ff:01:02:03:04 Priority 32768 (0x8000)\nFSTP=false\n"))
	c.want("fstp/setfstp 1", data(""))
	c.want("fstp/showinfo", data("MAC 00:ff:01:02:03:04 Priority 32768 (0x8000)\nFSTP=true\n"))
	if mode := l.sw.SpanningTree().Config.Mode; mode != vswitch.STPFSTP {
		t.Errorf("the mode is %s", mode)
	}
	c.want("fstp/bonus 0 1 100", success)
	until(t, "the port is there", func() bool {
		got := c.do("fstp/print 0")
		return strings.Contains(got, "FST DATA VLAN 0000 ROOTSWITCH \n ++ root 80:00:00:ff:01:02:03:04\n") && strings.Contains(got, " bonusport 0001 bonuscost 100\n") &&
			strings.Contains(got, " -- Port 0001 tagged=0 portcost=") && strings.Contains(got, " role=Designated\n")
	})
	c.want("fstp/setedge 0 1 1", success)
	c.want("fstp/setedge 0 9 1", "1006 No such device or address\n")
	c.want("fstp/setfstp 0", data(""))
	if mode := l.sw.SpanningTree().Config.Mode; mode != vswitch.STPOff {
		t.Errorf("the mode is %s", mode)
	}
}
