package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/cmd/vmrun/netdev"
)

// Who presses Ctrl-C while the VM is being started has no VM, and nothing of one.
func TestInterrupted(t *testing.T) {
	b := newBench(t, nil)
	real, err := exec.LookPath(defaultQEMU)
	if err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(b.home, "slow")
	text := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *stdio*) exec %[1]s \"$@\" ;; esac\necho $$ >%[2]s/begun\nwhile [ ! -e %[2]s/go ]; do sleep 0.02; done\nexec %[1]s \"$@\"\n", real, slow)
	if err := os.Mkdir(slow, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(slow, defaultQEMU), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(b.bin, "vmrun"), "--accel", "tcg", "-m", "32M", "--net", "server=127.0.0.1:5103", "--name", "cut", b.disk)
	cmd.Env = append(os.Environ(), "PATH="+slow+":"+os.Getenv("PATH"), "XDG_STATE_HOME="+b.home, "XDG_CACHE_HOME="+b.home+"/cache", "XDG_RUNTIME_DIR="+b.home)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.await("QEMU is being started", func() bool {
		_, err := os.Stat(slow + "/begun")
		return err == nil
	})
	_ = cmd.Process.Signal(syscall.SIGINT)
	_ = cmd.Wait()
	if out, code := b.try("--accel", "tcg", "--net", "none", "--name", "cut", b.disk); code != 1 || !strings.Contains(out, "is being started") {
		t.Errorf("another one meanwhile: exit %d: %s", code, out)
	}
	if err := os.WriteFile(slow+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var pid int
	text2, _ := os.ReadFile(slow + "/begun")
	if _, err := fmt.Sscan(string(text2), &pid); err != nil {
		t.Fatal(err)
	}
	b.await("QEMU has ended", func() bool { return began(pid) == "" })
	b.await("the VM is cleared up after", func() bool { _, code := b.try("rm", "cut"); return code == 0 })
}

// Where the state of VMs cannot be written, that is said, and nothing is begun.
func TestNoRoom(t *testing.T) {
	b := newBench(t, nil)
	start := []string{"--accel", "tcg", "--net", "none", "--name", "late", b.disk}
	b.wrap = []string{"unshare", "-m", "sh", "-c", `mkdir -p "$0" && mount -t tmpfs -o size=4k none "$0" && head -c 4096 /dev/zero >"$0/full" || exit 99
		"$@"; code=$?; find "$0" | sed 's/^/left: /'; exit $code`, b.home + "/vnetkit"}
	out, code := b.try(start...)
	if code != 1 || !strings.Contains(out, "no space left") || !strings.Contains(out, "it needs room") || strings.Contains(out, "left: "+b.home+"/vnetkit/vms/late") {
		t.Errorf("on a full disk: exit %d: %s", code, out)
	}
	b.wrap = []string{"env", "XDG_STATE_HOME=/proc/nosuch"}
	if out, code := b.try(start...); code != 1 || !strings.Contains(out, "set XDG_STATE_HOME") {
		t.Errorf("where no directory can be made: exit %d: %s", code, out)
	}
	b.wrap = nil
}

// Who may not enter root's default switch has a default switch of his own.
func TestDefaultOfRoot(t *testing.T) {
	b := newBench(t, nil)
	if out, err := exec.Command("sh", "-ec", `chmod 755 "$0"; chown -R 65534:65534 "$1"`, b.bin, b.home).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for mode, want := range map[string]string{"700": b.home + "/vswitch/default/stream", "755": "/run/vswitch/default/stream"} {
		b.wrap = []string{"unshare", "-m", "sh", "-ec", "mount -t tmpfs none /run; mkdir -p /run/vswitch; mkdir -m " + mode + ` /run/vswitch/default
			exec setpriv --reuid=65534 --regid=65534 --clear-groups "$0" "$@"`}
		if out := b.must("--accel", "tcg", "--print", b.disk); !strings.Contains(out, want) {
			t.Errorf("root's has mode %s: %s", mode, out)
		}
	}
	b.wrap = nil
}

// The name of a bridge is no part of a script, whatever it is.
func TestBridgeScript(t *testing.T) {
	dir := t.TempDir()
	n, err := netdev.ParseNet("bridge=a'b;$(c),isolated=on")
	if err == nil {
		err = os.WriteFile(dir+"/ip", []byte("#!/bin/sh\nprintf '<%s>' \"$@\"\n"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", bridgeScript(n), "up", "tap0")
	cmd.Env = []string{"PATH=" + dir}
	out, err := cmd.CombinedOutput()
	want := "<link><set><dev><tap0><master><a'b;$(c)>" + "<link><set><dev><tap0><type><bridge_slave><isolated><on>" + "<link><set><dev><tap0><up>"
	if err != nil || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
}
