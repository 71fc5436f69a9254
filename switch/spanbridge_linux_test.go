package vswitch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// kernelBridge is the Linux bridge, with the kernel's own spanning tree, in a
// network namespace that lives as long as a process that reads our pipe: when
// the test is killed, all of it is gone.
type kernelBridge struct {
	t   *testing.T
	pid int
}

func startBridge(t *testing.T, priority int) *kernelBridge {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace with a bridge needs root")
	}
	cmd := exec.Command("unshare", "--net", "sh", "-c", "echo there; exec cat")
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	k := &kernelBridge{t, cmd.Process.Pid}
	// Until it is there, its namespace is the one of this machine.
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		t.Fatalf("make network namespace: %v", err)
	}
	k.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6")
	k.run("ip", "link", "add", "br0", "type", "bridge", "stp_state", "1", "priority", fmt.Sprint(priority),
		"hello_time", "100", "max_age", "600", "forward_delay", "400")
	k.run("ip", "link", "set", "br0", "up")
	return k
}

// run runs a command in the namespace.
func (k *kernelBridge) run(args ...string) string {
	k.t.Helper()
	out, err := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(k.pid), "-n"}, args...)...).CombinedOutput()
	if err != nil {
		k.t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// port adds a port to the bridge and returns the other end of its cable.
func (k *kernelBridge) port(name string) packetEnd {
	k.t.Helper()
	k.run("ip", "link", "add", name, "type", "veth", "peer", "name", name+"x")
	k.run("ip", "link", "set", name, "master", "br0")
	k.run("ip", "link", "set", name, "up")
	k.run("ip", "link", "set", name+"x", "up")
	index := strings.TrimSpace(k.run("cat", "/proc/net/dev_snmp6/"+name+"x")) // one line each: ifIndex first
	var n int
	if _, err := fmt.Sscanf(index, "ifIndex %d", &n); err != nil {
		k.t.Fatalf("number of %s: %v in %q", name, err, index)
	}
	fd, err := k.packetSocket(n)
	if err != nil {
		k.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	k.t.Cleanup(func() { f.Close() })
	return packetEnd{f}
}

// packetSocket opens a socket in the namespace. It stays there.
func (k *kernelBridge) packetSocket(index int) (int, error) {
	type result struct {
		fd  int
		err error
	}
	got := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", k.pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(ns, unix.CLONE_NEWNET)
			unix.Close(ns)
		}
		if err != nil {
			got <- result{-1, err}
			return
		}
		all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
		}
		got <- result{fd, err}
	}()
	r := <-got
	return r.fd, r.err
}

// packetEnd is the free end of a cable to the bridge.
type packetEnd struct{ *os.File }

func (p packetEnd) read() ([]byte, error) {
	buf := make([]byte, 2048)
	n, err := p.Read(buf)
	return buf[:n], err
}

func (p packetEnd) write(f []byte) error {
	_, err := p.Write(f)
	return err
}

// state is what the kernel says of a port: forwarding, blocking ...
func (k *kernelBridge) state(name string) string {
	out := k.run("bridge", "link", "show", "dev", name)
	_, after, _ := strings.Cut(out, " state ")
	// The first state is the link's, where there is one.
	if _, second, two := strings.Cut(after, " state "); two {
		after = second
	}
	state, _, _ := strings.Cut(after, " ")
	return state
}

// TestTwoCablesToALinuxBridge has the kernel's STP at the other end of two
// cables, once as the root and once with the root here.
func TestTwoCablesToALinuxBridge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		here, there    int
		hereBlocks     int
		kernelBlocking int
	}{
		{"root there", 32768, 4096, 1, 0},
		{"root here", 4096, 32768, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := startBridge(t, c.there)
			priority := uint16(c.here)
			l := treeLab(t, STPRapid, priority)
			if err := l.sw.Set(Change{STP: &STPChange{Hello: ptr(1), MaxAge: ptr(6), Forward: ptr(4)}}); err != nil {
				t.Fatal(err)
			}
			x := l.plug("edge=on")
			far := k.port("host")
			heard := make(chan string, 1<<16)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					f, err := far.read()
					if err != nil {
						return
					}
					select {
					case heard <- string(f):
					default:
					}
				}
			}()
			t.Cleanup(func() { far.Close(); <-done })
			var ports []string
			var pulls []func()
			for _, name := range []string{"one", "two"} {
				end, port := l.streamPort("")
				veth := k.port(name)
				pull := func() { end.Close(); veth.Close() }
				pump(t, end, veth, pull)
				ports, pulls = append(ports, port), append(pulls, pull)
			}
			// copies counts how often a broadcast arrives.
			copies := func() (n int) {
				f := eth(frame.Broadcast, mac(1<<20+unique()))
				x.Send(f)
				for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
					for len(heard) > 0 {
						if <-heard == string(f) {
							n++
						}
					}
				}
				return n
			}
			settled := func() bool {
				here, there := 0, 0
				for i, p := range ports {
					if l.port(p).Tree.State != stp.Forwarding.String() {
						here++
					}
					if k.state([]string{"one", "two"}[i]) != "forwarding" {
						there++
					}
				}
				return here == c.hereBlocks && there == c.kernelBlocking
			}
			start := time.Now()
			for !settled() {
				if n := copies(); n > 1 {
					t.Fatalf("a broadcast arrives %d times after %v\n%v", n, time.Since(start), l.tree())
				}
				if time.Since(start) > vdePatience {
					t.Fatalf("one %s, two %s\n%v", k.state("one"), k.state("two"), l.tree())
				}
			}
			t.Logf("settled after %v", time.Since(start))
			for _, p := range ports {
				if s := l.port(p).Tree.Speaks; s != "stp" {
					t.Errorf("speaks %s to the kernel on %s", s, p)
				}
			}
			if n := copies(); n != 1 {
				t.Errorf("a broadcast arrives %d times", n)
			}
			if out := k.run("ip", "-d", "link", "show", "br0"); strings.Contains(out, " root_port 0 ") != (c.there < c.here) {
				t.Errorf("who is the root is another question in the kernel:\n%s", out)
			}
			pulls[0]()
			k.run("ip", "link", "set", "one", "down")
			start = time.Now()
			for copies() != 1 {
				if time.Since(start) > vdePatience {
					t.Fatalf("nothing gets through\n%v", l.tree())
				}
			}
			t.Logf("through %v after the cable was pulled", time.Since(start))
		})
	}
}
