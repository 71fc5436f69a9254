package main

import (
	"os/exec"
	"strings"
	"testing"

	"vnetkit/mgmt/mgmttest"
)

// Errors name what is wrong here, and a cure that helps here.
func TestCreateWords(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	before := hostPicture(t)
	for _, tc := range []struct {
		line string
		code int
		want []string
		not  string
	}{
		{"create bridge all", 1, []string{"all interfaces"}, "a step failed"},
		{"create bridge default", 1, []string{"all interfaces"}, "a step failed"},
		{"create -u nobody:daemon", 1, []string{"-u nobody.daemon"}, "adduser"},
		{"create -u ../x", 1, []string{"getent passwd"}, "adduser"},
		{"create -u nosuchuser", 1, []string{"adduser nosuchuser"}, ""},
		{"create -u nobody -g daemon", 1, []string{"vnetctl create -u nobody.daemon -g daemon"}, ""},
		{"create -u nobody -i macvtap:nosuch", 1, []string{"there is no interface nosuch"}, ""},
		{"create switch /proc/x", 5, []string{"make directory /proc/x: no such file"}, "x: make directory"},
		{"list -o json", 2, []string{"vnetctl list --json"}, ""},
	} {
		out := does(t, tc.line, tc.code, tc.want...)
		if tc.not != "" && strings.Contains(out, tc.not) {
			t.Errorf("vnetctl %s says %q:\n%s", tc.line, tc.not, out)
		}
	}
	if now := hostPicture(t); now != before {
		t.Errorf("not as before:\n%s\n%s", before, now)
	}
	does(t, "create -u nobody", 0, "made tap tap0")
	does(t, "create -u nobody -i macvtap:nosuch", 1, "there is no interface nosuch")
	if out := does(t, "create -u nobody -i macvtap:up0", 1, "for user nobody"); strings.Contains(out, "-1") {
		t.Errorf("no group is none:\n%s", out)
	}
	does(t, "cancel -u nobody", 0, "removed tap tap0")
	// What was made alone is no part of what "create" made, and is there.
	does(t, "create switch -u nobody", 0, "made switch /run/vswitch/nobody")
	does(t, "cancel -u nobody", 0, "vnetctl cancel switch /run/vswitch/nobody", "unchanged")
	does(t, "cancel switch /run/vswitch/nobody", 0, "removed switch")
}

// Root in a container may lack more than the network.
func TestCreateWithoutCapabilities(t *testing.T) {
	if !ownHost(t) {
		return
	}
	before := hostPicture(t)
	for lacks, want := range map[string]string{
		"setuid": "root may not become user nobody",
		"chown":  "root lacks a capability here",
	} {
		out, _ := exec.Command("setpriv", "--inh-caps", "-"+lacks, "--bounding-set", "-"+lacks, "vnetctl", "create", "switch", "/run/sw", "-u", "nobody").CombinedOutput()
		if text := string(out); !strings.Contains(text, want) || !strings.Contains(text, "CapEff") || strings.Contains(text, "sudo") || strings.Contains(text, "make install") {
			t.Errorf("without %s:\n%s", lacks, text)
		}
	}
	if now := hostPicture(t); now != before {
		t.Errorf("not as before:\n%s\n%s", before, now)
	}
}

// A switch that the caller may not open is not dead.
func TestListallOfOthers(t *testing.T) {
	if !ownHost(t) {
		return
	}
	does(t, "create switch own", 0, "made switch /run/vswitch/own")
	does(t, "create switch dead", 0, "made switch /run/vswitch/dead")
	killSwitch(t, "/run/vswitch/dead")
	out, err := mgmttest.AsUser(t, mgmttest.Nobody, "vnetctl", "VNETCTL_TEST_ARGS=listall -n").CombinedOutput()
	if text := string(out); err != nil || strings.Count(text, "(not permitted)\n") != 2 {
		t.Errorf("%v: %s", err, out)
	}
	text := does(t, "listall -n", 0)
	if lines := strings.Split(text, "\n"); len(lines) != 3 || !strings.HasSuffix(lines[0], " (dead)") || strings.Contains(lines[1], "(") {
		t.Errorf("root sees:\n%s", text)
	}
}
