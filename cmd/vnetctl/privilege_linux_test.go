package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/mgmttest"
)

// asNobody runs vnetctl as a user who may do nothing but what caps let him.
func asNobody(t *testing.T, line string, caps []uintptr, env ...string) (text string, code int) {
	t.Helper()
	cmd := mgmttest.AsUser(t, mgmttest.Nobody, "vnetctl", append(env, "VNETCTL_TEST_ARGS="+line)...)
	cmd.SysProcAttr.AmbientCaps = caps
	out, err := cmd.CombinedOutput()
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Who may not change the network is told so at once; with -Z another program is
// asked, once, whatever it answers; and CAP_NET_ADMIN is enough.
func TestPrivilege(t *testing.T) {
	if !ownHost(t) {
		return
	}
	before := hostPicture(t)
	for _, verb := range []string{"create", "create bridge br1", "create tap t1", "create switch", "cancel", "cancel bridge br1", "restore"} {
		if text, code := asNobody(t, verb, nil); code != 3 || !strings.Contains(text, "has not the capability CAP_NET_ADMIN") || !strings.Contains(text, "cure:  sudo ") {
			t.Errorf("%s: exit %d: %s", verb, code, text)
		}
	}
	for _, verb := range []string{"recover", "confirm"} {
		if text, code := asNobody(t, verb, nil); code != 3 || !strings.Contains(text, "cure:") {
			t.Errorf("%s: exit %d: %s", verb, code, text)
		}
	}
	hostSh(t, `mkdir -m 777 /run/fake; for i in sudo ksu; do printf '#!/bin/sh\necho %s "$@" >>/run/fake/calls\nexit 7\n' $i >/run/fake/$i; chmod 755 /run/fake/$i; done`)
	for how, want := range map[string]string{
		"SUDO": "sudo -n -- ", "KSU": "ksu -q -e ", "ALL": "ksu -q -e ", "SUDO,KSU": "sudo -n -- ", "ALL,NOKSU": "sudo -n -- ", "all,nosudo": "ksu -q -e ",
		"NOSUDO": "", "NOKSU,NOSUDO": "", "SUDO,NOSUDO": "",
	} {
		_ = os.Remove("/run/fake/calls")
		text, code := asNobody(t, "create bridge br1 -Z "+how, nil, "PATH=/run/fake:/usr/bin:/bin")
		calls, _ := os.ReadFile("/run/fake/calls")
		switch {
		case want == "" && (code != 3 || len(calls) > 0), want != "" && (code != 7 || !strings.HasPrefix(string(calls), want) || strings.Count(string(calls), "\n") != 1):
			t.Errorf("-Z %s: exit %d, called %q: %s", how, code, calls, text)
		}
	}
	if text, code := asNobody(t, "create bridge br1 -Z DOAS", nil); code != 2 || !strings.Contains(text, "-Z wants") {
		t.Errorf("-Z DOAS: exit %d: %s", code, text)
	}
	hostSh(t, "rm -r /run/fake")
	if now := hostPicture(t); now != before {
		t.Errorf("something was changed:\n%s\n%s", before, now)
	}

	admin := []uintptr{unix.CAP_NET_ADMIN}
	if text, code := asNobody(t, "create bridge br1", admin); code != 3 || !strings.Contains(text, "the lock in /run/vnetctl cannot be written") {
		t.Errorf("no place for the journal: exit %d: %s", code, text)
	}
	hostSh(t, "install -d -o nobody /run/vnetctl")
	if text, code := asNobody(t, "create switch /run/sw -u daemon", admin); code != 3 || !strings.Contains(text, "only root can run a switch in the name of user daemon") {
		t.Errorf("in another's name: exit %d: %s", code, text)
	}
	for _, verb := range []string{"create bridge br1", "create tap t1 -b br1", "cancel tap t1", "cancel bridge br1"} {
		hostSh(t, "install -d -o nobody /run/vnetctl") // the last one removes it
		if text, code := asNobody(t, verb, admin); code != 0 {
			t.Errorf("%s with the capability: exit %d: %s", verb, code, text)
		}
	}
}

// File systems that forbid something: a directory on one that is read-only, or
// full; a program on one that runs none.
func TestCreateFileSystems(t *testing.T) {
	if !ownHost(t) {
		return
	}
	hostSh(t, `mkdir /run/ro /run/nx /run/full; mount -t tmpfs -o ro none /run/ro; mount -t tmpfs -o noexec,mode=755 none /run/nx; mount -t tmpfs -o nr_inodes=2,mode=755 none /run/full; touch /run/full/x
cp $(command -v vswitch) /run/nx/vswitch`)
	before := hostPicture(t)
	does(t, "create switch /run/ro/sw -u nobody", 1, "read-only file system", "-s")
	does(t, "create switch /run/full/sw -u nobody", 5, "no space left", "all is as it was before")
	if text, code := host(t, "create switch /run/sw -u nobody", "PATH=/run/nx:/usr/bin:/bin"); code != 3 || !strings.Contains(text, "noexec") || !strings.Contains(text, "cure:") {
		t.Errorf("noexec program: exit %d: %s", code, text)
	}
	if now := hostPicture(t); now != before {
		t.Errorf("something was changed:\n%s\n%s", before, now)
	}
	// Sockets need not be executable.
	does(t, "create switch /run/nx/sw -u nobody", 0, "made switch")
	does(t, "-s /run/nx/sw info", 0)
	does(t, "cancel switch /run/nx/sw", 0, "removed switch")
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}
