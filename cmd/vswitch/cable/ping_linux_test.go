package cable

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	vswitch "vnetkit/switch"
)

// host is a network namespace with one network card, which a real vde_plug
// brings to the end of a cable of ours. It lives as long as its first process.
type host struct {
	t  *testing.T
	ns string
	ip string
}

func newHost(t *testing.T, n int) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	p := run(t, "unshare", "--net", "sh", "-c", "echo $$; exec cat")
	_ = p.out.SetReadDeadline(time.Now().Add(patience))
	line := make([]byte, 32)
	k, err := p.out.Read(line)
	if err != nil {
		t.Fatalf("no namespace: %v: %s", err, &p.stderr)
	}
	h := &host{t: t, ns: "/proc/" + strings.TrimSpace(string(line[:k])) + "/ns/net", ip: fmt.Sprint("10.9.8.", n)}
	return h
}

// command is how to run a command there.
func (h *host) command(args ...string) []string {
	return append([]string{"nsenter", "--net=" + h.ns}, args...)
}

func (h *host) sh(script string) (out string, ok bool) {
	h.t.Helper()
	args := h.command("sh", "-c", script)
	text, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return string(text), err == nil
}

// plug is the command that is the host's end of a cable.
func (h *host) plug() []string { return h.command("vde_plug", "tap://eth0") }

// up waits for the network card and gives it its address.
func (h *host) up() {
	h.t.Helper()
	eventually(h.t, "a network card", func() bool { _, ok := h.sh("ip link show eth0"); return ok })
	if out, ok := h.sh("ip link set lo up; ip addr add " + h.ip + "/24 dev eth0 && ip link set eth0 up"); !ok {
		h.t.Fatal(out)
	}
}

var roundTrip = regexp.MustCompile(`round-trip min/avg/max = ([0-9.]+)/`)

// ping returns the shortest of a few round trips.
func (h *host) ping(to *host) (shortest time.Duration) {
	h.t.Helper()
	out, ok := h.sh("busybox ping -q -c 8 -i 0.05 -w 20 " + to.ip)
	m := roundTrip.FindStringSubmatch(out)
	if !ok || m == nil {
		h.t.Fatalf("ping: %s", out)
	}
	ms, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		h.t.Fatal(err)
	}
	return time.Duration(ms * float64(time.Millisecond))
}

func (s *testSwitch) impair(port int, text string) {
	s.t.Helper()
	cable, err := vswitch.ParseImpair(text)
	if err == nil {
		_, err = s.SetPort(strconv.Itoa(port), vswitch.PortChange{Impair: &cable})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Two hosts on a switch: the round trip grows by what their cables are set to,
// while they talk, and is what it was when the cables are good again.
func TestPingOverBadCable(t *testing.T) {
	s := startSwitch(t)
	a, b := newHost(t, 1), newHost(t, 2)
	run(t, self(append([]string{s.dir, "="}, a.plug()...)...)...)
	s.awaitPorts(1)
	run(t, self(append([]string{s.dir, "="}, b.plug()...)...)...)
	s.awaitPorts(2)
	a.up()
	b.up()
	for _, tc := range []struct {
		first, second string
		least         time.Duration
	}{
		{"none", "none", 0},
		{"delay:20ms", "none", 40 * time.Millisecond},
		{"in-delay:20ms", "none", 20 * time.Millisecond},
		{"in-delay:20ms", "out-delay:30ms+out-jitter:5ms", 45 * time.Millisecond},
		{"delay:10ms", "delay:10ms", 40 * time.Millisecond},
		{"rate:64k", "none", 24 * time.Millisecond}, // 98 bytes take 12 ms
	} {
		s.impair(1, tc.first)
		s.impair(2, tc.second)
		if took := a.ping(b); took < tc.least {
			t.Errorf("%s, %s: %v, want at least %v", tc.first, tc.second, took, tc.least)
		} else {
			t.Logf("%s, %s: %v of %v", tc.first, tc.second, took, tc.least)
		}
	}
	s.impair(1, "none")
	s.impair(2, "in-loss:100%")
	before := s.Ports()[1].Drops[vswitch.DropImpairLoss]
	if out, ok := a.sh("busybox ping -q -c 2 -i 0.1 -W 1 " + b.ip); ok {
		t.Errorf("ping through a cable that loses everything: %s", out)
	}
	if s.Ports()[1].Drops[vswitch.DropImpairLoss] == before {
		t.Error("nothing was counted")
	}
	s.impair(2, "in-delay:1s")
	s.impair(2, "none")
	if took := a.ping(b); took >= time.Second {
		t.Errorf("good cables again: %v", took)
	}
}

// wirefilter does to a cable what impair does: the same settings, the same lower
// bounds.
func TestPingLikeWirefilter(t *testing.T) {
	sa, sb := startSwitch(t), startSwitch(t)
	a, b := newHost(t, 1), newHost(t, 2)
	args := append([]string{"dpipe"}, self(sa.dir)...)
	args = append(args, "=", "wirefilter", "-d", "15", "=")
	run(t, append(args, self(sb.dir)...)...)
	sa.awaitPorts(1)
	sb.awaitPorts(1)
	run(t, self(append([]string{sa.dir, "="}, a.plug()...)...)...)
	run(t, self(append([]string{sb.dir, "="}, b.plug()...)...)...)
	sa.awaitPorts(2)
	sb.awaitPorts(2)
	a.up()
	b.up()
	theirs := a.ping(b)
	sa.impair(1, "delay:15ms") // on top of it
	both := a.ping(b)
	t.Logf("wirefilter -d 15: %v; and impair=delay:15ms: %v", theirs, both)
	if theirs < 30*time.Millisecond || both < 60*time.Millisecond {
		t.Errorf("wirefilter %v, want 30 ms; both %v, want 60 ms", theirs, both)
	}
}
