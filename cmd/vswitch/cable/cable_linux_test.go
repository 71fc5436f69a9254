package cable

import (
	"strings"
	"syscall"
	"testing"

	vswitch "vnetkit/switch"
)

// usual are sizes that every switch and plug carries.
var usual = []int{60, 61, 100, 576, 1500, 1514}

// bothWays checks that frames go from a to b and back.
func bothWays(t *testing.T, a, b *station, sizes ...int) {
	t.Helper()
	joined(t, a, b, sizes...)
	joined(t, b, a, sizes...)
}

func TestTwoSwitches(t *testing.T) {
	a, b := startSwitch(t), startSwitch(t)
	sa, sb := a.plugIn(), b.plugIn()
	p := run(t, self(a.dir, b.dir)...)
	bothWays(t, sa, sb, append(usual, 9014, 65000, 65549)...)
	p.signal(syscall.SIGUSR1)
	eventually(t, "counts on stderr", func() bool { return strings.Count(p.stderr.String(), " -> ") == 2 })
	p.signal(syscall.SIGTERM)
	p.want(0)
	a.awaitPorts(1)
	b.awaitPorts(1)
}

func TestStdio(t *testing.T) {
	a := startSwitch(t)
	sa := a.plugIn()
	p := run(t, self(a.dir)...)
	bothWays(t, sa, p.station(), append(usual, 9000, 9234)...)
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	p.want(0)
	a.awaitPorts(1)
}

// Frames that vde_plug would choke on are not sent to it, and that is said.
func TestTooLongForPlug(t *testing.T) {
	a := startSwitch(t)
	sa := a.plugIn()
	p := run(t, self(a.dir)...)
	sp := p.station()
	joined(t, sa, sp)
	for _, n := range []int{9235, 20000} {
		if err := sa.send(testFrame(n, n)); err != nil {
			t.Fatal(err)
		}
	}
	joined(t, sa, sp, usual...)
	_ = p.in.Close()
	p.want(0, "dropped 2 longer than 9234 bytes")

	p = run(t, self("--max", "65535", a.dir)...)
	joined(t, sa, p.station(), 9235, 20000, 65535)
	_ = p.in.Close()
	p.want(0)
}

func TestCommandIsVDEPlug(t *testing.T) {
	v := vdeSwitch(t)
	a := startSwitch(t)
	sa, sv := a.plugIn(), run(t, "vde_plug", v).station()
	p := run(t, self(a.dir, "=", "vde_plug", v)...)
	bothWays(t, sa, sv, usual...)
	p.signal(syscall.SIGTERM)
	p.want(0)
}

func TestDpipe(t *testing.T) {
	v := vdeSwitch(t)
	a := startSwitch(t)
	sa, sv := a.plugIn(), run(t, "vde_plug", v).station()
	run(t, append([]string{"dpipe", "vde_plug", v, "="}, self(a.dir)...)...)
	bothWays(t, sa, sv, usual...)
}

// Ours stand where vde_plug would, on both sides of wirefilter.
func TestDpipeWirefilter(t *testing.T) {
	a, b := startSwitch(t), startSwitch(t)
	sa, sb := a.plugIn(), b.plugIn()
	args := append([]string{"dpipe"}, self(a.dir)...)
	args = append(args, "=", "wirefilter", "-d", "5", "=")
	run(t, append(args, self(b.dir)...)...)
	bothWays(t, sa, sb, usual...)
}

// A cable drops nothing for want of room: it has whoever sends wait.
func TestLosesNothing(t *testing.T) {
	a := startSwitch(t)
	p := run(t, self(a.dir)...)
	a.awaitPorts(1)
	const count = 50000
	f := wire(testFrame(1, 100))
	burst := []byte(strings.Repeat(string(f), 500))
	for range count / 500 {
		if _, err := p.in.Write(burst); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all frames at the switch", func() bool { return a.Ports()[0].Rx.Frames == count })
	_ = p.in.Close()
	p.want(0)
}

// What comes out of a switch faster than a command reads is dropped by the
// switch, which counts it; the cable loses nothing.
func TestSlowReader(t *testing.T) {
	a := startSwitch(t)
	sa := a.plugIn()
	p := run(t, self("-v", a.dir)...)
	sp := p.station()
	joined(t, sa, sp)
	const count = 60000
	for range count {
		if err := sa.send(testFrame(3, 1400)); err != nil {
			t.Fatal(err)
		}
	}
	got, asked := uint64(0), false
	for {
		if !asked && a.portOfCable().Queue == 0 { // there is room for the last one
			asked = true
			if err := sa.send(testFrame(4, 77)); err != nil {
				t.Fatal(err)
			}
		}
		f := sp.recv()
		if len(f) == 77 {
			break
		}
		if len(f) == 1400 {
			got++
		}
	}
	dropped := a.portOfCable().Drops[vswitch.DropRingFull]
	if dropped == 0 || got+dropped != count {
		t.Errorf("%d arrived and the switch dropped %d of %d", got, dropped, count)
	}
	_ = p.in.Close()
	p.want(0)
	if strings.Contains(p.stderr.String(), "dropped") {
		t.Errorf("it says: %s", &p.stderr)
	}
}
