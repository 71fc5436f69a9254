package main

import (
	"strings"
	"testing"
)

// What somebody has deleted by hand is made anew, and is in the record once: it
// can be cancelled, and nothing is left.
func TestCreateWhatWasDeleted(t *testing.T) {
	if !ownHost(t) || !hasTAPs(t) {
		return
	}
	before := hostPicture(t)
	does(t, "create bridge br1", 0, "made bridge br1")
	hostSh(t, "ip link delete br1")
	does(t, "create bridge br1", 0, "made bridge br1")
	does(t, "cancel bridge br1", 0, "removed bridge br1")
	does(t, "cancel bridge br1", 0, "unchanged")

	does(t, "create -u nobody", 0, "made tap tap0")
	hostSh(t, "ip link delete tap0")
	killSwitch(t, "/run/vswitch/nobody")
	does(t, "create -u nobody", 0, "made tap tap0", "made switch")
	if text, _ := host(t, "check -u nobody"); strings.Contains(text, "not as it was made") {
		t.Errorf("check:\n%s", text)
	}
	does(t, "cancel -u nobody", 0, "removed tap tap0", "removed bridge ctysbr0")
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}

// Whoever asks for a TAP in a switch, or in a bridge, has it there afterwards, or
// hears that it is elsewhere.
func TestCreateAgainElsewhere(t *testing.T) {
	if !ownHost(t) || !hasTAPs(t) {
		return
	}
	before := hostPicture(t)
	does(t, "create tap tap7 -u nobody", 0, "made tap tap7")
	does(t, "create switch /run/sw -u nobody", 0, "made switch /run/sw")
	does(t, "create switch /run/sw -u nobody --plug tap7", 1, "switch /run/sw runs already, without a TAP tap7")
	does(t, "cancel switch /run/sw", 0, "removed switch /run/sw")
	does(t, "create switch /run/sw -u nobody --plug tap7", 0, "made switch /run/sw")
	does(t, "create switch /run/sw -u nobody --plug tap7", 0, "unchanged")
	does(t, "cancel switch /run/sw", 0)
	does(t, "cancel tap tap7", 0)

	does(t, "create -u nobody -b br7", 0, "made bridge br7", "made tap tap0")
	does(t, "create -u nobody -b br8", 1, "TAP tap0 of user nobody is there, in br7 instead of bridge br8")
	hostSh(t, "ip link delete br7")
	does(t, "create -u nobody -b br7", 1, "in no bridge instead of bridge br7")
	does(t, "cancel -u nobody", 0, "removed tap tap0")
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}

// Whether two TAPs would be a loop is told by the bridges that they are in, not by
// those that they were made in.
func TestCreateSwitchWithMovedTAPs(t *testing.T) {
	if !ownHost(t) || !hasTAPs(t) {
		return
	}
	for _, line := range []string{"bridge br7", "bridge br8", "tap t7 -b br7 -u nobody", "tap t8 -b br8 -u nobody"} {
		does(t, "create "+line, 0, "made")
	}
	hostSh(t, "ip link set t8 master br7")
	does(t, "create switch /run/sw -u nobody --plug t7 --plug t8", 1, "t7 and t8 are both on br7")
	does(t, "create tap t9 -b br7 -u nobody", 0, "made")
	hostSh(t, "ip link set t9 master br8")
	does(t, "create switch /run/sw -u nobody --plug t7 --plug t9", 0, "made switch /run/sw")
}

// A switch that is there and answers nobody is not what was asked for.
func TestCreateWhereTheSwitchHangs(t *testing.T) {
	if !ownHost(t) {
		return
	}
	does(t, "create switch /run/sw -u nobody", 0, "made switch /run/sw")
	pid := strings.TrimSpace(hostSh(t, "cat /run/sw/pid"))
	hostSh(t, "kill -STOP "+pid)
	for _, who := range []string{"vnetctl's own", "somebody's"} {
		does(t, "create switch /run/sw -u nobody --timeout 300ms", 4, "does not answer: process "+pid+", up since 20", "is stopped", "kill -CONT "+pid)
		if t.Failed() {
			t.Fatal(who)
		}
		hostSh(t, "rm -rf /run/vnetctl") // as if it had been started by hand
	}
	hostSh(t, "kill -CONT "+pid)
	does(t, "create switch /run/sw -u nobody", 0, "unchanged")
}

