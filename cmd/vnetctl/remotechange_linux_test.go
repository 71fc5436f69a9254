package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt/mgmttest"
	"vnetkit/remote/sshtest"
)

// faultyVnetctl fails at the verb VERB if there is a file %[1]s-fails-VERB. If there
// is %[1]s-cuts, confirming cuts the connection to the one who creates before he
// can say that he has come to his end.
const faultyVnetctl = `for w; do [ ! -e %[1]s-fails-$w ] || { echo "broken $w" >&2; exit 1; }; done
case " $* " in
*" create "*) echo $$ $PPID >%[1]s-session;;
*" confirm "*)
	if [ -e %[1]s-cuts ]; then
		read main sshd <%[1]s-session
		kill -STOP $main; %[2]s/vnetctl "$@"; code=$?; kill -9 $sshd; kill -CONT $main
		exit $code
	fi;;
esac
exec %[2]s/vnetctl "$@"`

// ownedHosts starts hosts with networks of their own: an uplink up0 each, over
// which they are reached.
func ownedHosts(t *testing.T, s *site, names ...string) map[string]*sshtest.Host {
	t.Helper()
	hosts := map[string]*sshtest.Host{}
	hostSh(t, "ip link add br-far type bridge; ip link set br-far up; ip address add 10.8.0.1/24 dev br-far")
	for i, name := range names {
		h := s.Start(name, sshtest.Options{Net: true, Bin: s.script(name, fmt.Sprintf(faultyVnetctl, filepath.Join(s.Dir, name), s.bin))})
		hostSh(t, fmt.Sprintf(`ip link add far%[1]d type veth peer name up0 netns %[2]d
ip link set far%[1]d master br-far up
nsenter -t %[2]d -n sh -ec 'ip link set up0 up; ip address add 10.8.0.%[1]d/24 dev up0; ip route add default via 10.8.0.1'`, i+2, h.PID))
		s.Alias(fmt.Sprintf("10.8.0.%d", i+2), h.Port, name)
		hosts[name] = h
	}
	return hosts
}

// inHost runs shell commands in a host's namespaces.
func inHost(t *testing.T, h *sshtest.Host, script string) string {
	t.Helper()
	return hostSh(t, fmt.Sprintf("nsenter -t %d -n -m sh -ec '%s'", h.PID, script))
}

// picture is a host's network and what vnetctl knows of it.
func picture(t *testing.T, h *sshtest.Host) string {
	t.Helper()
	return inHost(t, h, `ip -j -4 address; ip -j link | sed "s/\"promiscuity\":[0-9]*//"; ip -j -4 route show table all; find /run -type f | sort`)
}

