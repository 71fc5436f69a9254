package main

import (
	"fmt"
	"os"
	"testing"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// trunksXML are two cards of libvirt's: a trunk without a native VLAN, and one
// whose native VLAN has its tag.
const trunksXML = `<devices>
  <interface type='network'><source network='%[1]s'/>
    <vlan trunk='yes'><tag id='10'/><tag id='20'/></vlan>
  </interface>
  <interface type='network'><source network='%[1]s'/>
    <vlan trunk='yes'><tag id='30' nativeMode='tagged'/><tag id='40'/></vlan>
  </interface>
</devices>`

// Guests see trunks as libvirt describes them: without a native VLAN nothing goes
// without a tag, either way; where it is tagged, its frames come with the tag, and
// those without one are of it.
func TestTrunks(t *testing.T) {
	b := newBench(t, nil)
	b.sw()
	file := b.home + "/trunks.xml"
	if err := os.WriteFile(file, fmt.Appendf(nil, trunksXML, b.home+"/sw"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.more = []string{"--xml", file}
	x := b.boot("vmx", "10.9.0.1/24")
	b.more = nil
	y := b.boot("vmy", "10.9.0.2/24", "switch,vlan=10", "switch,vlan=30", "switch,native=none,tagged=40")
	x.ready()
	y.ready()
	one := "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore" // each address is on its own card only
	tag := func(g *guest, card, vlan int, addr string) {
		name := fmt.Sprintf("eth%d.%d", card, vlan)
		g.sh(fmt.Sprintf("ip link set eth%[1]d up && ip link add link eth%[1]d name %[2]s type vlan id %[3]d && ip addr add %[4]s/24 dev %[2]s && ip link set %[2]s up", card, name, vlan, addr))
	}
	x.sh(one)
	y.sh(one)
	tag(x, 0, 10, "10.9.1.1")
	y.sh("ip addr add 10.9.1.2/24 dev eth0")
	tag(x, 1, 30, "10.9.2.1")
	y.address(1, "10.9.2.2")
	tag(x, 1, 40, "10.9.4.1")
	tag(y, 2, 40, "10.9.4.2")
	x.address(1, "10.9.3.1")
	y.sh("ip addr add 10.9.3.2/24 dev eth1")

	x.mustReach("10.9.1.2", "10.9.2.2", "10.9.4.2")
	x.mustNotReach("10.9.0.2", "10.9.3.2") // dropped; and answered with a tag, on another card than it was asked
	y.mustNotReach("10.9.0.1")
	if err := b.ask(func(c *client.Client) error {
		want := map[string]string{"vmx.0": "1 none 10+20", "vmx.1": "30 tagged 40", "vmy.0": "10 untagged none", "vmy.1": "30 untagged none", "vmy.2": "1 none 40"}
		ports, err := c.Ports(t.Context())
		for _, p := range ports {
			if got := fmt.Sprint(p.PVID, " ", p.Native, " ", p.Tagged); got != want[p.Name] {
				t.Errorf("port %s: %s, want %s", p.Name, got, want[p.Name])
			}
			if p.Name == "vmx.0" && p.Drops["untagged"] == 0 {
				t.Errorf("nothing without a tag was dropped: %v", p.Drops)
			}
			delete(want, p.Name)
		}
		if len(want) > 0 {
			t.Errorf("not there: %v", want)
		}
		if err != nil {
			return err
		}
		return checkIP(t, c, "10.9.3.1", 30)
	}); err != nil {
		t.Fatal(err)
	}
}

// checkIP wants a station to have said in a VLAN that an address is its own.
func checkIP(t *testing.T, c *client.Client, addr string, vlan int) error {
	t.Helper()
	list, err := c.IPs(t.Context(), client.FDBFilter{})
	var found []api.IPEntry
	for _, e := range list {
		if e.IP == addr {
			found = append(found, e)
		}
	}
	if err == nil && (len(found) != 1 || found[0].VLAN != vlan) {
		t.Errorf("%s is known as %+v, want it in VLAN %d", addr, found, vlan)
	}
	return err
}