// A bridge that others use stays, and is no obstacle to -f.
func TestCancelForcedSharedBridge(t *testing.T) {
	if !ownHost(t) || !hasTAPs(t) {
		return
	}
	before := hostPicture(t)
	does(t, "create -u nobody", 0, "made bridge ctysbr0", "made tap tap0")
	does(t, "create -u daemon", 0, "made tap tap1")
	does(t, "cancel -u nobody -f", 0, "removed tap tap0", "bridge ctysbr0 stays", "needed by tap tap1")
	does(t, "cancel -u daemon", 0, "removed tap tap1")
	does(t, "cancel -u nobody", 0, "removed bridge ctysbr0")
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}

// Two switches whose directories are alike but for a dash are two.
func TestCreateSwitchesOfLikeNames(t *testing.T) {
	if !ownHost(t) {
		return
	}
	before := hostPicture(t)
	does(t, "create switch /run/a-b -u nobody", 0, "made switch /run/a-b")
	does(t, "create switch /run/a/b -u nobody", 0, "made switch /run/a/b")
	does(t, "cancel switch /run/a-b", 0, "removed switch /run/a-b")
	does(t, "-s /run/a/b info", 0)
	does(t, "cancel switch /run/a/b", 0, "removed switch /run/a/b")
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}

// The addresses of an uplink come back also when somebody has deleted the bridge
// that has them; and a pulled network card blocks nothing.
func TestCancelWithoutBridgeOrUplink(t *testing.T) {
	if !ownHost(t) || !hasTAPs(t) {
		return
	}
	oneNIC(t)
	addresses := func() string { return hostSh(t, "ip -br -4 address; ip -4 route") }
	before := addresses()
	does(t, "create -u nobody -i up0 --confirm 0 -f", 0, "made bridge ctysbr0")
	hostSh(t, "ip link delete ctysbr0")
	does(t, "create -u nobody", 1, "somebody has deleted bridge ctysbr0, which had the addresses of up0", "vnetctl cancel")
	does(t, "cancel -u nobody", 0, "removed bridge ctysbr0")
	if now := addresses(); now != before {
		t.Errorf("before:\n%s\nnow:\n%s", before, now)
	}

	does(t, "create -u nobody -i up0 --confirm 0 -f", 0, "made bridge ctysbr0")
	hostSh(t, "ip link delete up0")
	does(t, "cancel -u nobody", 1, "there is no interface up0 any more", "use -f")
	does(t, "recover", 0, "nothing to recover")
	does(t, "cancel -u nobody -f", 0, "removed switch", "removed tap tap0", "removed bridge ctysbr0")
	if left := hostSh(t, "ip -br link; find /run -path '/run/v*'"); strings.Contains(left, "ctysbr0") || strings.Contains(left, "/run/v") {
		t.Errorf("left:\n%s", left)
	}
}

// What has another name by now is not said to be removed.
func TestCancelRenamed(t *testing.T) {
	if !ownHost(t) || !hasTAPs(t) {
		return
	}
	before := hostPicture(t)
	does(t, "create -u nobody", 0, "made bridge ctysbr0", "made tap tap0")
	for _, name := range []string{"tap0", "ctysbr0"} {
		hostSh(t, "ip link set "+name+" down; ip link set "+name+" name other")
		does(t, "cancel -u nobody", 1, name+" is called other now", "ip link set dev other name "+name)
		hostSh(t, "ip link set other name "+name+"; ip link set "+name+" up")
	}
	does(t, "cancel -u nobody", 0, "removed tap tap0", "removed bridge ctysbr0")
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}

// A switch that runs with another console, or for another group, is not what was
// asked for, and "unchanged" would be untrue.
func TestCreateAgainOtherwise(t *testing.T) {
	if !ownHost(t) {
		return
	}
	hostSh(t, "mkdir -m 777 /run/c")
	does(t, "create switch /run/sw -u nobody -S /run/c/console", 0, "made switch")
	made := hostPicture(t)
	does(t, "create switch /run/sw -u nobody", 0, "unchanged")
	does(t, "create switch /run/sw -u nobody -S /run/c/console", 0, "unchanged")
	does(t, "create switch /run/sw -u nobody -S /run/c/other", 1, "with the console /run/c/console instead of /run/c/other", "vnetctl cancel switch /run/sw")
	does(t, "create switch /run/sw -u nobody -g nogroup", 1, "mode 0700 instead of", "mode 2700")
	does(t, "create switch /run/sw -u nobody.daemon", 1, "group 65534", "instead of group 1 ")
	if now := hostPicture(t); now != made {
		t.Errorf("refused, but changed:\n%s\n%s", made, now)
	}
	does(t, "cancel switch /run/sw", 0, "removed")
}
