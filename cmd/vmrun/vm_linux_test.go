package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/client"
	"vnetkit/switch/link/linktest"
)

// A VM's life: it is there, has a monitor and a console, is refused twice, ends
// and is forgotten. Its files go with it and its disk stays.
func TestLife(t *testing.T) {
	b := newBench(t, nil)
	v := b.start("one", "--net", "user,ssh=off", "--net", "none")
	if began(v.QEMU.PID) == "" || began(v.Keeper.PID) == "" {
		t.Fatalf("%+v", v)
	}
	if out, code := b.try("--accel", "tcg", "--net", "none", "--name", "one", b.disk); code != 1 || !strings.Contains(out, "of this name runs") {
		t.Errorf("a second one: exit %d: %s", code, out)
	}
	b.must("link", "one", "down")
	b.must("link", "one", "0", "up")
	if out, code := b.try("link", "one", "7", "up"); code != 1 || !strings.Contains(out, "no card 7") {
		t.Errorf("exit %d: %s", code, out)
	}
	if out := b.must("ip", "one"); out != "127.0.0.1\n" {
		t.Errorf("ip: %q", out)
	}
	if out := b.must("__complete", "stop", ""); !strings.HasPrefix(out, "one\n") {
		t.Errorf("completion of stop: %q", out)
	}
	b.consoleIsEnded("one")
	if conn, err := net.Dial("unix", v.path("console")); err != nil {
		t.Errorf("console: %v", err)
	} else {
		b.othersAreThere(v)
		_ = conn.Close()
	}
	if out, code := b.try("ssh", "one", "true"); code != 1 || !strings.Contains(out, "no port of this host") {
		t.Errorf("ssh to this host: exit %d: %s", code, out)
	}
	if out := b.must("net", "one"); !strings.Contains(out, "card 1   -                  none\n") {
		t.Errorf("what is no card has an address: %s", out)
	}
	b.wrap = []string{"sh", "-c", `exec "$0" "$@" >/dev/full`}
	for _, verb := range [][]string{{"list"}, {"info", "one"}, {"net", "one"}, {"list", "--json"}} {
		if out, code := b.try(verb...); code != 1 || !strings.Contains(out, "no space left") {
			t.Errorf("%v where nothing can be printed: exit %d: %s", verb, code, out)
		}
	}
	b.wrap = nil
	if out, code := b.try("rm", "one"); code != 1 || !strings.Contains(out, "runs") {
		t.Errorf("exit %d: %s", code, out)
	}
	b.must("kill", "one")
	b.must("kill", "one")
	b.must("stop", "one")
	if out, code := b.try("ip", "one"); code != 1 || !strings.Contains(out, "does not run") {
		t.Errorf("exit %d: %s", code, out)
	}
	b.await("the keeper ends", func() bool { return began(v.Keeper.PID) == "" })
	b.must("rm", "one")
	if left := b.vms(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if _, err := os.Stat(v.dir); err == nil {
		t.Error("the directory is left")
	}
	if _, err := os.Stat(b.disk); err != nil {
		t.Errorf("the disk: %v", err)
	}
	if out, code := b.try("info", "one"); code != 1 || !strings.Contains(out, "no VM one") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// othersAreThere connects to the monitor of a VM whose console somebody has, and
// wants both to be told.
func (b *bench) othersAreThere(v *vm) {
	b.t.Helper()
	cmd := exec.Command(filepath.Join(b.bin, "vmrun"), "console", v.Name)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+b.home)
	said, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	text := make([]byte, 200)
	n, _ := said.Read(text)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !strings.Contains(string(text[:n]), "another program is at the console of one") {
		b.t.Errorf("a second console: %q", text[:n])
	}
	monitor, err := net.Dial("unix", v.path("qmp"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer monitor.Close()
	if _, err := monitor.Read(text); err != nil {
		b.t.Fatal(err)
	}
	if out, code := b.try("link", "one", "down"); code != 1 || !strings.Contains(out, "another program is connected to it") {
		b.t.Errorf("the monitor is another's: exit %d: %s", code, out)
	}
}

// The keeper is killed, then QEMU: who looks next finds a VM that has ended, and
// what was due is done, once. A downscript is run though QEMU was killed.
func TestKeeperKilled(t *testing.T) {
	ns := linktest.NewNamespace(t)
	b := newBench(t, ns)
	said := filepath.Join(b.home, "said")
	for _, name := range []string{"up", "down"} {
		text := fmt.Sprintf("#!/bin/sh\necho %s $1 >>%s\n", name, said)
		if err := os.WriteFile(filepath.Join(b.home, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	card := "ethernet=vmrt0,script=" + b.home + "/up,downscript=" + b.home + "/down"
	for _, killKeeper := range []bool{false, true} {
		if err := os.WriteFile(said, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		v := b.start("two", "--net", card)
		if killKeeper {
			_ = syscall.Kill(v.Keeper.PID, syscall.SIGKILL)
			b.await("the keeper is gone", func() bool { return began(v.Keeper.PID) == "" })
			if s := b.must("list"); !strings.Contains(s, "running") {
				t.Errorf("without its keeper: %s", s)
			}
		}
		_ = syscall.Kill(v.QEMU.PID, syscall.SIGKILL)
		b.await("QEMU is gone", func() bool { return began(v.QEMU.PID) == "" })
		b.await("it is stopped", func() bool { return strings.Contains(b.must("list"), "stopped") })
		b.must("list")
		b.await("the downscript has run", func() bool {
			text, _ := os.ReadFile(said)
			return string(text) == "up vmrt0\ndown vmrt0\n"
		})
		b.await("the TAP is gone", func() (gone bool) {
			ns.Do(func() error {
				_, err := net.InterfaceByName("vmrt0")
				gone = err != nil
				return nil
			})
			return gone
		})
		if _, err := os.Lstat(v.path("qmp")); err == nil {
			t.Error("a socket is left")
		}
	}
}

// What goes wrong at the start is said in QEMU's own words, and nothing is left.
func TestStartFails(t *testing.T) {
	b := newBench(t, nil)
	b.sw()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	port := busy.Addr().(*net.TCPAddr).Port
	for card, says := range map[string]string{
		fmt.Sprintf("user,ssh=%d", port):                               "in use",
		fmt.Sprintf("user,ssh=off,hostfwd=tcp:127.0.0.1:%d-:22", port): "another program has the port (ss -tlnp)",
		"vde=" + b.home + "/nosuch":                                    "vde",
		"user,ssh=off,device=colour=red":                               "colour",
		"hostdev=0000:ff:1f.7":                                         "vfio",
		"vdpa=/dev/nosuch-vdpa":                                        "vdpa",
		"ethernet=vmrt9,script=/nosuch/script":                         "script",
	} {
		out, code := b.try("--accel", "tcg", "-m", "32M", "--name", "bad", "--net", card, b.disk)
		if code != 1 || !strings.Contains(out, says) {
			t.Errorf("%s: exit %d: %s", card, code, out)
		}
		for _, v := range b.vms() {
			if v.QEMU.PID != 0 || v.Keeper.PID != 0 {
				t.Errorf("%s: left %+v", card, v)
			}
		}
	}
}

// The real QEMU takes the arguments of every mode that this machine can have,
// all at once, and is plugged into the switch by each door.
func TestEveryMode(t *testing.T) {
	ns := linktest.NewNamespace(t)
	b := newBench(t, ns)
	ns.Do(func() error {
		out, err := exec.Command("sh", "-c", "ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo && ip link add vmrbr0 type bridge && ip link set vmrbr0 up").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
	b.sw()
	args := []string{}
	for _, card := range []string{
		"switch", "switch,door=vde", "switch,door=vhost", "network=" + b.home + "/sw", "user,restrict=on,ssh=off", "tap=vmrt1", "tap=vmrt2,br=vmrbr0", "bridge=vmrbr0", "bridge=vmrbr0,isolated=on,ifname=vmrt4", "ethernet=vmrt3,script=no,downscript=no",
		"mcast=239.192.9.9:5000", "server=127.0.0.1:5001", "client=127.0.0.1:5001", "udp=127.0.0.1:5002,local=127.0.0.1:5003",
		"stream=unix:" + b.home + "/vm-stream,server=on", "dgram=unix:" + b.home + "/vm-dgram,remote=unix:" + b.home + "/none",
		"l2tpv3,src=127.0.0.1,dst=127.0.0.1,srcport=5004,dstport=5005,udp=on,txsession=1,rxsession=2", "vde=" + b.home + "/sw", "vhost-user=" + b.home + "/sw/vhost", "hubport=3", "null", "none",
	} {
		args = append(args, "--net", card)
	}
	b.start("all", append(args, "--", "-S")...)
	var kinds map[string]int
	b.await("QEMU is at each door", func() bool {
		kinds = map[string]int{}
		c, err := client.Dial(b.home + "/sw")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ports, err := c.Ports(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ports {
			if p.State == "up" {
				kinds[p.Kind]++
			}
		}
		return kinds["stream"] == 2 && kinds["vde"] == 2
	})
	ns.Do(func() error {
		for _, name := range []string{"vmrt1", "vmrt2", "vmrt3", "vmrt4", "vnet0"} {
			if _, err := net.InterfaceByName(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, isolated := range map[string]string{"vmrt2": "off", "vmrt4": "on", "vnet0": "off"} {
			out, err := exec.Command("ip", "-d", "-o", "link", "show", "dev", name).Output()
			if text := string(out); err != nil || !strings.Contains(text, "master vmrbr0") || !strings.Contains(text, "isolated "+isolated) {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		}
		return nil
	})
	b.must("kill", "all")
	b.await("nothing but lo and the bridge is left", func() (ok bool) {
		ns.Do(func() error {
			list, err := net.Interfaces()
			ok = len(list) == 2
			return err
		})
		return ok
	})
}
