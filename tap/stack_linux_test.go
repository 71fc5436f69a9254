package tap

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	vswitch "vnetkit/switch"
	"vnetkit/switch/link/linktest"
)

// The host's own TCP, UDP and DHCP speak through the switch here.

// stack gives a device of a namespace addresses.
func stack(t *testing.T, ns *linktest.Namespace, last int) {
	t.Helper()
	for _, which := range []string{"default", "all", "t0"} {
		ns.Sysctl("net/ipv6/conf/"+which+"/disable_ipv6", "0")
		ns.Sysctl("net/ipv6/conf/"+which+"/accept_dad", "0")
	}
	change(ns, "lo", setUpLink)
	for _, text := range []string{fmt.Sprintf("10.5.0.%d/24", last), fmt.Sprintf("fd05::%d/64", last)} {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = 2 // IFA_F_NODAD
		change(ns, "t0", func(h *netlink.Handle, l netlink.Link) error { return h.AddrAdd(l, addr) })
	}
}

// run starts a program in a namespace, which ends with the test.
func run(t *testing.T, ns *linktest.Namespace, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	ns.Do(func() error {
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("%v: %w (scripts/deps test installs it)", args, err)
		}
		return nil
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, &out
}

// What TCP and UDP sockets say arrives, over every kind of device, and neither the
// kernel nor tcpdump finds a wrong checksum on the receiving side.
func TestSocketsThroughTheSwitch(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"tap to plain", "", ",offload=off"},
		{"plain to tap", ",offload=off", ""},
		{"tap to tap", "", ""},
		{"plain to plain", ",offload=off", ",offload=off"},
		{"jumbo to plain", ",mtu=9000", ",offload=off"},
		{"packet to plain", packetPeer, ",offload=off"},
		{"tap to packet", "", packetPeer},
		{"packet to packet", packetPeer, packetPeer},
		{"packet to packet without rings", packetPeer + ",ring=off", packetPeer + ",ring=off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sw := newSwitch(t)
			a, b := linktest.NewNamespace(t), linktest.NewNamespace(t)
			plugHost(t, sw, a, c.a)
			plugHost(t, sw, b, c.b)
			awaitUp(t, sw, 2)
			stack(t, a, 1)
			stack(t, b, 2)
			file := filepath.Join(t.TempDir(), "pcap")
			dump, said := run(t, b, "tcpdump", "-i", "t0", "-Q", "in", "-s", "0", "-U", "--immediate-mode", "-Z", "root", "-w", file, "tcp or udp")
			waitFor(t, "tcpdump listens", func() bool { i, err := os.Stat(file); return err == nil && i.Size() > 0 })
			for _, host := range []string{"10.5.0.2", "fd05::2"} {
				talkTCP(t, a, b, host)
				longest := 65000
				if strings.Contains(c.a, "mtu") { // longer ones are dropped, as they must
					longest = 1400
				}
				talkUDP(t, a, b, host, longest)
			}
			_ = dump.Process.Signal(os.Interrupt)
			_ = dump.Wait()
			if errs := checksumErrors(t, b) + checksumErrors(t, a); errs != 0 {
				t.Errorf("the kernel counted %d wrong checksums", errs)
			}
			out, err := exec.Command("tcpdump", "-vv", "-n", "-r", file).CombinedOutput()
			if err != nil || bytes.Count(out, []byte("> 10.5.0.2.")) < 10 || bytes.Count(out, []byte("> fd05::2.")) < 10 {
				t.Fatalf("tcpdump: %v, it saw\n%s\n%s", err, tail(out), said)
			}
			if strings.Contains(c.b, "offload=off") { // else the receiver completes them
				for _, word := range []string{"incorrect", "bad cksum", "bad udp cksum", "bad tcp cksum"} {
					if i := bytes.Index(out, []byte(word)); i >= 0 {
						t.Fatalf("tcpdump on the receiving side says: %s", out[max(i-300, 0):i+100])
					}
				}
			}
			checkSums(t, sw)
		})
	}
}

// packetPeer stands for a port of kind packet among the keys of TAPs.
const packetPeer = "packet"

func plugHost(t *testing.T, sw *vswitch.Switch, ns *linktest.Namespace, keys string) {
	t.Helper()
	if rest, ok := strings.CutPrefix(keys, packetPeer); ok {
		packetPort(t, sw, ns, rest)
		return
	}
	addPort(t, sw, "tap:t0,netns="+ns.Path()+keys)
}

func tail(b []byte) []byte { return b[max(len(b)-2000, 0):] }

