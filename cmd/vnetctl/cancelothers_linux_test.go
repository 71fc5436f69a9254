package main

import (
	"strings"
	"testing"

	"vnetkit/mgmt/mgmttest"
)

// A switch that somebody else started is named as such and stays, also where one
// of vnetctl's was before, and with it its doors.
func TestCancelOthersSwitch(t *testing.T) {
	if !ownHost(t) {
		return
	}
	runs := func() bool {
		_, code := host(t, "-s /run/vswitch/lab info")
		return code == 0
	}
	const start = "vswitch --name lab --quiet >/dev/null 2>&1 &"
	hostSh(t, start)
	mgmttest.Until(t, "the switch runs", runs)
	does(t, "create switch lab", 0, "runs already, not made by vnetctl", "unchanged")
	does(t, "cancel switch lab", 1, "did not start the switch", "vnetctl -s /run/vswitch/lab exec shutdown")
	does(t, "-s lab exec shutdown", 0)
	mgmttest.Until(t, "the switch is gone", func() bool { return !runs() })
	does(t, "cancel switch lab", 0, "unchanged")

	does(t, "create switch lab", 0, "made switch")
	killSwitch(t, "/run/vswitch/lab")
	hostSh(t, start)
	mgmttest.Until(t, "another switch runs", runs)
	doors := hostSh(t, "ls /run/vswitch/lab")
	does(t, "cancel switch lab", 0, "removed switch")
	if now := hostSh(t, "ls /run/vswitch/lab"); now != doors || !strings.Contains(doors, "api") || !runs() {
		t.Errorf("the other's doors were\n%sand are\n%s", doors, now)
	}
}
