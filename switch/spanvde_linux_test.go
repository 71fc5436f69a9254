package vswitch

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetkit/switch/frame"
)

// vdePatience is what a vde_switch may need: it says hello every four seconds, and
// gives up after three that were missed.
const vdePatience = 40 * time.Second

// vdeSwitch is Debian's vde_switch -F.
type vdeSwitch struct {
	t    testing.TB
	dir  string
	mgmt string
}

func startVDE(t *testing.T, priority int, mac string) *vdeSwitch {
	t.Helper()
	for _, program := range []string{"vde_switch", "vde_plug"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: scripts/deps test", program)
		}
	}
	base, err := os.MkdirTemp("", "vde") // t.TempDir's names are too long for it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	v := &vdeSwitch{t: t, dir: filepath.Join(base, "s"), mgmt: filepath.Join(base, "m")}
	cmd := exec.Command("vde_switch", "-s", v.dir, "-M", v.mgmt, "-F", "--priority", fmt.Sprint(priority), "--macaddr", mac)
	stdin, err := cmd.StdinPipe() // its end is the switch's end, also when this test is killed
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	until(t, func() bool { _, err := os.Stat(v.mgmt); return err == nil })
	return v
}

// ask has the console answer a command.
func (v *vdeSwitch) ask(command string) string {
	v.t.Helper()
	conn, err := net.Dial("unix", v.mgmt)
	if err != nil {
		v.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	text := ""
	for !strings.HasSuffix(text, "$ ") {
		b, err := r.ReadByte()
		if err != nil {
			v.t.Fatalf("vde_switch's console: %v after %q", err, text)
		}
		text += string(b)
	}
	fmt.Fprintf(conn, "%s\n", command)
	text = ""
	for !strings.Contains(text, "\n1000 ") && !strings.HasPrefix(text, "1000") {
		b, err := r.ReadByte()
		if err != nil {
			v.t.Fatalf("vde_switch's console: %v after %q", err, text)
		}
		text += string(b)
	}
	return text
}

// vdePlug is a vde_plug that is plugged in, with its frames on two pipes.
type vdePlug struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (v *vdeSwitch) plug() *vdePlug {
	v.t.Helper()
	p := &vdePlug{cmd: exec.Command("vde_plug", v.dir)}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	v.t.Cleanup(p.pull)
	return p
}

// pull unplugs p. A second time is nothing.
func (p *vdePlug) pull() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// read returns the next frame out of p, write puts one in.
func (p *vdePlug) read() ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(p.out, size[:]); err != nil {
		return nil, err
	}
	f := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(p.out, f)
	return f, err
}

func (p *vdePlug) write(f []byte) error {
	_, err := p.in.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(f))), f...))
	return err
}

// frames is either end of a pump.
type frames interface {
	read() ([]byte, error)
	write([]byte) error
}

// pump carries frames between two ends until one of them is gone.
func pump(t testing.TB, a, b frames, end func()) {
	done := make(chan struct{}, 2)
	for _, d := range [][2]frames{{a, b}, {b, a}} {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				f, err := d[0].read()
				if err != nil || d[1].write(f) != nil {
					return
				}
			}
		}()
	}
	t.Cleanup(func() { end(); <-done; <-done })
}

// streamEnd is a client of a stream port of ours.
type streamEnd struct {
	net.Conn
	r *bufio.Reader
}

func (s streamEnd) read() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(s.r, size[:]); err != nil {
		return nil, err
	}
	f := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(s.r, f)
	return f, err
}

func (s streamEnd) write(f []byte) error {
	_, err := s.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...))
	return err
}

// streamPort adds a port and connects to it.
func (l *lab) streamPort(keys string) (end streamEnd, port string) {
	l.t.Helper()
	n := unique()
	path := filepath.Join(l.t.TempDir(), fmt.Sprint(n))
	port = fmt.Sprint("s", n)
	if _, err := l.sw.Add(l.t.Context(), join("stream:unix:"+path+",name="+port, keys)); err != nil {
		l.t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		l.t.Fatal(err)
	}
	l.waitFor(port+" is up", func() bool { return l.port(port).State == StateUp })
	return streamEnd{conn, bufio.NewReader(conn)}, port
}