// lengths of what is said: 1 byte to a megabyte.
var talkLengths = []int{1, 2, 17, 1000, 1447, 1448, 1449, 5000, 65535, 65536, 300_001, 1 << 20}

func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(n) + 7
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func deadline() time.Time { return time.Now().Add(linktest.Patience) }

// talkTCP has b send back what a says.
func talkTCP(t *testing.T, a, b *linktest.Namespace, host string) {
	t.Helper()
	var ln net.Listener
	b.Do(func() (err error) {
		ln, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
		return err
	})
	defer ln.Close()
	echoed := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_ = c.SetDeadline(deadline())
			_, err = io.Copy(c, c)
			_ = c.Close()
		}
		echoed <- err
	}()
	var c net.Conn
	a.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", ln.Addr().String(), linktest.Patience)
		return err
	})
	defer c.Close()
	_ = c.SetDeadline(deadline())
	for _, n := range talkLengths {
		said := noise(n)
		go func() { _, _ = c.Write(said) }()
		heard := make([]byte, n)
		if _, err := io.ReadFull(c, heard); err != nil {
			t.Fatalf("%s: %d bytes: %v", host, n, err)
		}
		if !bytes.Equal(said, heard) {
			t.Fatalf("%s: %d bytes came back wrong", host, n)
		}
	}
	_ = c.Close()
	if err := <-echoed; err != nil {
		t.Fatal(err)
	}
}

// talkUDP sends datagrams of lengths up to the longest, fragmented where they are
// long.
func talkUDP(t *testing.T, a, b *linktest.Namespace, host string, longest int) {
	t.Helper()
	var in net.PacketConn
	b.Do(func() (err error) {
		in, err = net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		return err
	})
	defer in.Close()
	var out net.Conn
	a.Do(func() (err error) {
		out, err = net.Dial("udp", in.LocalAddr().String())
		return err
	})
	defer out.Close()
	_ = in.SetDeadline(deadline())
	buf := make([]byte, 1<<16)
	for _, n := range []int{1, 2, 17, 1000, 1472, 1473, 5000, 65000} {
		if n > longest {
			break
		}
		said := noise(n)
		if _, err := out.Write(said); err != nil {
			t.Fatal(err)
		}
		m, _, err := in.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:m], said) {
			t.Fatalf("%s: a datagram of %d bytes arrived as %d, %v", host, n, m, err)
		}
	}
}

// checksumErrors asks a namespace's kernel how many wrong checksums it has seen.
func checksumErrors(t *testing.T, ns *linktest.Namespace) (n int) {
	t.Helper()
	ns.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		var names []string
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(names) == 0 || names[0] != f[0] {
				names = f
				continue
			}
			for i, name := range names {
				if name == "InCsumErrors" || name == "InHdrErrors" {
					var v int
					_, _ = fmt.Sscan(f[i], &v)
					n += v
				}
			}
			names = nil
		}
		return err
	})
	return n
}

// A DHCP client reads frames by a raw socket and checks their checksum itself: a
// server on an offloading device leaves it to be done.
func TestDHCP(t *testing.T) {
	for _, to := range []string{",offload=off", ""} {
		sw := newSwitch(t)
		server, client := linktest.NewNamespace(t), linktest.NewNamespace(t)
		addPort(t, sw, "tap:t0,netns="+server.Path())
		addPort(t, sw, "tap:t0,netns="+client.Path()+to)
		awaitUp(t, sw, 2)
		stack(t, server, 1)
		dir := t.TempDir()
		_, said := run(t, server, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=t0", "--user=root", "--no-ping",
			"--dhcp-range=10.5.0.100,10.5.0.110", "--log-facility=-", "--pid-file="+dir+"/pid", "--dhcp-leasefile="+dir+"/leases")
		ctx, cancel := context.WithTimeout(t.Context(), linktest.Patience)
		defer cancel()
		var out []byte
		var err error
		client.Do(func() error {
			out, err = exec.CommandContext(ctx, "busybox", "udhcpc", "-i", "t0", "-f", "-q", "-n", "-t", "20", "-T", "1", "-s", "/bin/true").CombinedOutput()
			return nil
		})
		if err != nil || !strings.Contains(string(out), "lease of 10.5.0.1") {
			t.Errorf("%q: udhcpc: %v\n%s\ndnsmasq:\n%s", to, err, out, said)
		}
		var completed uint64
		for _, p := range sw.Ports() {
			completed += p.Offload.Completed
		}
		if (completed > 0) != (to != "") {
			t.Errorf("%q: %d checksums were completed", to, completed)
		}
	}
}
