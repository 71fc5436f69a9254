//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// The host's own network through a switch: two network namespaces, each with one device p1, p2 that leads to the
// switch. Between their kernels iperf3 speaks, and frames are sent by packet sockets as elsewhere.

// space is a network namespace that lives as long as one child.
type space struct{ proc *process }

// in makes a command run in the namespace. nsenter becomes the command: it is the child itself.
func (s *space) in(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--net=" + s.path()}, args...)...)
}

func (s *space) path() string { return fmt.Sprintf("/proc/%d/ns/net", s.proc.pid()) }

func newSpace(b *bed) (*space, error) {
	cmd := exec.Command(selfProgram, "hold", "-")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	proc, err := b.start("namespace", cmd, cpuClient)
	if err != nil {
		return nil, err
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		<-proc.exited
		defer proc.stop()
		return nil, proc.dead()
	}
	return &space{proc}, nil
}

// runHold is the child that a namespace lives by.
func runHold(string) error {
	for _, which := range []string{"default", "all"} {
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0o644) // no chatter
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1)) // until the bench is gone
	return nil
}

// site is a switch in a namespace with two others behind it.
type site struct {
	b      *bed
	mid    *space
	ends   [2]*space
	procs  []*process // helpers of the switch, in the order in which they started
	mtu    int
	failed error
}

func newSite(b *bed, mtu int) (*site, error) {
	s := &site{b: b, mtu: mtu}
	for _, p := range []**space{&s.mid, &s.ends[0], &s.ends[1]} {
		sp, err := newSpace(b)
		if err != nil {
			s.stop()
			return nil, err
		}
		*p = sp
	}
	return s, nil
}

func (s *site) stop() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		s.procs[i].stop()
	}
	for _, sp := range []*space{s.ends[0], s.ends[1], s.mid} {
		if sp != nil {
			sp.proc.stop()
		}
	}
	s.b.sweep()
}

// do runs a command to its end, unless one has failed before.
func (s *site) do(cmd *exec.Cmd) {
	if s.failed != nil {
		return
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		s.failed = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out))
	}
}

func (s *site) ip(sp *space, line string) {
	s.do(sp.in(append([]string{"ip"}, strings.Fields(line)...)...))
}

// daemon starts a program that runs on.
func (s *site) daemon(cmd *exec.Cmd) *process {
	if s.failed != nil {
		return nil
	}
	p, err := s.b.start(filepath.Base(cmd.Path), cmd, cpuSwitch)
	if err != nil {
		s.failed = err
		return nil
	}
	s.procs = append(s.procs, p)
	return p
}

// veths leads from q1 and q2 in the middle to p1 and p2.
func (s *site) veths() {
	for i, end := range s.ends {
		s.ip(s.mid, fmt.Sprintf("link add q%d mtu %d type veth peer name p%d mtu %d netns %d", i+1, s.mtu, i+1, s.mtu, end.proc.pid()))
		s.ip(s.mid, fmt.Sprintf("link set q%d up", i+1))
	}
}

// awaitDevices waits for p1 and p2, and gives them addresses.
func (s *site) awaitDevices() {
	for i := range s.ends {
		s.awaitDevice(i)
	}
}