// cableToVDE joins our switch and a vde_switch.
func (l *lab) cableToVDE(v *vdeSwitch, keys string) (port string, pull func()) {
	l.t.Helper()
	end, port := l.streamPort(keys)
	plug := v.plug()
	pull = func() { end.Close(); plug.pull() }
	pump(l.t, end, plug, pull)
	return port, pull
}

// cableVDEs joins two vde_switches.
func cableVDEs(t testing.TB, a, b *vdeSwitch) (pull func()) {
	x, y := a.plug(), b.plug()
	pull = func() { x.pull(); y.pull() }
	pump(t, x, y, pull)
	return pull
}

// host is a station behind a vde_switch.
type host struct {
	*vdePlug
	t   testing.TB
	got chan string
}

func (v *vdeSwitch) host() *host {
	h := &host{v.plug(), v.t, make(chan string, 1<<16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			f, err := h.read()
			if err != nil {
				return
			}
			select {
			case h.got <- string(f):
			default: // a storm: the test has failed
			}
		}
	}()
	v.t.Cleanup(func() { h.pull(); <-done })
	return h
}

// drain empties what h received and counts frame f in it.
func (h *host) drain(f []byte) (n int) {
	for {
		select {
		case got := <-h.got:
			if got == string(f) {
				n++
			}
		default:
			return n
		}
	}
}

// reach sends broadcasts from h until one comes to a station of ours.
func (h *host) reach(to *station) time.Duration {
	h.t.Helper()
	start := time.Now()
	f := eth(frame.Broadcast, mac(1<<20+unique()))
	for {
		if err := h.write(f); err != nil {
			h.t.Fatal(err)
		}
		for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if got, ok := to.Poll(); ok && string(got) == string(f) {
				return time.Since(start)
			}
		}
		if time.Since(start) > vdePatience {
			h.t.Fatalf("nothing gets through after %v\n%v", vdePatience, to.lab.tree())
		}
	}
}

// once sends a broadcast from a station of ours and counts copies at others.
func once(t *testing.T, from *station, to ...*host) {
	t.Helper()
	f := eth(frame.Broadcast, mac(1<<20+unique()))
	for _, h := range to {
		h.drain(f)
	}
	from.Send(f)
	count := make([]int, len(to))
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		for i, h := range to {
			count[i] += h.drain(f)
		}
	}
	for i, n := range count {
		if n != 1 {
			t.Errorf("host %d received a broadcast %d times", i, n)
		}
	}
}

// TestMixedRingWithVDE closes a ring of our switch and two vde_switch -F, with
// the root here and there, and pulls each of its cables.
func TestMixedRingWithVDE(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		priority uint16
		mode     STPMode
	}{{"root here", 4096, STPRapid}, {"root there", 61440, STPRapid}, {"root there and a tree for each VLAN", 61440, STPFSTP}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := treeLab(t, c.mode, c.priority)
			x := l.plug("edge=on")
			v, w := startVDE(t, 8192, "00:ff:00:00:00:01"), startVDE(t, 12288, "00:ff:00:00:00:02")
			hv, hw := v.host(), w.host()
			port1, pull1 := l.cableToVDE(v, "")
			pull2 := cableVDEs(t, v, w)
			port3, _ := l.cableToVDE(w, "")
			settleVDE := func(what string, ports ...string) {
				t.Helper()
				a, b := hv.reach(x), hw.reach(x)
				t.Logf("%s: through after %v and %v", what, a, b)
				for _, p := range ports {
					l.waitFor(p+" speaks its dialect", func() bool { return l.port(p).Tree.Speaks == "fstp" })
				}
				hv.reach(x)
				hw.reach(x)
				once(t, x, hv, hw)
			}
			settleVDE("ring closed", port1, port3)
			// Nothing changes by itself: for longer than it takes to forget a root.
			for end := time.Now().Add(14 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
				once(t, x, hv, hw)
			}
			if t.Failed() {
				t.Logf("ours:\n%v\nv: %s\nw: %s", l.tree(), v.ask("fstp/print"), w.ask("fstp/print"))
			}
			pull1()
			settleVDE("first cable pulled", port3)
			port1, _ = l.cableToVDE(v, "")
			settleVDE("first cable back", port1, port3)
			pull2()
			settleVDE("cable between the others pulled", port1, port3)
		})
	}
}
