package e2e

import (
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/api"
)

// TestStuckGuestDoesNotFreezeSender stops a guest's QEMU while another guest
// floods it. The sender's QEMU must go on to serve its monitor: as a server
// it writes to a blocking socket, so a switch that stopped to read even for a
// moment would freeze the whole VM.
func TestStuckGuestDoesNotFreezeSender(t *testing.T) {
	needGuests(t)
	dir := tempDir(t)
	listening := filepath.Join(dir, "vm1")
	v := startSwitch(t, "--port", "stream:unix:"+listening+",connect=on,name=vm1")
	server, client := boot(t, 1, streamUnix(listening, true)), boot(t, 2, streamUnix(v.door(), false))
	stuck := boot(t, 3, streamUnix(v.door(), false))
	ready(server, client, stuck)

	for _, sender := range []struct {
		name  string
		guest *guest
	}{{"Server", server}, {"Client", client}} {
		t.Run(sender.name, func(t *testing.T) {
			within(t, server, client, stuck)
			g := sender.guest
			g.mustPing(stuck.ip)
			// A neighbour that no longer answers would otherwise be given up.
			g.sh("arp -s " + stuck.ip + " " + stuck.mac)
			g.sh("iperf3 -c " + stuck.ip + " -u -b 0 -l 1400 -t 300 >/tmp/iperf 2>&1 & echo $! >/tmp/pid")
			flows := func(since, atLeast int) func() bool {
				return func() bool { return g.counter("tx_packets") > since+atLeast }
			}
			eventually(t, "the flood runs", flows(g.counter("tx_packets"), 1000))

			stuck.signal(syscall.SIGSTOP)
			// Enough to fill every queue between the two guests.
			eventually(t, "the flood goes on", flows(g.counter("tx_packets"), 20000))
			checkAnswers(t, g)
			// The rest of the switch works too: the senders still reach each other.
			server.mustPing(client.ip)
			// What the stopped one does not take is counted at its port, and nobody else's
			// frames are lost.
			if n := dropped(v.portOf(stuck)); n == 0 {
				t.Errorf("the port of the stopped guest has dropped nothing: %+v", v.portOf(stuck))
			}
			for _, p := range []*api.Port{v.port("vm1"), v.portOf(client)} {
				if n := dropped(p); n != 0 {
					t.Errorf("port %s has dropped %d frames: %v", p.Name, n, p.Drops)
				}
			}

			stuck.signal(syscall.SIGCONT)
			g.sh("kill -9 $(cat /tmp/pid)")
			g.mustPing(stuck.ip)
		})
	}
	if v.port("vm1") == nil || v.portOf(client) == nil || v.portOf(stuck) == nil {
		t.Errorf("a port was lost: %+v", v.ports())
	}
}

// dropped is how many frames a port has not sent to its guest.
func dropped(p *api.Port) uint64 { return p.Drops["ring-full"] + p.Drops["link-lost"] }

// checkAnswers wants QEMU's monitor to answer within 200 ms: half of the
// tries at least, as a busy machine may hold up some, and none for seconds.
func checkAnswers(t *testing.T, g *guest) {
	t.Helper()
	m := openMonitor(g)
	defer m.conn.Close()
	took := make([]time.Duration, 21)
	for i := range took {
		took[i] = m.answersIn()
	}
	slices.Sort(took)
	t.Logf("QMP answers: median %v, longest %v", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 200*time.Millisecond {
		t.Errorf("QEMU answers in %v at the median, want 200ms at most", took[len(took)/2])
	}
	if took[len(took)-1] > 5*time.Second {
		t.Errorf("QEMU once took %v to answer", took[len(took)-1])
	}
}
