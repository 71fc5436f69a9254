package e2e

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A guest is a running QEMU with a shell on its serial line.
type guest struct {
	t    *testing.T
	name string
	mac  string
	ip   string // IPv4
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *transcript
	pos  int // behind the last command's output
	seq  int // of commands, for the markers
	qmp  string
}

// boot starts the n-th guest of a test, at 10.0.0.n, with netdev as its
// -netdev (id n0), and does not wait for it: see ready.
func boot(t *testing.T, n int, netdev string) *guest {
	t.Helper()
	return bootCard(t, n, "", "-netdev", netdev)
}

// bootCard is boot with further properties of the network card, and arguments of
// QEMU's.
func bootCard(t *testing.T, n int, card string, args ...string) *guest {
	t.Helper()
	g := &guest{
		t:    t,
		name: "vm" + strconv.Itoa(n),
		mac:  fmt.Sprintf("52:54:00:00:00:%02x", n),
		ip:   fmt.Sprintf("10.0.0.%d", n),
		out:  newTranscript(),
		qmp:  filepath.Join(tempDir(t), "qmp"),
	}
	g.cmd = exec.Command(filepath.Join(root, "scripts/guest"), append([]string{"boot",
		"name=" + g.name, "ip=" + g.ip + "/24", "iperf3=1", "plain=1", "--",
		"-device", "virtio-net-pci,netdev=n0,romfile=,mac=" + g.mac + card,
		"-qmp", "unix:" + g.qmp + ",server=on,wait=off"}, args...)...)
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.out
	var err error
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	start(t, g.cmd)
	go func() {
		g.cmd.Wait()
		g.out.close()
	}()
	t.Cleanup(func() {
		g.signal(syscall.SIGKILL)
		g.out.ended(patience)
		if t.Failed() {
			t.Logf("console of %s:\n%s", g.name, g.out.tail())
		}
	})
	return g
}

// ready waits until every guest takes commands.
func ready(guests ...*guest) {
	for _, g := range guests {
		g.t.Helper()
		pos, err := g.out.find("vnet-guest: ready "+g.name, 0, patience)
		if err != nil {
			g.t.Fatalf("boot %s: %v", g.name, err)
		}
		g.pos = pos
		// The kernel adds the link-local address when it sees the carrier, up to a second after link up.
		g.sh("until ip addr show dev eth0 | grep -q fe80; do usleep 20000; done")
	}
}

// try runs a command in the guest and returns its output and exit status.
func (g *guest) try(command string) (out string, status int) {
	g.t.Helper()
	g.seq++
	begin, end := fmt.Sprintf("@@begin%d\n", g.seq), fmt.Sprintf("@@end%d ", g.seq)
	fmt.Fprintf(g.in, "echo @@begin%d; { %s; } 2>&1 </dev/null; echo @@end%d $?.\n", g.seq, command, g.seq)
	from, err := g.out.find(begin, g.pos, patience)
	if err == nil {
		g.pos, err = g.out.find(end, from, patience)
	}
	if err != nil {
		g.t.Fatalf("%s: %s: %v", g.name, command, err)
	}
	out = g.out.slice(from, g.pos-len(end))
	from = g.pos
	if g.pos, err = g.out.find(".\n", from, patience); err == nil {
		status, err = strconv.Atoi(g.out.slice(from, g.pos-2))
	}
	if err != nil {
		g.t.Fatalf("%s: %s: exit status: %v", g.name, command, err)
	}
	return out, status
}

// sh runs a command that must succeed.
func (g *guest) sh(command string) string {
	g.t.Helper()
	out, status := g.try(command)
	if status != 0 {
		g.t.Fatalf("%s: %s: exit status %d\n%s", g.name, command, status, out)
	}
	return out
}

// mustPing pings addr three times and wants three answers. args go to ping.
func (g *guest) mustPing(addr string, args ...string) {
	g.t.Helper()
	out := g.sh(fmt.Sprintf("ping -c 3 -i 0.2 -W 20 %s %s", strings.Join(args, " "), addr))
	if !strings.Contains(out, "3 packets transmitted, 3 packets received") {
		g.t.Fatalf("%s: ping %s:\n%s", g.name, addr, out)
	}
}

// cannotReach wants no answer to ARP requests for addr on the guest's dev.
func (g *guest) cannotReach(addr, dev string) {
	g.t.Helper()
	if out, status := g.try(fmt.Sprintf("arping -c 2 -w 2 -I %s %s", dev, addr)); status == 0 {
		g.t.Fatalf("%s reaches %s on %s, which it must not:\n%s", g.name, addr, dev, out)
	}
}

// linkLocal is the guest's IPv6 link-local address, made from its MAC.
func (g *guest) linkLocal() string {
	mac, err := net.ParseMAC(g.mac)
	if err != nil {
		g.t.Fatal(err)
	}
	return net.IP{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}.String()
}

// within makes guests report to the subtest t while it runs.
func within(t *testing.T, guests ...*guest) {
	for _, g := range guests {
		outer := g.t
		g.t = t
		t.Cleanup(func() { g.t = outer })
	}
}

func (g *guest) pid() int { return g.cmd.Process.Pid }

func (g *guest) signal(sig syscall.Signal) { g.cmd.Process.Signal(sig) }

// counter reads one of eth0's counters in the guest.
func (g *guest) counter(name string) int {
	g.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(g.sh("cat /sys/class/net/eth0/statistics/" + name)))
	if err != nil {
		g.t.Fatalf("%s: %s: %v", g.name, name, err)
	}
	return n
}

// The forms of -netdev that the tests use.

func streamUnix(path string, server bool) string {
	return fmt.Sprintf("stream,id=n0,server=%s,addr.type=unix,addr.path=%s", onOff(server), path)
}

func streamTCP(host, port string) string {
	return fmt.Sprintf("stream,id=n0,server=off,addr.type=inet,addr.host=%s,addr.port=%s", host, port)
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
