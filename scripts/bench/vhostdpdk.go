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
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const testpmd = "dpdk-testpmd"

// The CPUs of a loop: the switch has the first.
const (
	loopSwitch = 0
	loopCards  = 1
)

// startOn starts a program on one CPU.
func startOn(b *bed, name string, cmd *exec.Cmd, cpu int) (*process, error) {
	var old, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &old); err != nil {
		return nil, err
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("use CPU %d: %w", cpu, err)
	}
	defer unix.SchedSetaffinity(0, &old)
	return b.start(name, cmd, cpuSwitch)
}

// awaitFiles waits until a program has made its sockets.
func awaitFiles(p *process, paths ...string) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		missing := ""
		for _, path := range paths {
			if _, err := os.Stat(path); err != nil {
				missing = path
			}
		}
		switch {
		case missing == "":
			return nil
		case p.dead() != nil:
			return p.dead()
		case time.Now().After(end):
			return fmt.Errorf("%s has not made %s: %s", p.name, missing, strings.TrimSpace(p.stderr.String()))
		}
	}
}

// dpdk is a testpmd with a floor of its own to write to: it uses /run, whoever runs it.
func dpdk(name string, cpus string, args ...string) *exec.Cmd {
	script := `mount -t tmpfs none /run && exec stdbuf -oL "$@"` // it speaks to a pipe
	argv := append([]string{"-c", script, "sh", testpmd, "-l", cpus, "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--file-prefix", name}, args...)
	cmd := exec.Command("sh", argv...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

// pmd is testpmd with two cards, that talks.
type pmd struct {
	*process
	in  io.Writer
	out *bufio.Reader
}

const cardMAC = "52:54:00:00:00:0"

// mbufRoom is what a frame, with what testpmd wants in front of it, fits into.
func (v vhostTraffic) mbufRoom() int { return max(2176, v.size+256) }

func startTestpmd(b *bed, v vhostTraffic, paths [2]string) (*pmd, error) {
	onOff := map[bool]int{true: 1}
	var args []string
	for i, path := range paths {
		args = append(args, "--vdev", fmt.Sprintf("net_virtio_user%d,path=%s,mac=%s%d,queues=%d,queue_size=256,mrg_rxbuf=%d,packed_vq=%d,in_order=%d",
			i, path, cardMAC, i, v.queues, onOff[!v.noMerge], onOff[v.packed], onOff[v.inOrder]))
	}
	args = append(args, "--", "-i", "--forward-mode=io", "--nb-cores=1", "--total-num-mbufs=8192", fmt.Sprintf("--mbuf-size=%d", v.mbufRoom()),
		fmt.Sprintf("--rxq=%d", v.queues), fmt.Sprintf("--txq=%d", v.queues), "--txonly-multi-flow", "--no-lsc-interrupt",
		"--eth-peer=0,"+cardMAC+"1", "--eth-peer=1,"+cardMAC+"0", fmt.Sprintf("--max-pkt-len=%d", max(1518, v.size+4)))
	// The main thread only waits for commands: it does not disturb the switch, which runs there.
	cmd := dpdk("cards", fmt.Sprintf("%d,%d", loopSwitch, loopCards), args...)
	cmd.Args = append(cmd.Args[:5:5], append([]string{"--main-lcore", strconv.Itoa(loopSwitch)}, cmd.Args[5:]...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := b.start(testpmd, cmd, cpuClient)
	if err != nil {
		return nil, err
	}
	d := &pmd{p, p.stdin.(io.Writer), bufio.NewReader(out)}
	// What is sent before the other side listens is lost.
	if _, err := d.received(); err != nil {
		d.stop()
		return nil, err
	}
	time.Sleep(time.Second)
	// Not more frames than there are buffers in one ring: none is lost.
	bursts := 6 / v.queues
	for _, c := range []string{fmt.Sprintf("set txpkts %d", v.size), fmt.Sprintf("start tx_first %d", bursts)} {
		if err := d.tell(c); err != nil {
			d.stop()
			return nil, err
		}
	}
	return d, nil
}

func (d *pmd) tell(command string) error {
	if _, err := fmt.Fprintln(d.in, command); err != nil {
		return fmt.Errorf("%s: %w: %s", testpmd, err, strings.TrimSpace(d.stderr.String()))
	}
	return nil
}

var rxPackets = regexp.MustCompile(`RX-packets: (\d+)`)

// received is how many frames both cards have been given.
func (d *pmd) received() (sum float64, err error) {
	if err := d.tell("show port stats all"); err != nil {
		return 0, err
	}
	for found := 0; found < 2; {
		line, err := d.out.ReadString('\n')
		if err != nil {
			return 0, fmt.Errorf("%s: %w: %s", testpmd, err, strings.TrimSpace(d.stderr.String()))
		}
		if m := rxPackets.FindStringSubmatch(line); m != nil {
			n, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return 0, err
			}
			sum, found = sum+n, found+1
		}
	}
	return sum, nil
}

// startForwarder is testpmd as the other side, too: it copies from one card to the other.
func startForwarder(b *bed, v vhostTraffic) (vhostRunning, error) {
	run := vhostRunning{paths: [2]string{filepath.Join(b.dir, "v0"), filepath.Join(b.dir, "v1")}}
	var args []string
	for i, path := range run.paths {
		args = append(args, "--vdev", fmt.Sprintf("net_vhost%d,iface=%s,queues=%d", i, path, v.queues))
	}
	args = append(args, "--", "--forward-mode=io", "--auto-start", "--nb-cores=1", "--total-num-mbufs=8192", fmt.Sprintf("--mbuf-size=%d", v.mbufRoom()), "-i",
		fmt.Sprintf("--rxq=%d", v.queues), fmt.Sprintf("--txq=%d", v.queues), "--no-lsc-interrupt", fmt.Sprintf("--max-pkt-len=%d", max(1518, v.size+4)))
	cmd := dpdk("forwarder", fmt.Sprintf("%d,%d", loopSwitch, loopCards), args...)
	cmd.Args = append(cmd.Args[:5:5], append([]string{"--main-lcore", strconv.Itoa(loopCards)}, cmd.Args[5:]...)...)
	p, err := b.start("forwarder", cmd, cpuSwitch)
	if err != nil {
		return run, err
	}
	run.proc, run.procs = p, []*process{p}
	return run, awaitFiles(p, run.paths[:]...)
}
