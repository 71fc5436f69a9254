package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// ids are what is new with each boot: numbers of interfaces, marks of plans.
var ids = regexp.MustCompile(`"(ifindex|link_index|ifalias|group)":("[^"]*"|\d+),?|if\d+|"(stats|xdp)[^}]*},?`)

// wires is what guests and others see of the host's network, and of /run.
func wires(t *testing.T) string {
	t.Helper()
	lines := strings.Split(ids.ReplaceAllString(strings.ReplaceAll(hostPicture(t), "},{", "},\n{"), ""), "\n")
	slices.Sort(lines) // the order is that of making
	return strings.Join(lines, "\n")
}

// reboot takes away what a reboot does, and brings the uplink up as a host's own
// configuration does.
func reboot(t *testing.T) {
	t.Helper()
	hostSh(t, `for pid in $(cat /run/vswitch/*/pid 2>/dev/null); do kill -9 $pid; while [ -e /proc/$pid ] && ! grep -q '^State:.Z' /proc/$pid/status; do sleep 0.01; done; done
for i in $(ls /sys/class/net); do case $i in lo|far0|bonding_masters) ;; *) ip link delete $i 2>/dev/null || true ;; esac; done`)
	if err := unix.Unmount("/run", unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	oneNIC(t)
}

// What --persist made is there again after a reboot, and what else was made is
// not; what cannot be made does not keep the rest from coming back.
func TestRestore(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	bare := wires(t)
	does(t, "restore", 0, "nothing to restore")
	does(t, "create -u nobody -b br7 --taps 2 --persist", 0, "made tap tap1", "switch /run/vswitch/nobody is made anew after a reboot")
	does(t, "create bridge br0 -i up0 --confirm 0 -f", 0, "made bridge br0")
	does(t, "create bridge br0 -i auto --persist", 0, "br0 is made anew", "unchanged") // not when it was made, but now
	does(t, "create -u nobody -b br7 --taps 2 --persist", 0, "unchanged")
	made := wires(t)
	does(t, "create tap t9 -u nobody", 0, "made tap t9")
	does(t, "restore", 0, "unchanged bridge br7", "unchanged bridge br0")

	reboot(t)
	if now := wires(t); now != bare {
		t.Fatalf("this is no reboot:\n%s\n%s", bare, now)
	}
	does(t, "check -n --dhcp 0", 1, "switch /run/vswitch/nobody: was created with --persist, and is not there", "cure: vnetctl restore")
	does(t, "cancel -u nobody --dry-run", 0, "switch /run/vswitch/nobody is not there, and will not be made anew")
	does(t, "restore --dry-run", 0, "planned switch /run/vswitch/nobody", "ip link add name br7")
	hostSh(t, "ip link set up0 down; ip link set up0 name up9")
	if r := restoredOf(t, "--boot", 1); r.Failures != 1 || len(r.Sets) != 2 || r.Sets[0].State != "made" || r.Sets[1].State != "failed" || r.Sets[1].Error.Hint == "" {
		t.Errorf("without the uplink: %+v", r)
	}
	reboot(t)
	does(t, "restore --boot", 0, "made bridge br7", "made tap tap1", "made switch /run/vswitch/nobody", "made bridge br0")
	if now := wires(t); now != made {
		t.Errorf("not as it was made:\n%s\n%s", made, now)
	}
	if ports := does(t, "-s /run/vswitch/nobody ports -o name", 0); ports != "tap0\n" {
		t.Errorf("ports: %q", ports)
	}
	does(t, "check -n --dhcp 0", 0)
	if r := restoredOf(t, "--boot", 0); r.Failures != 0 || r.Sets[0].State != "unchanged" || r.Sets[1].State != "unchanged" {
		t.Errorf("twice: %+v", r)
	}

	does(t, "cancel -u nobody", 0, "removed bridge br7")
	reboot(t)
	does(t, "cancel bridge br0", 0, "will not be made anew")
	does(t, "restore", 0, "nothing to restore")
	if now := wires(t); now != bare {
		t.Errorf("cancelled, but came back:\n%s\n%s", bare, now)
	}
	if left := hostSh(t, "ls /var/lib/vnetctl"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// What cannot be recorded is not made; what cannot be trusted is not restored.
func TestRestoreRefuses(t *testing.T) {
	if !ownHost(t) {
		return
	}
	hostSh(t, "mkdir /var/lib/vnetctl; mount -t tmpfs -o ro none /var/lib/vnetctl")
	before := hostPicture(t)
	does(t, "create bridge br1 --persist", 5, "all is as it was before", "cannot be recorded", "read-only file system", "findmnt")
	if now := hostPicture(t); now != before {
		t.Errorf("not as before:\n%s\n%s", before, now)
	}
	hostSh(t, "umount /var/lib/vnetctl")
	does(t, "create bridge br1", 0, "made bridge br1")
	hostSh(t, "mount -t tmpfs -o ro none /var/lib/vnetctl")
	does(t, "create bridge br1 --persist", 1, "cannot be recorded", "findmnt") // nothing to undo
	hostSh(t, "umount /var/lib/vnetctl")
	does(t, "cancel bridge br1", 0, "removed bridge br1")
	does(t, "create switch /run/sw -u nobody --persist", 0, "made switch")
	does(t, "cancel switch /run/sw", 0, "removed switch")
	does(t, "create switch /run/sw -u nobody --persist", 0, "made switch")
	good, err := os.ReadFile(persistentFile)
	if err != nil {
		t.Fatal(err)
	}
	reboot(t)
	before = wires(t)
	for _, c := range []struct{ old, now, want string }{
		{`"uid": 65534`, `"uid": 4711`, "had number 4711"},
		{`"user": "nobody"`, `"user": "nosuch"`, `no user "nosuch"`},
		{`{`, ``, "cannot be trusted"},
		{`"version": 1`, `"version": 7`, "version 7"},
		{`"kind": "switch"`, `"kind": "tap"`, "does not say what for"},
	} {
		if err := os.WriteFile(persistentFile, []byte(strings.Replace(string(good), c.old, c.now, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		does(t, "restore --boot", 1, c.want, "cure:")
	}
	if now := wires(t); now != before {
		t.Errorf("something was changed:\n%s\n%s", before, now)
	}
}

const persistentFile = "/var/lib/vnetctl/persistent.json"

// The service that does it at boot calls verbs and flags that there are.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile("../../packaging/systemd/vnetctl-recover.service")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for line := range strings.Lines(string(text)) {
		words, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=")
		if !ok {
			continue
		}
		calls++
		args := strings.Fields(strings.TrimPrefix(words, "-"))
		cmd, rest, err := (&app{}).rootCommand().Find(args[1:])
		if err != nil || args[0] != "vnetctl" || cmd.Name() != args[1] || cmd.ParseFlags(rest) != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

func restoredOf(t *testing.T, args string, code int) (r restoreAnswer) {
	t.Helper()
	if err := json.Unmarshal([]byte(jsonOf(t, "restore", args, code)), &r); err != nil {
		t.Fatal(err)
	}
	return r
}
