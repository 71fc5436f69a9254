package e2e

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/api"
)

// plugPipe is a vde_plug whose frames come and go by pipes.
type plugPipe struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out io.Reader
}

func newPlugPipe(t *testing.T, prefix []string, args ...string) *plugPipe {
	t.Helper()
	argv := append(append(prefix, "vde_plug"), args...)
	p := &plugPipe{t: t, cmd: exec.Command(argv[0], argv[1:]...)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		p.out, err = p.cmd.StdoutPipe()
	}
	if err != nil {
		t.Fatal(err)
	}
	start(t, p.cmd)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

func (p *plugPipe) send(f []byte) {
	p.t.Helper()
	if _, err := p.in.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(f))), f...)); err != nil {
		p.t.Fatal(err)
	}
}

// expect wants f to be the next frame.
func (p *plugPipe) expect(f []byte) {
	p.t.Helper()
	late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	var head [2]byte
	if _, err := io.ReadFull(p.out, head[:]); err != nil {
		p.t.Fatal(err)
	}
	got := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(p.out, got); err != nil || !bytes.Equal(got, f) {
		p.t.Fatalf("%d bytes arrived, %v; want %d", len(got), err, len(f))
	}
}

func testFrame(n, from int) []byte {
	f := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, byte(from), 0x88, 0xb5}, make([]byte, n-14)...)
	for i := range f[14:] {
		f[14+i] = byte(i*7 + from)
	}
	return f
}

// Frames of every size that libvdeplug carries pass whole, where vde_switch cuts
// them at 1,518 bytes.
func TestVDEPlugJumbo(t *testing.T) {
	needVDE(t)
	v := startSwitch(t)
	a, b := newPlugPipe(t, nil, v.dir), newPlugPipe(t, nil, "vde://"+v.dir+"[7]")
	eventually(t, "both are plugged in", func() bool { return len(v.ports()) == 2 })
	for _, n := range []int{60, 64, 1514, 1518, 1519, 1522, 2048, 9000, 9014, 9234, 61} {
		f := testFrame(n, 1)
		a.send(f)
		b.expect(f)
		f = testFrame(n, 2)
		b.send(f)
		a.expect(f)
	}
	if p := v.peerPort(b.cmd.Process.Pid); p.ID != 7 || p.Rx.Frames != 11 || p.Tx.Frames != 11 || len(p.Drops) != 0 {
		t.Errorf("port 7 is %+v", p)
	}
}

// Two clients of one port each get what leaves by it.
func TestVDEPlugShared(t *testing.T) {
	needVDE(t)
	v := startSwitch(t)
	a, b, c := newPlugPipe(t, nil, v.dir), newPlugPipe(t, nil, "vde://"+v.dir+"[5]"), newPlugPipe(t, nil, "vde://"+v.dir+"[5]")
	eventually(t, "all are plugged in", func() bool { p := v.port("port5"); return p != nil && len(p.Endpoints) == 2 && len(v.ports()) == 2 })
	f := testFrame(100, 1)
	a.send(f)
	b.expect(f)
	c.expect(f)
	b.send(testFrame(100, 2))
	a.expect(testFrame(100, 2))
	a.send(testFrame(100, 3))
	c.expect(testFrame(100, 3)) // and nothing of b's before it
}

// A client that is stopped costs the others nothing, and every frame that it
// missed is counted.
func TestVDEStoppedClient(t *testing.T) {
	needVDE(t)
	v := startSwitch(t)
	a, b, c := newPlugPipe(t, nil, v.dir), newPlugPipe(t, nil, v.dir), newPlugPipe(t, nil, "vde://"+v.dir+"[9]")
	eventually(t, "all are plugged in", func() bool { return len(v.ports()) == 3 })
	_ = c.cmd.Process.Signal(syscall.SIGSTOP)
	const rounds, each = 60, 100
	for i := range rounds {
		for j := range each {
			a.send(testFrame(1514, i+j))
		}
		for j := range each {
			b.expect(testFrame(1514, i+j))
		}
	}
	for _, p := range v.ports() {
		lost := p.Drops["ring-full"]
		switch p.Peer.PID {
		case b.cmd.Process.Pid:
			if lost != 0 {
				t.Errorf("the client beside a stopped one lost %d frames", lost)
			}
		case c.cmd.Process.Pid:
			if lost == 0 || p.Tx.Frames+uint64(p.Queue)+lost != rounds*each {
				t.Errorf("of %d frames %d went to the stopped client, %d wait and %d are counted as lost", rounds*each, p.Tx.Frames, p.Queue, lost)
			}
		}
	}
	_ = c.cmd.Process.Signal(syscall.SIGCONT)
	for i := range 500 { // the oldest ones, in order
		c.expect(testFrame(1514, i/each+i%each))
	}
}

// asNobody runs a program without any rights.
var asNobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}

