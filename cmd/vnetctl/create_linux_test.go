package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vnetkit/mgmt/mgmttest"
)

// hasTAPs tells whether the vswitch in PATH has the port kind tap.
func hasTAPs(t *testing.T) bool {
	t.Helper()
	return strings.Contains(hostSh(t, "vswitch --help"), "tap:fd=")
}

// One call makes everything, the same again changes nothing, one call removes
// it, and nobody can see that it was there.
func TestCreateAndCancel(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	before := hostPicture(t)
	create := "create -u nobody"
	if !hasTAPs(t) {
		does(t, create, 1, "no port kind tap", "same version")
		if now := hostPicture(t); now != before {
			t.Errorf("refused, but changed:\n%s\n%s", before, now)
		}
		create += " --taps 0"
	}
	dry := does(t, create+" --dry-run --explain", 0, "ip link add name ctysbr0", "setpriv --reuid 65534", "the default for this user")
	if now := hostPicture(t); now != before || strings.Contains(dry, "made ") {
		t.Errorf("--dry-run changed something:\n%s", now)
	}
	does(t, create, 0, "made bridge ctysbr0", "made switch /run/vswitch/nobody")
	made := hostPicture(t)
	if owner := hostSh(t, "stat -c %U:%a /run/vswitch/nobody; ps -o user= -p $(cat /run/vswitch/nobody/pid)"); owner != "nobody:700\nnobody\n" {
		t.Errorf("owners: %q", owner)
	}
	does(t, "-s /run/vswitch/nobody info", 0, "user nobody")
	does(t, create, 0, "unchanged", "runs already")
	does(t, create+" -b ctysbr0 -X -n -Z NOSUDO", 0)
	if now := hostPicture(t); now != made {
		t.Errorf("the second create changed something:\n%s\n%s", made, now)
	}

	guest, err := net.Dial("unix", "/run/vswitch/nobody/stream")
	if err != nil {
		t.Fatal(err)
	}
	mgmttest.Until(t, "the guest is plugged in", func() bool {
		out, _ := host(t, "-s /run/vswitch/nobody ports -o name")
		return strings.Contains(out, "port")
	})
	does(t, "cancel -u nobody", 1, "plugged in", "stop them first")
	if now := hostPicture(t); now != made {
		t.Errorf("a refused cancel changed something:\n%s\n%s", made, now)
	}
	guest.Close()
	mgmttest.Until(t, "the guest is gone", func() bool {
		out, _ := host(t, "-s /run/vswitch/nobody ports -o name")
		return !strings.Contains(out, "port")
	})
	does(t, "cancel -u nobody", 0, "removed switch", "removed bridge ctysbr0")
	if now := hostPicture(t); now != before {
		t.Errorf("cancel left something:\n%s\n%s", before, now)
	}
	does(t, "cancel -u nobody", 0, "unchanged")
}

