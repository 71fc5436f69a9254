//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Two guests of QEMU's, the ones of the tests, on a switch: iperf3 from one to the other, and pings.

// guestPeer is a way to connect them.
type guestPeer struct {
	name    string
	missing func() string
	start   func(s *site, vswitch string)
	netdev  func(s *site, n int) (card string, args []string) // of guest n; card is appended to -device
}

const scriptGuest = "scripts/guest"

func guestPeers() []guestPeer {
	dir := func(s *site) string { return filepath.Join(s.b.dir, "sw") }
	vswitch := func(s *site, program string) {
		if p := s.daemon(exec.Command(program, "-q", "-s", dir(s))); p != nil && s.failed == nil {
			s.failed = awaitFiles(p, filepath.Join(dir(s), "vhost"), filepath.Join(dir(s), "stream"))
		}
	}
	return []guestPeer{
		{name: "vhost", start: vswitch, netdev: func(s *site, _ int) (string, []string) {
			return ",vectors=0", []string{ // QEMU 7.2 without KVM dies of message-signalled interrupts here
				"-object", "memory-backend-memfd,id=m0,size=192M,share=on", "-machine", "memory-backend=m0",
				"-chardev", "socket,id=c0,path=" + filepath.Join(dir(s), "vhost"), "-netdev", "vhost-user,id=n0,chardev=c0"}
		}},
		{name: "stream", start: vswitch, netdev: func(s *site, _ int) (string, []string) {
			return "", []string{"-netdev", "stream,id=n0,server=off,addr.type=unix,addr.path=" + filepath.Join(dir(s), "stream")}
		}},
		{name: "bridge", start: func(s *site, _ string) {
			s.ip(s.mid, "link add br0 type bridge")
			s.ip(s.mid, "link set br0 up")
			for i := range 2 {
				s.ip(s.mid, fmt.Sprintf("tuntap add dev g%d mode tap vnet_hdr", i+1))
				s.ip(s.mid, fmt.Sprintf("link set g%d master br0 up", i+1))
			}
		}, netdev: func(_ *site, n int) (string, []string) {
			return "", []string{"-netdev", fmt.Sprintf("tap,id=n0,ifname=g%d,script=no,downscript=no", n)}
		}},
		{name: "vde_switch", missing: notInstalled("vde_switch", "vde2"), start: func(s *site, _ string) {
			ctl := filepath.Join(s.b.dir, "vde")
			if p := s.daemon(exec.Command("vde_switch", "-s", ctl)); p != nil && s.failed == nil {
				s.failed = awaitFiles(p, filepath.Join(ctl, "ctl"))
			}
		}, netdev: func(s *site, _ int) (string, []string) {
			return "", []string{"-netdev", "vde,id=n0,sock=" + filepath.Join(s.b.dir, "vde")}
		}},
	}
}

// console is a guest's shell.
type console struct {
	*process
	in  io.Writer
	out *bufio.Reader
	seq int
}

