package main

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/client"
	"vnetkit/switch/link/linktest"
)

// sh runs a command in the bench's network namespace.
func (b *bench) sh(command string) {
	b.t.Helper()
	b.ns.Do(func() error {
		out, err := exec.Command("sh", "-ec", command).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", command, err, out)
		}
		return err
	})
}

// Guests by every mode that carries frames on one machine. The first card of each
// is on the one switch, by another way each, and these make a mesh; the others
// are cables between two guests, or lead to the host.
func TestTraffic(t *testing.T) {
	b := newBench(t, linktest.NewNamespace(t))
	b.sh(`ip link set lo up multicast on; ip route add 224.0.0.0/4 dev lo
		ip link add vmrbr0 type bridge; ip addr add 10.9.0.100/24 dev vmrbr0; ip link set vmrbr0 up
		ip link add vmrva type veth peer vmrvb; ip link set vmrva up; ip addr add 10.9.6.100/24 dev vmrvb; ip link set vmrvb up`)
	b.sw("--port", "stream:tcp:127.0.0.1:5001",
		"--port", "dgram:unix:"+b.home+"/d-sw,remote="+b.home+"/d-vm",
		"--port", "udp:127.0.0.1:5002,remote=127.0.0.1:5003",
		"--port", "tap:vmrsw0,master=vmrbr0",
		"--port", "vhost-user:"+b.home+"/vh,vlan=2", "--port", "tap:vmrsw1,vlan=2")
	b.sh("ip addr add 10.9.5.100/24 dev vmrsw1")

	const l2tp = "l2tpv3,src=127.0.0.1,dst=127.0.0.1,udp=on,cookie64=on,counter=on,"
	mesh := []struct {
		kind  string // of the switch's port
		cards []string
	}{
		{"stream", []string{"stream=unix:" + b.home + "/sw/stream", "user,ssh=off,hostfwd=tcp:127.0.0.1:5004-:77", "tap=vmrt1"}},
		{"stream", []string{"client=127.0.0.1:5001", "mcast=239.192.9.9:5005,localaddr=127.0.0.1", "stream=unix:" + b.home + "/cable,server=on"}},
		{"vde", []string{"vde=" + b.home + "/sw", "mcast=239.192.9.9:5005,localaddr=127.0.0.1", "stream=unix:" + b.home + "/cable"}},
		{"dgram", []string{"dgram=unix:" + b.home + "/d-vm,remote=unix:" + b.home + "/d-sw", l2tp + "srcport=5006,dstport=5007,txsession=1,rxsession=2,txcookie=3,rxcookie=4", "server=127.0.0.1:5008"}},
		{"udp", []string{"udp=127.0.0.1:5002,local=127.0.0.1:5003", l2tp + "srcport=5007,dstport=5006,txsession=2,rxsession=1,txcookie=4,rxcookie=3", "client=127.0.0.1:5008"}},
		{"tap", []string{"bridge=vmrbr0", "dgram=127.0.0.1:5009,remote=127.0.0.1:5010", "client=127.0.0.1:5008"}},
		{"vhost-user", []string{"switch,door=vhost", "dgram=127.0.0.1:5010,remote=127.0.0.1:5009", "vhost-user=" + b.home + "/vh"}},
		{"stream", []string{"switch", "direct=vmrva"}},
	}
	var guests []*guest
	var all []string
	for i, m := range mesh {
		v4, v6 := fmt.Sprintf("10.9.0.%d", i+1), fmt.Sprintf("fd09::%d", i+1)
		if strings.HasPrefix(m.cards[len(m.cards)-1], "direct") { // a macvtap's number stands in /sys, which is another namespace's
			b.wrap = []string{"unshare", "-m", "sh", "-ec", `mount -t sysfs sys /sys; exec "$@"`, "sh"}
		}
		guests, all = append(guests, b.boot(fmt.Sprintf("vm%d", i+1), v4+"/24,"+v6+"/64", m.cards...)), append(all, v4, v6)
	}
	b.wrap = nil
	lone := b.boot("vm9", "", "server=127.0.0.1:5011")
	for _, g := range append(guests, lone) {
		g.ready()
	}
	for i, g := range guests {
		others := append(append([]string{"10.9.0.100"}, all[:2*i]...), all[2*i+2:]...)
		g.mustReach(others...)
	}
	onOwnPorts(b, guests, func(i int) string { return mesh[i].kind })

	guests[0].address(1, "10.0.2.15")
	guests[0].mustReach("10.0.2.2")
	forwarded(b, guests[0], "127.0.0.1:5004")
	b.sh("ip addr add 10.9.1.100/24 dev vmrt1; ip link set vmrt1 up")
	guests[0].address(2, "10.9.1.1")
	guests[0].mustReach("10.9.1.100")
	guests[6].address(2, "10.9.5.1")
	guests[6].mustReach("10.9.5.100")
	// Before this host has talked to it: on a switch that is plugged into nothing,
	// and by IPv6 alone.
	if out, code := b.try("ip", "vm9"); code != 1 || !strings.Contains(out, "not available") {
		t.Errorf("ip of a guest that has no address: exit %d: %s", code, out)
	}
	lone.sh("ip link set eth0 up; ip addr add fd77::9/64 dev eth0; ping -c 1 -W 1 fd77::1 >/dev/null; true")
	if out := b.must("ip", "--wait", "30", "vm9"); out != "fd77::9\n" {
		t.Errorf("ip of a guest on a switch: %q", out)
	}
	lone.sh("ip addr add 10.77.0.9/24 dev eth0; arping -c 1 -w 1 -I eth0 10.77.0.1 >/dev/null; true")
	b.await("vmrun ip tells the IPv4 address", func() bool { return b.must("ip", "vm9") == "10.77.0.9\n" })
	_ = syscall.Kill(lone.v.Helpers[0].PID, syscall.SIGKILL)
	b.await("the guest is on its own switch again", func() bool {
		lone.sh("arping -c 1 -w 1 -I eth0 10.77.0.1 >/dev/null; true")
		out, _ := b.try("ip", "vm9")
		return out == "10.77.0.9\n" && b.vm("vm9").Helpers[0].PID != lone.v.Helpers[0].PID
	})

	guests[7].address(1, "10.9.6.1")
	guests[7].mustReach("10.9.6.100")
	for i, card := range []int{3: 2, 4: 2, 5: 2} { // a server and its two clients
		if card > 0 {
			guests[i].address(card, fmt.Sprintf("10.9.7.%d", i))
		}
	}
	guests[3].mustReach("10.9.7.4", "10.9.7.5")
	guests[4].mustReach("10.9.7.3", "10.9.7.5")
	for n, cable := range []struct{ a, aCard, b, bCard int }{{1, 1, 2, 1}, {1, 2, 2, 2}, {3, 1, 4, 1}, {5, 1, 6, 1}} {
		near, far := fmt.Sprintf("10.9.%d.1", 10+n), fmt.Sprintf("10.9.%d.2", 10+n)
		guests[cable.a].address(cable.aCard, near)
		guests[cable.b].address(cable.bCard, far)
		guests[cable.a].mustReach(far)
		guests[cable.b].mustReach(near)
	}

	b.must("kill", "vm8")
	b.must("kill", "vm4")
	if left, _ := filepath.Glob(guests[3].v.path("switch*")); len(left) > 0 {
		t.Errorf("the server's switch leaves %q", left)
	}
	b.ns.Do(func() error {
		if _, err := net.InterfaceByName("vmtap0"); err == nil {
			t.Error("the macvtap outlives its VM")
		}
		return nil
	})
	if out := b.must("ip", "--wait", "30s", "vm6"); out != "10.9.0.6\n" {
		t.Errorf("ip of a guest on a bridge: %q", out)
	}
}