// A guest that is still plugged in does not stop -f; a daemon that died is
// started again by create, and its remains are no obstacle for cancel.
func TestCreateAfterDeath(t *testing.T) {
	if !ownHost(t) {
		return
	}
	does(t, "create switch /run/sw -u nobody", 0, "made switch /run/sw")
	killSwitch(t, "/run/sw")
	does(t, "create switch /run/sw -u nobody", 0, "made switch /run/sw")
	killSwitch(t, "/run/sw")
	does(t, "cancel switch /run/sw", 0, "removed switch /run/sw")
	if left := hostSh(t, "ls /run"); strings.TrimSpace(left) != "" {
		t.Errorf("left by a switch that was killed: %s", left)
	}
	does(t, "create switch /run/sw -u nobody", 0, "made switch /run/sw")
	guest, err := net.Dial("unix", "/run/sw/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	does(t, "cancel switch /run/sw -f", 0, "removed switch /run/sw")
	if left := hostSh(t, "ls /run"); strings.TrimSpace(left) != "" {
		t.Errorf("left: %s", left)
	}
}

// The parts alone.
func TestCreateParts(t *testing.T) {
	if !ownHost(t) {
		return
	}
	before := hostPicture(t)
	does(t, "create bridge br1", 0, "made bridge br1")
	does(t, "create bridge br1", 0, "unchanged")
	does(t, "create tap tap7 -b br1 -u nobody.daemon", 0, "made tap tap7")
	does(t, "create tap tap7 -b br1 -u nobody.daemon", 0, "unchanged")
	does(t, "create tap tap7 -b br1", 1, "for user 65534")
	if out := hostSh(t, "ip -d link show tap7"); !strings.Contains(out, "master br1") || !strings.Contains(out, "user nobody group daemon") || !strings.Contains(out, "vnetctl:") {
		t.Errorf("tap7: %s", out)
	}
	does(t, "cancel bridge br1", 1, "is needed by tap tap7", "vnetctl cancel tap tap7")
	does(t, "cancel tap tap7", 0, "removed tap tap7")
	does(t, "cancel tap tap7", 0, "unchanged")
	does(t, "cancel bridge br1", 0, "removed bridge br1")
	hostSh(t, "ip link add foreign type bridge")
	does(t, "create bridge foreign", 0, "not made by vnetctl", "unchanged")
	does(t, "cancel bridge foreign", 1, "did not make foreign")
	hostSh(t, "ip link delete foreign")
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}

// Each of ctys-vnetctl's actions takes all of its letters, before or behind it;
// -u chooses the user's switch.
func TestCtysLetters(t *testing.T) {
	if !ownHost(t) {
		return
	}
	letters := "-b ctysbr0 -d 0 -f -g nogroup -i none -S /run/vswitch/nobody/mgmt -Z NOSUDO -n -X -u nobody"
	for _, action := range []string{"create", "info", "ports", "list", "listall", "check", "cancel"} {
		if text, code := host(t, letters+" "+action); code != 0 {
			t.Errorf("%s: exit %d: %s", action, code, text)
		}
		does(t, action+" -H", 0, "Usage:", "vnetctl "+action)
	}
	does(t, "create switch -u nobody", 0, "made switch /run/vswitch/nobody")
	does(t, "info -u nobody", 0, "directory  /run/vswitch/nobody")
	does(t, "info -u nosuch", 1, `no user "nosuch"`)
	does(t, "-H", 0, "Usage:")
	does(t, "-V", 0, "vnetctl ")
}

// Many at once, as scripts do it: each waits for the one before.
func TestCreateAtOnce(t *testing.T) {
	if !ownHost(t) {
		return
	}
	before := hostPicture(t)
	const runs = 8
	for _, verb := range []string{"create", "cancel"} {
		var all sync.WaitGroup
		for i := range runs {
			all.Go(func() { does(t, fmt.Sprintf("%s bridge br%d", verb, i), 0, fmt.Sprintf("bridge br%d", i)) })
		}
		all.Wait()
	}
	if now := hostPicture(t); now != before {
		t.Errorf("something is left:\n%s\n%s", before, now)
	}
}

// Moving the way in needs a confirmation; without one all comes back, and the
// exit code says so.
func TestCreateConfirm(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	before := hostPicture(t)
	ssh := "SSH_CONNECTION=10.9.0.1 1 10.9.0.2 22"
	if out, code := host(t, "create bridge br0 -i up0 --confirm 1 --persist", ssh); code != 5 || !strings.Contains(out, "nobody confirmed") {
		t.Errorf("exit %d: %s", code, out)
	}
	if now := hostPicture(t); now != before {
		t.Errorf("not as before:\n%s\n%s", before, now)
	}
	does(t, "restore", 0, "nothing to restore") // nor was it listed
	does(t, "create bridge br0 -i up0 --confirm 0", 2, "carries the default route")
	does(t, "confirm", 1, "no change waits")
	does(t, "recover", 0, "nothing to recover")
	type result struct {
		out  string
		code int
	}
	done := make(chan result)
	go func() {
		out, code := host(t, "create bridge br0 -i auto --confirm 60 --persist --json", ssh)
		done <- result{out, code}
	}()
	mgmttest.Until(t, "the change waits for confirmation", func() bool {
		out, code := host(t, "confirm", ssh)
		return code == 1 && strings.Contains(out, "proves nothing")
	})
	does(t, "recover", 1, "waits for confirmation")
	does(t, "cancel bridge br0", 1, "waits for confirmation")
	if out, code := host(t, "confirm", "SSH_CONNECTION=10.9.0.1 2 10.9.0.2 22"); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	r := <-done
	var answer changeAnswer
	text := r.out[strings.IndexByte(r.out, '{'):]
	if err := json.Unmarshal([]byte(text), &answer); err != nil || r.code != 0 || !answer.Changed || answer.Confirm != 60 || len(answer.Made) != 1 {
		t.Errorf("exit %d: %v: %s", r.code, err, r.out)
	}
	if out := hostSh(t, "ip -br address show br0; ip route"); !strings.Contains(out, "10.9.0.2/24") || !strings.Contains(out, "default via 10.9.0.1 dev br0 metric 50") {
		t.Errorf("moved: %s", out)
	}
	does(t, "restore", 0, "unchanged bridge br0")
	does(t, "cancel bridge br0 --confirm 0 -f", 0, "removed bridge br0")
	does(t, "restore", 0, "nothing to restore")
	if now := hostPicture(t); now != before {
		t.Errorf("not as before:\n%s\n%s", before, now)
	}
}

// What makes no sense is refused with cause, cure and exit code.
func TestCreateMistakes(t *testing.T) {
	if !ownHost(t) {
		return
	}
	if err := os.Mkdir("/run/file", 0o700); err != nil {
		t.Fatal(err)
	}
	before := hostPicture(t)
	for _, c := range []struct {
		line string
		code int
		want string
	}{
		{"create -u nosuch", 1, `no user "nosuch"`},
		{"create -u nobody.nosuch", 1, `no group "nosuch"`},
		{"create -u nobody -g daemon --taps 0", 1, "-u nobody.daemon -g daemon"},
		{"create --taps 65", 2, "0 to 64"},
		{"create bridge", 2, "argument is missing"},
		{"create bridge abcdefghijklmnop", 1, "16 bytes"},
		{"create bridge br0 -i nosuch", 1, "no interface nosuch"},
		{"create bridge br0 -i lo", 1, "loopback"},
		{"create bridge br0 -i auto", 1, "no default route"},
		{"create bridge br0 --confirm soon", 2, "--confirm wants seconds"},
		{"create tap t0 -b nosuch", 1, "no interface nosuch"},
		{"create tap t0 -b lo", 1, "no bridge"},
		{"create switch /run/sw -u nobody --plug nosuch", 1, "no TAP nosuch"},
		{"create brigde x", 2, `did you mean "bridge"`},
		{"create switch /run/file -u nobody", 1, "not user 65534's"},
		{"cancel tap abcdefghijklmnop", 1, "16 bytes"},
	} {
		text, code := host(t, c.line)
		if code != c.code || !strings.Contains(text, c.want) || c.code != 2 && !strings.Contains(text, "cure:") {
			t.Errorf("vnetctl %s: exit %d, want %d and %q:\n%s", c.line, code, c.code, c.want, text)
		}
	}
	if now := hostPicture(t); now != before {
		t.Errorf("something was changed:\n%s\n%s", before, now)
	}
}

// How long the whole takes, with the start of vnetctl itself. No bound that a
// busy machine breaks: the numbers are printed. On an idle one they are to be
// below 150 ms and 100 ms.
func TestCreateTime(t *testing.T) {
	if !ownHost(t) {
		return
	}
	create := "create -u nobody"
	if !hasTAPs(t) {
		create += " --taps 0"
	}
	var made, gone []time.Duration
	for range 7 {
		begin := time.Now()
		does(t, create, 0)
		middle := time.Now()
		does(t, "cancel -u nobody", 0)
		made, gone = append(made, middle.Sub(begin)), append(gone, time.Since(middle))
	}
	for verb, times := range map[string][]time.Duration{"create": made, "cancel": gone} {
		slices.Sort(times)
		t.Logf("%s: median %v, from %v to %v", verb, times[len(times)/2], times[0], times[len(times)-1])
		if times[0] > 5*time.Second {
			t.Errorf("%s: that is too long on any machine", verb)
		}
	}
}

// Killed in the middle: the next one says so and what helps, check says so, and
// recover makes it as if nothing had been.
func TestCreateKilled(t *testing.T) {
	if !ownHost(t) {
		return
	}
	oneNIC(t)
	before := hostPicture(t)
	for _, at := range []string{"journal", "do 1", "done 2", "did 3"} {
		if out, code := host(t, "create bridge br0 -i up0 --confirm 0 -f", dieAt+"="+at); code != -1 {
			t.Fatalf("%s: exit %d: %s", at, code, out)
		}
		does(t, "create bridge br0", 1, "began and did not end", "cure:  vnetctl recover")
		does(t, "check -n", 1, "fail  journal", "cure: vnetctl recover")
		does(t, "recover", 0, "create bridge: undone")
		if now := hostPicture(t); now != before {
			t.Errorf("%s: not as before:\n%s\n%s", at, before, now)
		}
	}
	// With a guardian nobody needs to say recover.
	if out, code := host(t, "create bridge br0 -i up0 --confirm 60", dieAt+"=did 3"); code != -1 {
		t.Fatalf("exit %d: %s", code, out)
	}
	mgmttest.Until(t, "the guardian has undone it", func() bool { return hostPicture(t) == before })
}
