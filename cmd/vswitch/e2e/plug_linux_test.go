package e2e

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/api"
)

// TestLab runs two guests on a cable instead of a switch. When it fails, the
// fault is in the lab, and the other tests say nothing about the switch.
func TestLab(t *testing.T) {
	needGuests(t)
	cable := filepath.Join(tempDir(t), "cable")
	a := boot(t, 1, streamUnix(cable, true))
	openMonitor(a).execute("query-status") // answers only when the cable's socket is there
	b := boot(t, 2, streamUnix(cable, false))
	ready(a, b)

	a.mustPing(b.ip)
	b.mustPing(a.linkLocal(), "-I eth0")
	if _, status := a.try("(exit 7)"); status != 7 {
		t.Fatalf("(exit 7) has status %d", status)
	}
}

// mustTalk pings in both directions, over IPv4 and IPv6.
func mustTalk(a, b *guest) {
	a.t.Helper()
	a.mustPing(b.ip)
	b.mustPing(a.ip)
	a.mustPing(b.linkLocal(), "-I eth0")
}

// mustLearn wants each guest's MAC behind that guest's own port.
func mustLearn(v *vswitch, guests ...*guest) {
	v.t.Helper()
	seen := map[int]string{}
	for _, g := range guests {
		id := v.learned(g, 1)
		if id == 0 {
			v.t.Fatalf("%s of %s is not in the FDB", g.mac, g.name)
		}
		if other, twice := seen[id]; twice {
			v.t.Fatalf("%s and %s are both behind port %d", g.name, other, id)
		}
		seen[id] = g.name
		if p := v.portOf(g); p != nil && p.ID != id {
			v.t.Fatalf("%s is plugged into port %d, but its MAC is behind port %d", g.name, p.ID, id)
		}
	}
}

func TestTwoGuestsPingThroughDoor(t *testing.T) {
	needGuests(t)
	v := startSwitch(t)
	a, b := boot(t, 1, streamUnix(v.door(), false)), boot(t, 2, streamUnix(v.door(), false))
	ready(a, b)

	mustTalk(a, b)
	for _, g := range []*guest{a, b} {
		if v.portOf(g) == nil {
			t.Fatalf("no port names %s's QEMU, pid %d, as its peer: %+v", g.name, g.pid(), v.ports())
		}
	}
	mustLearn(v, a, b)

	// A frame as large as the MTU, and one of every length that may be padded on its way.
	for size := range 48 {
		a.sh("ping -c 1 -W 20 -s " + itoa(size) + " " + b.ip)
	}
	a.mustPing(b.ip, "-s 1472")
	v.stop()
}

// TestQEMUAsServer has the switch dial guests that listen. QEMU 7.2 never
// reconnects as a client, so this is how a guest outlives its switch.
func TestQEMUAsServer(t *testing.T) {
	needGuests(t)
	dir := tempDir(t)
	path1, path2 := filepath.Join(dir, "vm1"), filepath.Join(dir, "vm2")
	v := startSwitch(t,
		"--port", "stream:unix:"+path1+",connect=on,name=vm1",
		"--port", "stream:unix:"+path2+",connect=on,name=vm2")
	a, b := boot(t, 1, streamUnix(path1, true)), boot(t, 2, streamUnix(path2, true))
	ready(a, b)

	plugged := func() bool {
		for _, name := range []string{"vm1", "vm2"} {
			if p := v.port(name); p == nil || p.State != api.StateUp {
				return false
			}
		}
		return true
	}
	eventually(t, "both ports are up", plugged)
	mustTalk(a, b)
	mustLearn(v, a, b)

	v.stop()
	v.start()
	eventually(t, "both ports are up again", plugged)
	mustTalk(a, b)
	mustLearn(v, a, b)
}

// TestNetdevSocket plugs QEMU's older -netdev socket in, which speaks the same bytes over TCP.
func TestNetdevSocket(t *testing.T) {
	needGuests(t)
	door, _ := freeTCP(t, "127.0.0.1")
	dialled, _ := freeTCP(t, "127.0.0.1")
	v := startSwitch(t,
		"--port", "stream:tcp:"+door,
		"--port", "stream:tcp:"+dialled+",connect=on,name=dialled")
	a, b := boot(t, 1, "socket,id=n0,connect="+door), boot(t, 2, "socket,id=n0,listen="+dialled)
	ready(a, b)

	eventually(t, "the dialled port is up", func() bool {
		p := v.port("dialled")
		return p != nil && p.State == api.StateUp
	})
	mustTalk(a, b)
	mustLearn(v, a, b)
	if id, p := v.learned(b, 1), v.port("dialled"); p.ID != id {
		t.Fatalf("%s is behind port %d, not behind %q, port %d", b.name, id, p.Name, p.ID)
	}
}

// TestTCPDoor plugs one guest in over IPv4 and one over IPv6.
func TestTCPDoor(t *testing.T) {
	needGuests(t)
	addr4, port4 := freeTCP(t, "127.0.0.1")
	addr6, port6 := freeTCP(t, "::1")
	v := startSwitch(t, "--port", "stream:tcp:"+addr4, "--port", "stream:tcp:"+addr6)
	a, b := boot(t, 1, streamTCP("127.0.0.1", port4)), boot(t, 2, streamTCP("::1", port6))
	ready(a, b)

	mustTalk(a, b)
	mustLearn(v, a, b)
}

// TestKilledGuestIsForgotten kills a QEMU: its port and its MAC must go within a second.
func TestKilledGuestIsForgotten(t *testing.T) {
	needGuests(t)
	v := startSwitch(t)
	a, b := boot(t, 1, streamUnix(v.door(), false)), boot(t, 2, streamUnix(v.door(), false))
	ready(a, b)
	mustTalk(a, b)
	mustLearn(v, a, b)
	port := v.portOf(b)
	if port == nil {
		t.Fatalf("no port of %s", b.name)
	}

	b.signal(syscall.SIGKILL)
	took := eventually(t, "the dead guest's port and MAC are gone", func() bool {
		if v.learned(b, 1) != 0 {
			return false
		}
		for _, p := range v.ports() {
			if p.ID == port.ID {
				return false
			}
		}
		return true
	})
	// 1 s is the promise; the rest is for a machine that does other things too.
	if took > 5*time.Second {
		t.Errorf("the dead guest was known for another %v", took)
	}
	if v.learned(a, 1) == 0 {
		t.Errorf("the living guest was forgotten as well")
	}
}