func (s *site) awaitDevice(i int) {
	end := s.ends[i]
	deadline := time.Now().Add(5 * time.Second)
	for s.failed == nil && end.in("ip", "link", "show", fmt.Sprintf("p%d", i+1)).Run() != nil {
		if time.Now().After(deadline) {
			s.failed = fmt.Errorf("the switch made no device p%d", i+1)
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.ip(end, "link set lo up")
	s.ip(end, fmt.Sprintf("addr add 10.77.0.%d/24 dev p%d", i+1, i+1))
	s.ip(end, fmt.Sprintf("link set p%d mtu %d up", i+1, s.mtu))
}

// hostPeer is a way to connect two namespaces.
type hostPeer struct {
	name    string
	frames  bool // no TCP: it passes unfinished checksums on from a veth as if they were done
	missing func() string
	start   func(s *site, vswitch string) *process // the switch; nil: the kernel
}

func hostPeers() []hostPeer {
	vswitch := func(spec func(s *site, i int) string) func(*site, string) *process {
		return func(s *site, program string) *process {
			return s.daemon(s.mid.in(program, "-q", "-s", filepath.Join(s.b.dir, "sw"), "--port", spec(s, 0), "--port", spec(s, 1)))
		}
	}
	return []hostPeer{
		{name: "vswitch tap", start: vswitch(func(s *site, i int) string {
			return fmt.Sprintf("tap:p%d,mtu=%d,netns=%s", i+1, s.mtu, s.ends[i].path())
		})},
		{name: "vswitch packet", start: func(s *site, program string) *process {
			s.veths()
			return vswitch(func(_ *site, i int) string { return fmt.Sprintf("packet:q%d", i+1) })(s, program)
		}},
		{name: "bridge", start: func(s *site, _ string) *process {
			s.veths()
			s.ip(s.mid, fmt.Sprintf("link add br0 mtu %d type bridge", s.mtu))
			for _, q := range []string{"q1", "q2"} {
				s.ip(s.mid, "link set "+q+" master br0")
			}
			s.ip(s.mid, "link set br0 up")
			return nil
		}},
		{name: "no switch", frames: true, start: func(s *site, _ string) *process { // what the generator can do
			s.ip(s.mid, fmt.Sprintf("link add p1 netns %d mtu %d type veth peer name p2 mtu %d netns %d", s.ends[0].proc.pid(), s.mtu, s.mtu, s.ends[1].proc.pid()))
			return nil
		}},
		{name: "vde_switch", missing: notInstalled("vde_switch", "vde2"), start: startTapVDE},
		{name: "ovs userspace", frames: true, missing: notInstalled("ovs-vswitchd", "openvswitch-switch"), start: startOVS},
	}
}

func startTapVDE(s *site, _ string) *process {
	p := s.daemon(s.mid.in("vde_switch", "-s", filepath.Join(s.b.dir, "vde"), "-t", "p1", "-t", "p2"))
	for i, end := range s.ends {
		for range 500 { // until it has made them
			if s.failed != nil || s.mid.in("ip", "link", "show", fmt.Sprintf("p%d", i+1)).Run() == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		s.ip(s.mid, fmt.Sprintf("link set p%d netns %d", i+1, end.proc.pid()))
	}
	return p
}

// startOVS runs Open vSwitch with a database of its own and without its kernel module.
func startOVS(s *site, _ string) *process {
	s.veths()
	dir := s.b.dir
	db, remote := filepath.Join(dir, "conf.db"), filepath.Join(dir, "db.sock")
	ovs := func(cmd *exec.Cmd) *exec.Cmd { return ovsIn(dir, cmd) }
	s.do(exec.Command("ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema"))
	s.daemon(ovs(exec.Command("ovsdb-server", db, "--no-chdir", "--remote=punix:"+remote)))
	for range 500 {
		if _, err := os.Stat(remote); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	vsctl := func(args ...string) {
		s.do(ovs(exec.Command("ovs-vsctl", append([]string{"--db=unix:" + remote, "--timeout=10"}, args...)...)))
	}
	vsctl("--no-wait", "init")
	p := s.daemon(ovs(s.mid.in("ovs-vswitchd", "unix:"+remote, "--disable-system", "--no-chdir")))
	vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
	vsctl("add-port", "br0", "q1", "--", "add-port", "br0", "q2")
	return p
}

// ovsIn has a program of Open vSwitch keep its sockets, pid files and logs in a directory.
func ovsIn(dir string, cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+dir, "OVS_DBDIR="+dir, "OVS_LOGDIR="+dir)
	return cmd
}

// open starts a site with a switch in it.
func (h hostPeer) open(b *bed, vswitch string, mtu int) (*site, *process, error) {
	s, err := newSite(b, mtu)
	if err != nil {
		return nil, nil, err
	}
	p := h.start(s, vswitch)
	s.awaitDevices()
	if s.failed != nil {
		s.stop()
		return nil, nil, s.failed
	}
	return s, p, nil
}

// peer is h as the other scenarios want it.
func (h hostPeer) peer(vswitch string) *peer {
	name := h.name
	if strings.HasPrefix(name, self) {
		name = self
	}
	return &peer{name: name, start: func(b *bed, _ *plan) (*running, error) {
		s, p, err := h.open(b, vswitch, 1500)
		if err != nil {
			return nil, err
		}
		return &running{proc: p, stop: s.stop, link: func(port int) linkSpec {
			return linkSpec{Kind: "packet", Addr: fmt.Sprintf("p%d", port), Netns: s.ends[port-1].proc.pid()}
		}}, nil
	}}
}

// hostScenarios ask what the host's own network gets from a switch.
func hostScenarios(vswitch string, s settings) []*scenario {
	var use []hostPeer
	for _, h := range hostPeers() {
		if os.Geteuid() == 0 && (h.missing == nil || h.missing() == "") {
			use = append(use, h)
		}
	}
	var list []*scenario
	for _, i := range iperfs(s.dur) {
		sc := &scenario{name: i.String(), table: tableHost, base: "bridge"}
		for _, h := range use {
			if h.frames {
				continue
			}
			p := h.peer(vswitch)
			sc.cells = append(sc.cells, cell{name: h.name, peer: p, direct: func(b *bed) (values, error) { return i.measure(h, b, vswitch) }})
		}
		list = append(list, sc)
	}
	list = append(list, bulkScenarios(vswitch, s)...)
	for _, size := range []int{64, 1514} {
		list = append(list, hostFrames(fmt.Sprintf("host/frames/%d", size), tableRate, use, vswitch, &plan{jobs: pairJobs(1, size, 64), dur: s.dur}))
	}
	return append(list, hostFrames("host/rtt/64", tableRTT, use, vswitch, &plan{jobs: rttJobs(64), dur: s.dur}))
}

func hostFrames(name string, table int, use []hostPeer, vswitch string, p *plan) *scenario {
	sc := &scenario{name: name, table: table, base: "bridge"}
	for _, h := range use {
		sc.cells = append(sc.cells, cell{name: h.name, peer: h.peer(vswitch), plan: p})
	}
	return sc
}

// hostRow is a line of the host's table.
func hostRow(r *results, s *scenario, c cell) []string {
	v := r.sum(s.name, c.name, mGbps)
	if v.n == 0 {
		return nil
	}
	return []string{s.name, c.name, num(v.mid, 2), span(v.min, v.max, 2), num(r.ratio(s.name, c.name, "bridge", mGbps), 2), num(r.ratio(s.name, c.name, "vde_switch", mGbps), 1)}
}

// hostTargets are what TAPs and interfaces must reach.
func hostTargets() []target {
	ratio := func(scenario, a, b, metric string) func(*results) float64 {
		return func(r *results) float64 { return r.ratio(scenario, a, b, metric) }
	}
	const tap, packet, ovs = "vswitch tap", "vswitch packet", "ovs userspace"
	return []target{
		{"TAP to TAP, iperf3 TCP, MTU 1500: x kernel bridge", 0.9, true, ratio("host/tcp/1500/1", tap, "bridge", mGbps), "host/tcp/1500/1"},
		{"TAP to TAP, iperf3 TCP, MTU 1500: x vde_switch", 8, true, ratio("host/tcp/1500/1", tap, "vde_switch", mGbps), "host/tcp/1500/1"},
		{"TAP to TAP, iperf3 TCP, MTU 1500, this machine's own congestion control: x kernel bridge", 0.9, true, ratio("host/tcp/1500/1/own", tap, "bridge", mGbps), "host/tcp/1500/1/own"},
		{"TAP to TAP, RTT p50: x kernel bridge", 1.5, false, ratio("host/rtt/64", tap, "bridge", mP50), "host/rtt/64"},
		{"TAP to TAP, RTT p50: x vde_switch", 1, false, ratio("host/rtt/64", tap, "vde_switch", mP50), "host/rtt/64"},
		{"TAP to stream, TCP, MTU 1500: x stream to stream", 0.6, true, ratio("host/bulk/1500", bulkOut, bulkBase, mGbps), "host/bulk/1500"},
		{"stream to TAP, TCP, MTU 1500: x the same without offload", 2, true, ratio("host/bulk/1500", bulkIn, bulkInPlain, mGbps), "host/bulk/1500"},
		{"packet to packet, 64 B: x Open vSwitch, userspace", 3, true, ratio("host/frames/64", packet, ovs, mFPS), "host/frames/64"},
		{"packet to packet, 1514 B: x Open vSwitch, userspace", 3, true, ratio("host/frames/1514", packet, ovs, mFPS), "host/frames/1514"},
	}
}
