package vswitch

import "testing"

func TestPortConfigText(t *testing.T) {
	for _, text := range []string{
		"", "vlan=10", "tagged=none", "vlan=10,tagged=20+30-39", "native=none,tagged=10", "vlan=10,native=tagged", "transparent=on,isolated=on,down=on", "mtu=1400,maclimit=5,allowmac=52:54:00:00:00:01+52:54:00:00:00:02", "mirror=vm1:in+all:both",
	} {
		c, err := ParsePortConfig(text)
		if err != nil || c.Text() != text {
			t.Errorf("%q is written as %q, %v", text, c.Text(), err)
		}
	}
}
