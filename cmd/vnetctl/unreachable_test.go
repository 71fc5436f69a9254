package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt/mgmttest"
)

// Every verb says in three parts that no switch answers, and ends with 4.
func TestNoSwitch(t *testing.T) {
	dir := mgmttest.Dir(t)
	stale := filepath.Join(dir, "stale")
	if err := os.Mkdir(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	mgmttest.Stale(t, filepath.Join(stale, "api"))
	for _, where := range []struct{ dir, cause, cure string }{
		{stale, "its switch was killed and left the socket behind", "start it again: vswitch -s " + stale},
		{filepath.Join(dir, "nosuch"), "there is no directory", "start a switch there: vswitch -s "},
		{dir, "has no socket api in it", "vnetctl list"},
	} {
		for _, verb := range []string{
			"", "info", "ports", "ports x", "fdb", "fdb add 02:00:00:00:00:01 1", "fdb del 02:00:00:00:00:01", "fdb flush", "stats",
			"port add stream:unix:/x", "port set 1 mtu=1500", "port up 1", "port down 1", "port remove 1", "monitor",
		} {
			_, stderr, code := vnetctl(t, nil, append([]string{"-s", where.dir}, strings.Fields(verb)...)...)
			lines := strings.Split(strings.TrimSpace(stderr), "\n")
			if code != 4 || len(lines) != 3 || !strings.HasPrefix(lines[0], "vnetctl: cannot ") ||
				!strings.HasPrefix(lines[1], "  cause: ") || !strings.Contains(lines[1], where.cause) ||
				!strings.HasPrefix(lines[2], "  cure:  ") || !strings.Contains(lines[2], where.cure) {
				t.Errorf("vnetctl -s %s %s: exit %d\n%s", where.dir, verb, code, stderr)
			}
		}
	}
}

func TestBadSwitchName(t *testing.T) {
	for _, tc := range []struct {
		name, says string
		code       int
	}{
		{"a b", "not allowed", 1},
		{"-x", "must not start with -", 1},
		{strings.Repeat("x", 65), "at most 64", 1},
		{"/" + strings.Repeat("x", 120), "at most 107", 1},
	} {
		_, stderr, code := vnetctl(t, nil, "--switch="+tc.name, "ports")
		if code != tc.code || !strings.Contains(stderr, tc.says) || !strings.Contains(stderr, "cure:") {
			t.Errorf("%q: exit %d: %s", tc.name, code, stderr)
		}
	}
	_, stderr, code := vnetctl(t, nil, "-s", "no-switch-has-this-name", "--json", "ports")
	if code != 4 || !strings.HasPrefix(stderr, `{"error":{"code":"unreachable","message":"cannot list ports: there is no directory `) {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// A switch that stands still is unreachable as well, after --timeout.
func TestTimeout(t *testing.T) {
	dir := mgmttest.Dir(t)
	listenOnly(t, filepath.Join(dir, "api"))
	_, stderr, code := vnetctl(t, nil, "-s", dir, "--timeout", "10ms", "info")
	if code != 4 || !strings.Contains(stderr, "did not answer in time") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
