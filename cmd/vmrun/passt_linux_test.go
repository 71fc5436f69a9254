package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vnetkit/switch/link/linktest"
)

// passtLab is a host as passt wants it: an address and a default route.
func passtLab(t *testing.T) *bench {
	if _, err := exec.LookPath("passt"); err != nil {
		t.Skip("passt is not installed: run scripts/deps test")
	}
	b := newBench(t, linktest.NewNamespace(t))
	b.sh(`ip link set lo up; ip link add vmrpa type veth peer vmrpb; ip link set vmrpa up; ip link set vmrpb up
		ip addr add 192.0.2.2/24 dev vmrpa; ip addr add 192.0.2.77/32 dev lo; ip route add default via 192.0.2.1 dev vmrpa`)
	return b
}

// asNobody has vmrun run as a user without any right.
func (b *bench) asNobody() {
	b.t.Helper()
	images := b.home + "/images"
	out, err := exec.Command("sh", "-ec", fmt.Sprintf("chmod 755 %s; mkdir %s; cp %s/* %s; chown -R 65534:65534 %s", b.bin, images, b.images(), images, b.home)).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	b.wrap = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}
	b.more = []string{"--kernel", images + "/vmlinuz", "--initrd", images + "/initrd"}
}

// passts lists the processes of this namespace that are passt.
func (b *bench) passts() (pids []string) {
	b.t.Helper()
	mine, _ := os.Readlink(b.ns.Path())
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		comm, _ := os.ReadFile(name)
		dir := filepath.Dir(name)
		if ns, _ := os.Readlink(dir + "/ns/net"); ns == mine && strings.HasPrefix(string(comm), "passt") {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

// server says the same to each who connects. Once must be enough for a client: passt
// of 2023 sometimes says again what it has said.
func (b *bench) server(addr, text string) {
	b.t.Helper()
	var door net.Listener
	b.ns.Do(func() (err error) {
		door, err = net.Listen("tcp", addr)
		return err
	})
	ended := make(chan struct{})
	b.t.Cleanup(func() { _ = door.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := door.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, text)
		}
	}()
}

// echoes tells whether what is sent to an address comes back.
func (b *bench) echoes(addr string) (ok bool) {
	b.t.Helper()
	const text = "hello\n"
	b.ns.Do(func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err // passt listens from its start
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // then again: the guest may not have listened yet
		_, _ = io.WriteString(conn, text)
		back := make([]byte, len(text))
		_, err = io.ReadFull(conn, back)
		ok = err == nil && string(back) == text
		return nil
	})
	return ok
}

// A guest behind passt has this host's address, reaches a server and is reached
// by a forwarded port, started by root and by a user without any right. passt
// goes with the VM, also when everybody who could have ended it is killed.
func TestPasst(t *testing.T) {
	for _, who := range []string{"root", "nobody"} {
		t.Run(who, func(t *testing.T) {
			b := passtLab(t)
			if who == "nobody" {
				b.asNobody()
			}
			b.server("192.0.2.77:5101", "hello from the host\n")
			g := b.boot("behind", "", "passt,tcp-ports=127.0.0.1/5100:77")
			g.ready()
			g.sh(`printf '#!/bin/sh\n[ "$1" != bound ] || { ip addr add $ip/$mask dev $interface; ip route add default via $router; }\n' >/tmp/dhcp; chmod 755 /tmp/dhcp
				ip link set eth0 up; udhcpc -n -q -t 20 -i eth0 -s /tmp/dhcp`)
			if out := g.sh("ip -o addr show dev eth0"); !strings.Contains(out, "192.0.2.2/24") {
				t.Errorf("the guest's address: %s", out)
			}
			g.sh("(nc 192.0.2.77 5101 >/tmp/said 2>&1 &)") // not a job of the shell, which waits for those
			b.await("the server's word reaches the guest", func() bool { return strings.HasPrefix(g.sh("head -c 100 /tmp/said"), "hello from the host\n") })
			g.sh("(nc -ll -p 77 -e cat >/dev/null 2>&1 &)")
			b.await("the forwarded port leads to the guest", func() bool { return b.echoes("127.0.0.1:5100") })
			if n := len(b.passts()); n != 1 {
				t.Fatalf("%d passts run", n)
			}
			if who == "root" { // passt alone dies: another takes its place
				old := g.v.Passts[0].PID
				_ = syscall.Kill(old, syscall.SIGKILL)
				b.await("another passt has taken its place", func() bool { pid := b.vm("behind").Passts[0].PID; return pid > 0 && pid != old })
				g.sh("ping -c 1 -W 1 192.0.2.1; true") // passt knows a guest from what it sends
				b.await("the forwarded port leads to the guest again", func() bool { return b.echoes("127.0.0.1:5100") })
				if n := len(b.passts()); n != 1 {
					t.Errorf("%d passts run", n)
				}
			}
			if who == "root" {
				b.must("kill", "behind") // its keeper clears up
			} else {
				_ = syscall.Kill(g.v.Keeper.PID, syscall.SIGKILL)
				b.await("the keeper is gone", func() bool { return began(g.v.Keeper.PID) == "" })
				_ = syscall.Kill(g.v.QEMU.PID, syscall.SIGKILL)
			}
			b.await("passt has ended", func() bool { return len(b.passts()) == 0 })
			b.await("the VM is stopped", func() bool { return strings.Contains(b.must("list"), "stopped") })
			b.must("rm", "behind")
		})
	}
}

// Why passt does not start is said, with a cure, and neither it nor QEMU stays.
func TestPasstFails(t *testing.T) {
	b := passtLab(t)
	b.ns.Do(func() error {
		busy, err := net.Listen("tcp", "127.0.0.1:5102")
		if err == nil {
			t.Cleanup(func() { _ = busy.Close() })
		}
		return err
	})
	fails := func(card, cause, cure string) {
		t.Helper()
		out, code := b.try("--accel", "tcg", "-m", "32M", "--name", "bad", "--net", card, b.disk)
		if code != 1 || !strings.Contains(out, cause) || !strings.Contains(out, cure) || strings.Contains(out, "syslog") {
			t.Errorf("%s: exit %d: %s", card, code, out)
		}
		for _, v := range b.vms() {
			if v.QEMU.PID != 0 || v.Keeper.PID != 0 || len(b.passts()) > 0 {
				t.Errorf("%s: left %+v", card, v)
			}
		}
	}
	fails("passt,tcp-ports=127.0.0.1/5102:22", "Failed to bind", "choose another")
	fails("passt,tcp-ports=ssh", "Invalid port specifier ssh", "127.0.0.1/2222:22")
	b.sh("ip route del default")
	fails("passt", "not usable", "interface=IF")
	b.start("good", "--net", "passt,interface=vmrpa,address=192.0.2.9,gateway=192.0.2.1")
	b.must("kill", "good")
	b.await("passt has ended", func() bool { return len(b.passts()) == 0 })
}