// A client of another user comes in where the mode lets it, from a directory
// where it may not write, and gets only the ports that are for it.
func TestVDEUsers(t *testing.T) {
	needVDE(t)
	v := startSwitch(t, "--mode", "0666", "--port", "vde:,id=5,allowuser=1", "--port", "vde:,id=6,allowuser=nobody,vlan=10")
	if err := os.Chmod(filepath.Dir(v.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	refused := exec.Command(asNobody[0], append(asNobody[1:], "vde_plug", "vde://"+v.dir+"[5]")...)
	late := time.AfterFunc(patience, func() { _ = refused.Process.Kill() })
	if out, err := refused.CombinedOutput(); !late.Stop() || err == nil {
		t.Fatalf("who may not plug in: %v\n%s", err, out)
	}
	nobody := newPlugPipe(t, asNobody, "vde://"+v.dir+"[6]")
	root := newPlugPipe(t, nil, "vde://"+v.dir+"[9]")
	eventually(t, "both are plugged in", func() bool {
		six, nine := v.port("port6"), v.port("port9")
		return six != nil && six.State == api.StateUp && nine != nil
	})
	if p := v.port("port6"); p.Peer.UID != 65534 || p.PVID != 10 || p.AllowUser != "65534" {
		t.Errorf("port 6 is %+v, %+v", p, p.Peer)
	}
	nobody.send(testFrame(60, 1))
	tagged := testFrame(60, 1)
	tagged = append(append(append([]byte{}, tagged[:12]...), 0x81, 0, 0, 10), tagged[12:]...)
	root.expect(tagged)
	if _, err := v.log.find("uid 65534 is not among those it is for", 0, patience); err != nil {
		t.Errorf("the log does not say why: %v", err)
	}
	if p := v.port("port5"); p == nil || p.State != api.StateWaiting {
		t.Errorf("port 5 is %+v", p)
	}
}

// libvdeplug looks for a door named as the port group that it was asked for.
func TestVDEPortGroup(t *testing.T) {
	needVDE(t)
	v := startSwitch(t, "--port-default", "vlan=1")
	body := strings.NewReader(`{"spec":"vde:` + v.dir + `,listen=on,portgroup=lab,vlan=10"}`)
	resp, err := v.http.Post("http://vswitch/v1/ports", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatalf("add the port group: %s", resp.Status)
	}
	a, b, out := newPlugPipe(t, nil, "vde://"+v.dir+"[lab]"), newPlugPipe(t, nil, "vde://"+v.dir+"[lab]"), newPlugPipe(t, nil, v.dir)
	eventually(t, "all are plugged in", func() bool { return len(v.ports()) == 3 })
	a.send(testFrame(60, 1))
	b.expect(testFrame(60, 1))
	b.send(testFrame(60, 2))
	a.expect(testFrame(60, 2))
	if p := v.peerPort(out.cmd.Process.Pid); p.Tx.Frames != 0 || p.PVID != 1 {
		t.Errorf("outside of the group: %+v", p)
	}
}

func vdeNetdev(dir string, more string) string { return "vde,id=n0,sock=" + dir + more }

// QEMU's -netdev vde, with and without its options, and beside -netdev stream.
func TestVDEGuests(t *testing.T) {
	needGuests(t)
	v := startSwitch(t)
	a := boot(t, 1, vdeNetdev(v.dir, ""))
	b := boot(t, 2, vdeNetdev(v.dir, ",port=7,group=root,mode=0660"))
	c := boot(t, 3, streamUnix(v.door(), false))
	ready(a, b, c)
	mustTalk(a, b)
	mustTalk(b, c)
	mustTalk(c, a)
	mustLearn(v, a, b, c)
	if p := v.portOf(b); p == nil || p.ID != 7 || !strings.HasPrefix(p.Peer.Description, "QEMU user=") {
		t.Errorf("the guest that asked for port 7 is at %+v", p)
	}
	for size := range 48 {
		a.sh("ping -c 1 -W 20 -s " + itoa(size) + " " + b.ip)
	}
	b.signal(syscall.SIGKILL)
	eventually(t, "the dead guest's port is gone", func() bool { return v.port("port7") == nil && v.learned(b, 1) == 0 })
}

// A guest gets its address from slirpvde, and reaches it.
func TestVDESlirp(t *testing.T) {
	needGuests(t)
	needVDE(t)
	v := startSwitch(t)
	run(t, "slirpvde", "--dhcp", "--port", "3", v.dir)
	eventually(t, "slirpvde is plugged in", func() bool { return v.port("port3") != nil })
	g := boot(t, 1, vdeNetdev(v.dir, ""))
	ready(g)
	g.sh(`printf '#!/bin/sh\n[ -z "$ip" ] || echo "$ip $router" > /tmp/lease\n' > /tmp/got; chmod +x /tmp/got`)
	g.sh("udhcpc -n -q -i eth0 -t 20 -T 1 -s /tmp/got")
	lease := g.sh("cat /tmp/lease")
	if !strings.HasPrefix(lease, "10.0.2.15 10.0.2.2") {
		t.Fatalf("the lease is %q", lease)
	}
	g.sh("ip addr add 10.0.2.15/24 dev eth0")
	g.mustPing("10.0.2.2")
}
