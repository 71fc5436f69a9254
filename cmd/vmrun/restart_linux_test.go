package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// The switch is killed and started again: the ping of one guest to another goes
// on, with a QEMU that cannot reconnect, and nobody touches a guest or vmrun.
func TestSwitchRestarts(t *testing.T) {
	b := newBench(t, nil)
	b.sw()
	x, y := b.boot("vmx", "10.9.0.1/24", "switch"), b.boot("vmy", "10.9.0.2/24", "switch")
	x.ready()
	y.ready()
	x.mustReach("10.9.0.2")
	x.sh("(ping -i 0.2 10.9.0.2 >/tmp/long 2>&1 &)")
	answers := func() (n int) {
		_, err := fmt.Sscan(x.sh("grep -c seq= /tmp/long || true"), &n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	b.await("the long ping is answered", func() bool { return answers() > 2 })
	if names := b.portNames(); names != "vmx.0 vmy.0" {
		t.Errorf("ports: %q", names)
	}
	for range 2 {
		b.killSwitch()
		b.sw()
		before := answers()
		b.await("the long ping goes on", func() bool { return answers() > before+2 })
	}
	x.mustReach("10.9.0.2")
	y.mustReach("10.9.0.1")
	if names := b.portNames(); names != "vmx.0 vmy.0" {
		t.Errorf("ports after the switch's restart: %q", names)
	}

	// A VM whose keeper is killed gets another one when somebody looks, and with it
	// its port from the next switch.
	_ = syscall.Kill(y.v.Keeper.PID, syscall.SIGKILL)
	b.await("the keeper is dead", func() bool { return began(y.v.Keeper.PID) == "" })
	b.killSwitch()
	if out := b.must("list"); strings.Count(out, "running") != 2 {
		t.Errorf("without its keeper: %s", out)
	}
	if pid := b.vm("vmy").Keeper.PID; pid == y.v.Keeper.PID || began(pid) == "" {
		t.Fatalf("vmy has no other keeper: %d", pid)
	}
	b.sw()
	before := answers()
	b.await("the long ping goes on", func() bool { return answers() > before+2 })

	// Without any, it takes its port with it when somebody looks.
	last := b.vm("vmy").Keeper.PID
	_ = syscall.Kill(last, syscall.SIGKILL)
	b.await("the other keeper is dead", func() bool { return began(last) == "" })
	b.must("kill", "vmy")
	b.must("kill", "vmx")
	if names := b.portNames(); names != "" {
		t.Errorf("ports after the VMs' end: %q", names)
	}
}

// killSwitch ends the bench's switch without a word.
func (b *bench) killSwitch() {
	b.t.Helper()
	var pid int
	text, err := os.ReadFile(filepath.Join(b.home, "sw/pid"))
	if err == nil {
		_, err = fmt.Sscan(string(text), &pid)
	}
	if err != nil || pid < 2 {
		b.t.Fatalf("the switch's pid: %v: %q", err, text)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer unix.Close(fd)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	b.await("the switch is dead", func() bool { // all threads of it, which hold its lock
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		return n == 1
	})
}

// portNames lists the ports of the bench's switch that are there, sorted: each
// keeper adds its own when it gets to it.
func (b *bench) portNames() string {
	b.t.Helper()
	c, err := client.Dial(b.home + "/sw")
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	ports, err := c.Ports(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, p := range ports {
		if p.State != api.StateUp {
			b.t.Errorf("port %s is %s: %s", p.Name, p.State, p.Reason)
		}
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