func TestRemoteChanges(t *testing.T) {
	t.Parallel() // it waits much
	if !ownHost(t) {
		return
	}
	s := newSite(t)
	hosts := ownedHosts(t, s, "a", "b", "c")
	has := func(host, link string) bool {
		return strings.Contains(inHost(t, hosts[host], "ip -o link"), " "+link+":")
	}
	addressOn := func(host, link string) bool {
		return strings.Contains(inHost(t, hosts[host], "ip -o -4 address"), " "+link+" ")
	}
	before := map[string]string{}
	for name, h := range hosts {
		inHost(t, h, "mkdir -p /run/vnetctl; "+s.bin+"/vnetctl check >/dev/null 2>&1 || true")
		before[name] = picture(t, h)
	}
	same := func(when string) {
		t.Helper()
		for name, h := range hosts {
			if now := picture(t, h); now != before[name] && !onlyStateFiles(before[name], now) {
				t.Errorf("%s, %s is not as before:\n%s\nbefore:\n%s", when, name, now, before[name])
			}
		}
	}

	t.Run("a change of the way there is confirmed by itself", func(t *testing.T) {
		s.does(0, strings.Fields("-r a create bridge br0 -i up0"), "made bridge br0")
		if !addressOn("a", "br0") || addressOn("a", "up0") {
			t.Error("the address did not move")
		}
		s.does(0, strings.Fields("-r a cancel bridge br0"), "removed bridge br0")
		same("after cancel")
	})
	t.Run("all", func(t *testing.T) {
		s.does(0, strings.Fields("create -r a,b,c --all-or-none bridge br0 -i up0"), "=== a\nmade bridge br0", "=== c\nmade bridge br0", "3 hosts: 3 done")
		for name := range hosts {
			if !addressOn(name, "br0") {
				t.Errorf("%s: the address did not move", name)
			}
		}
		s.does(0, strings.Fields("-r a,b,c create bridge br0 --all-or-none"), "unchanged", "3 done")
		out, _ := s.does(0, strings.Fields("-r a,b,c cancel bridge br0 --json"), `"host":"a"`)
		if strings.Count(out, "\n") != 3 {
			t.Errorf("%q", out)
		}
		same("after cancel")
	})
	t.Run("none, because one has something else of that name", func(t *testing.T) {
		inHost(t, hosts["b"], "ip link add br0 type veth peer name br0p")
		_, stderr := s.does(5, strings.Fields("-r a,b,c create bridge br0 -i up0 --all-or-none"), "nothing was changed", "b: vnetctl: ")
		if !strings.Contains(stderr, "2 undone (a, c)") {
			t.Error(stderr)
		}
		inHost(t, hosts["b"], "ip link delete br0")
		same("after a failure")
	})
	fault := func(name string) (mend func()) {
		path := filepath.Join(s.Dir, name)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return func() { _ = os.Remove(path) }
	}
	t.Run("none, because one cannot be confirmed", func(t *testing.T) {
		defer fault("b-fails-confirm")()
		_, stderr := s.does(5, strings.Fields("-r a,b,c create bridge br0 -i up0 --all-or-none"), "nothing was changed", "3 undone (a, b, c)", "broken confirm")
		if strings.Count(stderr, "cannot keep what was made on") != 3 {
			t.Error(stderr)
		}
		same("after a failure")
		mend := fault("a-fails-cancel")
		s.does(5, strings.Fields("-r a,b,c create bridge br0 --all-or-none"), "still changed: a, since", "!nothing was changed", "1 failed (a), 2 undone (b, c)", "broken cancel")
		mend()
		s.does(0, strings.Fields("-r a cancel bridge br0"), "removed bridge br0")
		same("after a failure of undoing")
		s.does(5, strings.Fields("-r b create bridge br0 -i up0 --confirm 2"), "could not be confirmed from here: exit code 1: broken confirm", "nobody confirmed within 2s")
		same("after one that was not confirmed")
	})
	t.Run("all, although one was cut off behind its confirmation", func(t *testing.T) {
		mend := fault("c-cuts")
		s.does(0, strings.Fields("-r a,b,c create bridge br0 --all-or-none"), "c: vnetctl: done and confirmed", "3 hosts: 3 done", "=== a\nmade bridge br0")
		mend()
		mend = fault("b-fails-confirm")
		s.does(0, strings.Fields("-r a,b,c cancel bridge br0"))
		same("after cancel")
		defer fault("c-cuts")()
		s.does(5, strings.Fields("-r a,b,c create bridge br0 --all-or-none"), "still changed: c, since", "cure:  vnetctl -r c check", "1 failed (c), 2 undone (a, b)")
		mend()
		s.does(0, strings.Fields("-r c cancel bridge br0"), "removed bridge br0")
		same("after one that did not know what was made")
	})
	t.Run("none, because one cannot be reached", func(t *testing.T) {
		out, _ := s.does(5, strings.Fields("-r a,nosuch.invalid,c create bridge br0 --all-or-none --json"), `"host":"nosuch.invalid","exit":4`, `"host":"c","exit":5`)
		if strings.Count(out, "\n") != 3 {
			t.Errorf("%q", out)
		}
		same("after a failure")
	})
	t.Run("none, because somebody pressed Ctrl-C", func(t *testing.T) {
		free := holdLock(t, hosts["b"]) // so that the others must wait
		p := s.start(strings.Fields("-r a,b,c create bridge br0 --all-or-none")...)
		mgmttest.Until(t, "a and c are done", func() bool { return has("a", "br0") && has("c", "br0") })
		if code := p.interrupt(t); code == 0 {
			t.Error("exit 0")
		}
		free()
		mgmttest.Until(t, "all is undone", func() bool { return !has("a", "br0") && !has("b", "br0") && !has("c", "br0") })
		same("after an interrupt")
	})
	t.Run("a network that is cut undoes it", func(t *testing.T) {
		free := holdLock(t, hosts["a"])
		p := s.start(strings.Fields("-r a,c create bridge br0 -i up0 --all-or-none --confirm 4 --timeout 20s")...)
		mgmttest.Until(t, "c is done", func() bool { return has("c", "br0") && addressOn("c", "br0") })
		hostSh(t, "ip link set far4 down")
		free()
		mgmttest.Until(t, "c undoes it by itself", func() bool { return !has("c", "br0") })
		hostSh(t, "ip link set far4 up")
		<-p.ended
		mgmttest.Until(t, "a undoes it, too", func() bool { return !has("a", "br0") })
		if code := p.ProcessState.ExitCode(); code == 0 {
			t.Errorf("exit 0: %s%s", &p.out, &p.err)
		}
		same("after a cut")
	})
}

// holdLock keeps every vnetctl on a host waiting until free is called.
func holdLock(t *testing.T, h *sshtest.Host) (free func()) {
	t.Helper()
	inHost(t, h, "mkdir -p /run/vnetctl; (flock -x 9; echo held >/run/held; exec sleep 300) 9>/run/vnetctl/lock >/dev/null 2>&1 & echo $! >/run/holder; while [ ! -e /run/held ]; do sleep 0.01; done")
	return func() {
		t.Helper()
		inHost(t, h, "kill $(cat /run/holder); rm /run/holder /run/held")
	}
}

// onlyStateFiles tells whether two pictures differ in files that a first run
// leaves.
func onlyStateFiles(before, now string) bool {
	strip := func(text string) string {
		var kept []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "/run/vnetctl/") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	return strip(before) == strip(now)
}
