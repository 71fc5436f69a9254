package main

import (
	"strings"
	"testing"

	"vnetkit/mgmt/mgmttest"
)

// What --dry-run prints is a script, which makes the same as create itself.
func TestDryRunIsAScript(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	for _, tc := range []struct{ line, dir, port string }{
		{"create -u nobody", "/run/vswitch/nobody", "tap0"},
		{"create -u nobody -i macvtap:up0", "/run/vswitch/nobody", "macvtap0"},
	} {
		look := "ip -br link show " + tc.port + " | cut -d' ' -f1; ip -d -o link show " + tc.port + ` | grep -o 'user [a-z]*\|master [a-z0-9]*' || true; stat -c '%U:%G %a' ` + tc.dir + "; ps -o user= -p $(cat " + tc.dir + "/pid)"
		plugged := func(what string) string {
			mgmttest.Until(t, what, func() bool {
				out, code := host(t, "-s "+tc.dir+" ports")
				return code == 0 && strings.Contains(out, " "+tc.port+" ") && strings.Contains(out, " up ")
			})
			return hostSh(t, look)
		}
		script := does(t, tc.line+" --dry-run", 0, "setpriv")
		does(t, tc.line, 0, "made switch")
		want := plugged("create has plugged " + tc.port + " in")
		does(t, "cancel -u nobody", 0, "removed switch")

		hostSh(t, "cat >/run/script <<'END'\n"+strings.ReplaceAll(script, " &\n", " >/dev/null 2>&1 &\n")+"\nEND\nsh -e /run/script")
		if got := plugged("the script has plugged " + tc.port + " in"); got != want {
			t.Errorf("%s: the script\n%smade\n%sand create itself\n%s", tc.line, script, got, want)
		}
		hostSh(t, "kill $(cat "+tc.dir+"/pid); ip link delete "+tc.port+"; ip link delete ctysbr0 2>/dev/null || true")
		mgmttest.Until(t, "the switch has ended", func() bool {
			_, code := host(t, "-s "+tc.dir+" info")
			return code != 0
		})
		hostSh(t, "rm -rf /run/vswitch")
	}
}
