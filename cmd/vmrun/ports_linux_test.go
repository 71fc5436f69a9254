package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// ask asks the bench's switch something. One that is just being started may not
// answer.
func (b *bench) ask(do func(c *client.Client) error) error {
	c, err := client.Dial(b.home + "/sw")
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

const vma = "52:54:00:47:0b:05" // made from the name

// setPorts are the ports of TestPortSettings's guests by name, as far as they
// are there, each of which must be as it was asked for.
func (b *bench) setPorts() map[string]api.Port {
	b.t.Helper()
	found := map[string]api.Port{}
	_ = b.ask(func(c *client.Client) error {
		ports, err := c.Ports(b.t.Context())
		for _, p := range ports {
			vlan, tagged, impair, source := 1, "all", "none", "any"
			switch p.Name {
			case "vma.0":
				vlan, tagged, source = 10, "none", vma
			case "vma.2", "vmb.0":
				vlan, tagged = 10, "none"
			case "vma.1":
				impair = "out-rate:2M"
			}
			if p.PVID != vlan || p.Tagged != tagged || p.Isolated != strings.HasSuffix(p.Name, ".1") || p.Impair != impair || p.AllowMAC != source {
				b.t.Errorf("%+v", p)
			}
			found[p.Name] = p
		}
		return err
	})
	return found
}

// mustNotReach wants all pings of these addresses to be lost.
func (g *guest) mustNotReach(addrs ...string) {
	g.b.t.Helper()
	out := g.sh("for a in " + strings.Join(addrs, " ") + "; do ping -c 2 -i 0.1 -W 1 $a & done; wait; true")
	if n := strings.Count(out, "2 packets transmitted, 0 packets received"); n != len(addrs) {
		g.b.t.Errorf("%s reaches some of %v:\n%s", g.v.Name, addrs, out)
	}
}

// What is asked of a card's port holds, is bounded, and holds again in the next
// life of the switch, whose ports are never seen without it.
func TestPortSettings(t *testing.T) {
	b := newBench(t, nil)
	b.sw()
	// Of each guest eth0 is in VLAN 10 and eth1 isolated; vmb's eth2 is neither.
	x := b.boot("vma", "10.9.0.1/24", "switch,vlan=10,allowmac=own", "switch,isolated=on,impair=out-rate:2M", "switch,door=vhost,vlan=10")
	y := b.boot("vmb", "10.9.0.2/24", "switch,vlan=10", "switch,isolated=on", "switch")
	t.Cleanup(func() {
		if t.Failed() {
			for _, v := range []*vm{x.v, y.v} {
				text, _ := os.ReadFile(v.path("log"))
				t.Logf("log of %s:\n%s", v.Name, text)
			}
			for name, p := range b.setPorts() {
				t.Logf("%s is %s: %s", name, p.State, p.Reason)
			}
		}
	})
	x.ready()
	y.ready()
	add := func(cards ...string) (command string) {
		for _, c := range cards {
			card, addr, _ := strings.Cut(c, " ")
			command += "ip addr add " + addr + "/24 dev " + card + " && ip link set " + card + " up && "
		}
		return command + "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore" // each address is on its own card only
	}
	x.sh(add("eth1 10.9.1.1", "eth1 10.9.2.1", "eth0 10.9.3.1", "eth0 10.9.4.1", "eth2 10.9.5.1", "eth2 10.9.6.1"))
	y.sh(add("eth1 10.9.1.2", "eth2 10.9.2.2", "eth2 10.9.4.2", "eth2 10.9.6.2"))
	y.sh("ip link add link eth2 name eth2.10 type vlan id 10 && " + add("eth2.10 10.9.3.2", "eth2.10 10.9.5.2"))
	check := func() {
		t.Helper()
		x.mustReach("10.9.0.2", "10.9.3.2", "10.9.5.2", "10.9.2.2") // VLAN 10, also by vhost, and one that is not isolated
		x.mustNotReach("10.9.1.2", "10.9.4.2", "10.9.6.2")          // one that is, and one in VLAN 1
		y.mustNotReach("10.9.1.1", "10.9.4.1")
	}
	check()
	if n := len(b.setPorts()); n != 6 {
		t.Errorf("%d ports", n)
	}

	// More than the port lets through does not get through.
	x.sh("iperf3 -s -D")
	y.sh("until iperf3 -c 10.9.2.1 -u -b 16M -l 1200 -t 1; do sleep 0.2; done") // the server may not listen yet
	b.await("frames beyond the rate are dropped", func() bool { return b.setPorts()["vma.1"].Drops["impair-full"] > 100 })

	// Another address than its own gets the guest nowhere.
	x.sh("ip link set eth0 address 52:54:00:99:99:99")
	x.mustNotReach("10.9.0.2")
	if p := b.setPorts()["vma.0"]; p.Drops["spoofed"] == 0 {
		t.Errorf("%+v", p)
	}
	x.sh("ip link set eth0 address " + vma)

	// A keeper that takes over knows the settings, too.
	_ = syscall.Kill(y.v.Keeper.PID, syscall.SIGKILL)
	b.await("another keeper has taken over", func() bool { // who looks while the killed one's threads still have the lock starts none
		pid := b.vm("vmb").Keeper.PID
		return pid != y.v.Keeper.PID && began(pid) != ""
	})
	b.killSwitch()
	b.sw()
	b.await("all are plugged in again", func() bool {
		up := 0
		for _, p := range b.setPorts() {
			if p.State == api.StateUp {
				up++
			}
		}
		return up == 6
	})
	check()
}

// A VM's ports are the VM's: the switch's configuration is saved without them, a
// reload leaves them alone, and a switch starts with that file when the VM is gone.
func TestConfigWithoutPorts(t *testing.T) {
	b := newBench(t, nil)
	file := b.home + "/sw.toml"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[[port]]\nspec = \"vde:,id=9,name=mine\"\n")
	b.sw("--config", file)
	v := b.start("one", "--net", "switch,door=vhost,vlan=10", "--net", "switch", "--", "-S")
	ports := func() (names []string) {
		t.Helper()
		if err := b.ask(func(c *client.Client) error {
			list, err := c.Ports(t.Context())
			for _, p := range list {
				names = append(names, p.Name)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		return names
	}
	all := []string{"mine", "one.0", "one.1"}
	if now := ports(); !slices.Equal(now, all) {
		t.Fatalf("ports %q", now)
	}
	if err := b.ask(func(c *client.Client) error {
		if r, err := c.Reload(t.Context()); err != nil || len(r.Changes) != 0 {
			t.Errorf("reload: %+v, %v", r, err)
		}
		running, err := c.Config(t.Context())
		write(running.TOML)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if now := ports(); !slices.Equal(now, all) {
		t.Errorf("ports after a reload: %q", now)
	}
	b.must("kill", "one")
	b.await("the keeper ends", func() bool { return began(v.Keeper.PID) == "" })
	b.must("rm", "one")
	b.killSwitch()
	b.sw("--config", file)
	if now := ports(); !slices.Equal(now, []string{"mine"}) {
		t.Errorf("ports of the next life: %q", now)
	}
}

// A port that dials the VM from before and is set otherwise, or not at all, makes
// way before QEMU listens; and where the settings cannot be had nothing is started.
func TestPortSettingsOrNothing(t *testing.T) {
	b := newBench(t, nil)
	b.sw("-n", "1") // has one port
	v := b.start("one", "--net", "switch,vlan=10,isolated=on", "--", "-S")
	b.must("kill", "one")
	b.await("the keeper ends", func() bool { return began(v.Keeper.PID) == "" })
	if err := b.ask(func(c *client.Client) error {
		_, err := c.AddPort(t.Context(), "stream:unix:"+v.Ports[0].Path+",connect=on,name=one.0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	v = b.start("one", "--net", "switch,vlan=10,isolated=on", "--", "-S")
	if err := b.ask(func(c *client.Client) error {
		ports, err := c.Ports(t.Context())
		if err != nil || len(ports) != 1 || ports[0].Name != "one.0" || ports[0].PVID != 10 || ports[0].Tagged != "none" || !ports[0].Isolated {
			t.Errorf("%v: %+v", err, ports)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	disk := b.disk + "2"
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := func(code int, says, card string) {
		t.Helper()
		out, got := b.try("--accel", "tcg", "-m", "32M", "--name", "two", "-s", b.home+"/sw", "--net", card, disk, "--", "-S")
		if got != code || !strings.Contains(out, says) {
			t.Errorf("%s: exit %d: %s", card, got, out)
		}
		for _, v := range b.vms() {
			if v.Name != "one" && (v.QEMU.PID != 0 || v.Keeper.PID != 0) {
				t.Errorf("%s: left %+v", card, v)
			}
		}
	}
	refused(2, "this door is everybody's", "switch,vlan=10,door=vde")
	refused(1, "all port numbers up to 1 are taken", "switch,vlan=10")
	last := v.Ports[0].Path
	b.must("kill", "one")
	b.await("the keeper ends", func() bool { return began(v.Keeper.PID) == "" })
	if other := b.start("one", "--net", "switch,vlan=11,isolated=on", "--", "-S").Ports[0].Path; other == last {
		t.Errorf("with other settings QEMU listens at %s, too", other)
	}
	b.must("kill", "one")
	if names := b.portNames(); names != "" {
		t.Errorf("ports after the VM's end: %q", names)
	}
	if os.Geteuid() != 0 {
		t.Log("not as root: whether another user's switch is refused cannot be seen")
		return
	}
	if err := os.Chown(b.home+"/sw", 65534, -1); err != nil {
		t.Fatal(err)
	}
	defer os.Chown(b.home+"/sw", 0, -1)
	refused(3, "another user's", "switch,vlan=10")
}