// onOwnPorts wants the switch to know each guest's first card behind a port of
// its own, of the right kind.
func onOwnPorts(b *bench, guests []*guest, kind func(i int) string) {
	b.t.Helper()
	c, err := client.Dial(b.home + "/sw")
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	taken := map[int]string{}
	for i, g := range guests {
		entries, err := c.FDB(b.t.Context(), client.FDBFilter{MAC: g.v.MACs[0]})
		if err != nil || len(entries) != 1 {
			b.t.Fatalf("%s of %s: %v, %+v", g.v.MACs[0], g.v.Name, err, entries)
		}
		p, err := c.Port(b.t.Context(), entries[0].PortName)
		if err != nil || p.Kind != kind(i) || taken[p.ID] != "" {
			b.t.Errorf("%s is behind %s, a port of kind %s and of %q: %v; want kind %s", g.v.Name, p.Name, p.Kind, taken[p.ID], err, kind(i))
		}
		if p.Peer != nil && p.Peer.PID > 0 && p.Peer.PID != g.v.QEMU.PID && p.Kind != "tap" {
			b.t.Errorf("%s is behind %s, which is process %d's, not %d's", g.v.Name, p.Name, p.Peer.PID, g.v.QEMU.PID)
		}
		taken[p.ID] = g.v.Name
	}
}

// forwarded wants a connection to addr to reach port 77 of the guest.
func forwarded(b *bench, g *guest, addr string) {
	b.t.Helper()
	g.sh("(nc -ll -p 77 -e echo hello from $(hostname) >/dev/null 2>&1 &)") // not a job of the shell, which waits for those
	b.await("the forwarded port leads to the guest", func() (ok bool) {
		b.ns.Do(func() error {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return err // QEMU listens from its start
			}
			defer conn.Close()
			text, _ := io.ReadAll(conn) // reset while the guest does not listen yet
			ok = strings.HasPrefix(string(text), "hello from "+g.v.Name)
			return nil
		})
		return ok
	})
}