func (h guestPeer) boot(s *site, n int) (*console, error) {
	card, args := h.netdev(s, n)
	cmd := s.mid.in(append([]string{scriptGuest, "boot", fmt.Sprintf("name=vm%d", n), fmt.Sprintf("ip=10.0.0.%d/24", n), "iperf3=1", "plain=1", "--",
		"-device", fmt.Sprintf("virtio-net-pci,netdev=n0,romfile=,mac=52:54:00:00:00:%02x%s", n, card)}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := s.b.start("guest", cmd, cpuClient)
	if err != nil {
		return nil, err
	}
	s.procs = append(s.procs, p)
	return &console{process: p, in: p.stdin.(io.Writer), out: bufio.NewReader(out)}, nil
}

// bootAll starts the switch and guests 10.0.0.1 to 10.0.0.n, and returns when they are up.
func (h guestPeer) bootAll(b *bed, vswitch string, n int) (s *site, guests []*console, err error) {
	if s, err = newSite(b, 1500); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if h.start(s, vswitch); s.failed != nil {
		return nil, nil, s.failed
	}
	for i := range n {
		g, err := h.boot(s, i+1)
		if err != nil {
			return nil, nil, err
		}
		guests = append(guests, g)
	}
	for _, g := range guests {
		if _, err := g.until("vnet-guest: ready"); err != nil {
			return nil, nil, err
		}
	}
	return s, guests, nil
}

// until reads up to a line with a mark in it, and returns what came before.
func (c *console) until(mark string) (string, error) {
	alarm := time.AfterFunc(2*time.Minute, func() { c.cmd.Process.Kill() })
	defer alarm.Stop()
	var text strings.Builder
	for {
		line, err := c.out.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("guest: %w: %s %s", err, text.String(), c.stderr.String())
		}
		if strings.Contains(line, mark) {
			return text.String(), nil
		}
		text.WriteString(line)
	}
}

func (c *console) sh(command string) (string, error) {
	c.seq++
	if _, err := fmt.Fprintf(c.in, "{ %s; } 2>&1 </dev/null; echo @@end%d\n", command, c.seq); err != nil {
		return "", err
	}
	return c.until(fmt.Sprintf("@@end%d", c.seq))
}

var (
	iperfReceived = regexp.MustCompile(`([\d.]+) Mbits/sec +receiver`)
	pingTime      = regexp.MustCompile(`time=([\d.]+) ms`)
)

func (h guestPeer) measure(b *bed, vswitch string) (values, error) {
	s, guests, err := h.bootAll(b, vswitch, 2)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if _, err := guests[0].sh("ping -c 3 -i 0.2 10.0.0.2"); err != nil { // they know each other
		return nil, err
	}
	out, err := guests[0].sh("ping -c 200 -i 0.01 10.0.0.2")
	if err != nil {
		return nil, err
	}
	var times []float64
	for _, m := range pingTime.FindAllStringSubmatch(out, -1) {
		ms, _ := strconv.ParseFloat(m[1], 64)
		times = append(times, ms*1e3)
	}
	if len(times) < 100 {
		return nil, fmt.Errorf("ping: %s", out)
	}
	slices.Sort(times)
	if out, err = guests[0].sh("iperf3 -c 10.0.0.2 -t 4 -f m"); err != nil {
		return nil, err
	}
	m := iperfReceived.FindStringSubmatch(out)
	if m == nil {
		return nil, fmt.Errorf("iperf3: %s", out)
	}
	mbits, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return nil, err
	}
	return values{mGbps: mbits / 1e3, mP50: times[len(times)/2], mP99: times[len(times)*99/100]}, nil
}

// guestScenarios have no cells where there are no guests.
func guestScenarios(vswitch string) []*scenario {
	peers := guestPeers()
	if _, err := os.Stat(scriptGuest); err != nil || os.Geteuid() != 0 || notInstalled("qemu-system-x86_64", "qemu-system-x86")() != "" {
		peers = nil
	}
	tcp := &scenario{name: "guests/tcp", table: tableHost, base: "bridge", reps: atMost(3)}
	for _, h := range peers {
		if h.missing == nil || h.missing() == "" {
			tcp.cells = append(tcp.cells, cell{name: h.name, peer: &peer{name: h.name}, direct: func(b *bed) (values, error) { return h.measure(b, vswitch) }})
		}
	}
	return []*scenario{tcp, stoppedScenario(peers, vswitch)}
}

func guestTargets() []target {
	ratio := func(b, metric string) func(*results) float64 {
		return func(r *results) float64 { return r.ratio("guests/tcp", "vhost", b, metric) }
	}
	return append(stoppedTargets(), []target{
		{"two guests, iperf3 by vhost-user: x TAP + kernel bridge", 0.9, true, ratio("bridge", mGbps), "guests/tcp"},
		{"two guests, iperf3 by vhost-user: x stream", 1.5, true, ratio("stream", mGbps), "guests/tcp"},
		{"two guests, ping p50 by vhost-user: x stream", 1.05, false, ratio("stream", mP50), "guests/tcp"},
	}...)
}
