package main

import (
	"strings"
	"testing"
)

// What is missing is a directory, a namespace or a device: each has its own
// cure, and a directory is no cure for the others.
func TestPortAddMissing(t *testing.T) {
	if !ownHost(t) {
		return
	}
	if !hasTAPs(t) {
		t.Fatal("the vswitch that was built for this has no TAPs")
	}
	does(t, "create switch /run/sw", 0)
	for _, tc := range []struct{ spec, want, not string }{
		{"stream:unix:/run/no/such/x", "mkdir -p /run/no/such\n", ""},
		{"dgram:unix:/run/no/such/x", "mkdir -p /run/no/such\n", ""},
		{"vde:/run/no/such,listen=on", "mkdir -p /run/no/such\n", ""},
		{"tap:t9,netns=nosuch", "ip netns list", "mkdir"},
		{"tap:t9", "modprobe tun", "mkdir"},
	} {
		if tc.spec == "tap:t9" {
			hostSh(t, "mount -t tmpfs none /dev/net")
		}
		out := does(t, "-s /run/sw port add "+tc.spec, 1, tc.want)
		if tc.not != "" && strings.Contains(out, tc.not) {
			t.Errorf("%s: %q is no cure:\n%s", tc.spec, tc.not, out)
		}
	}
}
