//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// peer is a switch that is measured. A new one is a row in peerTable; a program that listens on a stream
// socket needs only --peer name=command.
type peer struct {
	name    string
	maxSize int           // largest frame it carries; 0: any here
	pairs   bool          // joins clients in pairs and knows no addresses: the copy-only limit
	managed bool          // understands VLAN doors and holds a thousand ports (vswitch)
	tcp     bool          // can listen on TCP
	program string        // where it is, if it is managed
	asked   bool          // runs only when --peers names it
	missing func() string // why it cannot run here; "" when it can
	start   func(*bed, *plan) (*running, error)
}

// running is a started peer.
type running struct {
	proc *process // nil when the kernel switches
	link func(port int) linkSpec
	stop func()
}

// peerTable is in the order in which one repetition runs them.
func peerTable(vswitch string, extra []string) ([]*peer, error) {
	peers := []*peer{
		{name: "vswitch", program: vswitch, managed: true, tcp: true, missing: notExecutable(vswitch), start: func(b *bed, p *plan) (*running, error) { return startVswitch(b, vswitch, p) }},
		{name: "copy", pairs: true, tcp: true, start: startCopy},
		{name: "vde_switch", maxSize: 1514, missing: notInstalled("vde_switch", "vde2"), start: startVDE},
		{name: "bridge", missing: noBridge, start: startBridge},
		{name: "direct", pairs: true, asked: true, start: startDirect},
	}
	for _, e := range extra {
		name, command, ok := strings.Cut(e, "=")
		if !ok || !strings.Contains(command, "{path}") {
			return nil, fmt.Errorf("--peer %q: want name=command with {path} in it", e)
		}
		argv := strings.Fields(command)
		peers = append(peers, &peer{name: name, missing: notInstalled(argv[0], argv[0]),
			start: func(b *bed, _ *plan) (*running, error) { return startCommand(b, name, argv) }})
	}
	return peers, nil
}

func notExecutable(path string) func() string {
	return func() string {
		if _, err := exec.LookPath(path); err != nil {
			return fmt.Sprintf("no program at %s: run make, or pass --vswitch", path)
		}
		return ""
	}
}

func notInstalled(program, pkg string) func() string {
	return func() string {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Sprintf("%s is not installed (package %s)", program, pkg)
		}
		return ""
	}
}

func noBridge() string {
	if os.Geteuid() != 0 {
		return "the kernel bridge needs root for a network namespace"
	}
	return notInstalled("ip", "iproute2")()
}

// doors of a vswitch that are not its default one.
const (
	doorAccess = "access" // untagged, VLAN 10
	doorTrunk  = "trunk"  // tagged for all VLANs
	accessVLAN = 10
)

func startVswitch(b *bed, program string, p *plan) (*running, error) {
	dir := filepath.Join(b.dir, "sw")
	args := append([]string{"-s", dir}, p.args...)
	link := linkSpec{Kind: "unix", Addr: filepath.Join(dir, "stream")}
	if p.tcp {
		addr, err := freeTCP()
		if err != nil {
			return nil, err
		}
		link = linkSpec{Kind: "tcp", Addr: addr}
		args = append(args, "--port", "stream:tcp:"+addr)
	}
	door := map[string]string{doorAccess: filepath.Join(b.dir, "access"), doorTrunk: filepath.Join(b.dir, "trunk")}
	if len(p.doors) > 0 {
		args = append(args,
			"--port", fmt.Sprintf("stream:unix:%s,vlan=%d", door[doorAccess], accessVLAN),
			"--port", fmt.Sprintf("stream:unix:%s,tagged=all", door[doorTrunk]))
	}
	return startProgram(b, exec.Command(program, args...), func(port int) linkSpec {
		if d, ok := p.doors[port]; ok {
			return linkSpec{Kind: "unix", Addr: door[d]}
		}
		return link
	})
}

func startCopy(b *bed, p *plan) (*running, error) {
	link := linkSpec{Kind: "unix", Addr: filepath.Join(b.dir, "copy")}
	if p.tcp {
		addr, err := freeTCP()
		if err != nil {
			return nil, err
		}
		link = linkSpec{Kind: "tcp", Addr: addr}
	}
	cmd := exec.Command(selfProgram, "copy", link.Kind+":"+link.Addr)
	cmd.Env = append(os.Environ(), workerEnv...)
	return startProgram(b, cmd, func(int) linkSpec { return link })
}

func startVDE(b *bed, _ *plan) (*running, error) {
	dir := filepath.Join(b.dir, "vde")
	return startProgram(b, exec.Command("vde_switch", "-s", dir, "-n", "1100"), func(int) linkSpec {
		return linkSpec{Kind: "vde", Addr: dir}
	})
}

func startCommand(b *bed, name string, argv []string) (*running, error) {
	path := filepath.Join(b.dir, name)
	args := make([]string, len(argv))
	for i, a := range argv {
		args[i] = strings.ReplaceAll(a, "{path}", path)
	}
	return startProgram(b, exec.Command(args[0], args[1:]...), func(int) linkSpec {
		return linkSpec{Kind: "unix", Addr: path}
	})
}

// startProgram starts a switch; clients retry until its door opens. What it left in the bed goes when it stops, so
// that the next one starts on a clean floor.
func startProgram(b *bed, cmd *exec.Cmd, link func(int) linkSpec) (*running, error) {
	proc, err := b.start(filepath.Base(cmd.Path), cmd, cpuSwitch)
	if err != nil {
		return nil, err
	}
	return &running{proc: proc, link: link, stop: func() {
		proc.stop()
		b.sweep()
	}}, nil
}

func freeTCP() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startBridge puts one veth pair per port on a kernel bridge, in a network namespace that lives as long as one child.
func startBridge(b *bed, p *plan) (*running, error) {
	ports := 0
	for _, j := range p.jobs {
		ports = max(ports, j.Port)
	}
	cmd := exec.Command(selfProgram, "netns", strconv.Itoa(ports))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	proc, err := b.start("kernel bridge", cmd, cpuSwitch)
	if err != nil {
		return nil, err
	}
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		<-proc.exited
		defer proc.stop()
		return nil, proc.dead()
	}
	return &running{stop: proc.stop, link: func(port int) linkSpec {
		return linkSpec{Kind: "packet", Addr: "p" + strconv.Itoa(port), Netns: proc.pid()}
	}}, nil
}

// runNetns is the child that holds the namespace: p1..pN are the clients' ends, q1..qN are on the bridge.
func runNetns(arg string) error {
	n, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644); err != nil && !os.IsNotExist(err) {
		return err
	}
	var s strings.Builder
	s.WriteString("link add br0 type bridge\nlink set br0 mtu 9100 up\n")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&s, "link add name p%d mtu 9100 type veth peer name q%d\n", i, i)
		fmt.Fprintf(&s, "link set q%d mtu 9100 master br0 up\nlink set p%d up\n", i, i)
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(s.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the bridge: %w: %s", err, out)
	}
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1)) // until the bench is gone
	return nil
}
