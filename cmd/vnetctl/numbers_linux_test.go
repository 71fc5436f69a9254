package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/client"
	"vnetkit/mgmt/console"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/impair"
)

// figure names what somebody shows: of which port ("total": of all), and what.
type figure struct{ port, what string }

// view is a place where numbers are shown.
type view struct {
	name  string
	read  func(*crowd) map[figure]string
	shows func(figure) bool   // what must be there
	write func(uint64) string // how it writes a number
}

// views are all of them. A further one is a line here.
var views = []view{
	{"GET /v1/ports", apiPorts, ports("rx.frames", "rx.bytes", "tx.frames", "tx.bytes", "drops.*"), plain},
	{"GET /v1/stats", apiStats, everything, plain},
	{"vnetctl ports --json", jsonPorts, ports("rx.frames", "rx.bytes", "tx.frames", "tx.bytes", "drops.*"), plain},
	{"vnetctl stats --json", jsonStats, everything, plain},
	{"vnetctl ports", tableOf("ports"), ports("rx.frames", "rx.bytes", "tx.frames", "tx.bytes", "drops"), humanUint},
	{"vnetctl stats", tableOf("stats", "--interval", "0"), ports("rx.frames", "rx.bytes", "tx.frames", "tx.bytes", "drops"), humanUint},
	{"vnetctl stats, by reason", reasonTable, totals("drops.*"), plain},
	{"GET /metrics", prometheus, ports("rx.frames", "rx.bytes", "tx.frames", "tx.bytes", "drops.*"), plain},
	{"VDE console", vdeConsole, ports("rx.frames", "rx.bytes", "tx.frames", "tx.bytes"), plain},
	{"web page", webPage, ports("rx.frames", "tx.frames", "drops"), grouped},
	{"web page, by reason", webReasons, totals("drops.*"), grouped},
	{"capture", ofCapture, ports("captured.in", "captured.out", "captured.*"), plain},
}

func plain(n uint64) string { return strconv.FormatUint(n, 10) }

// grouped is a number as the web page has it.
func grouped(n uint64) string {
	s := plain(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func everything(n figure) bool { return !strings.HasPrefix(n.what, "captured") && n.what != "drops" }

// ports selects numbers of ports; NAME.* are all reasons.
func ports(what ...string) func(figure) bool {
	return func(n figure) bool { return n.port != "total" && among(n.what, what) }
}

func totals(what ...string) func(figure) bool {
	return func(n figure) bool { return n.port == "total" && among(n.what, what) }
}

func among(what string, list []string) bool {
	for _, w := range list {
		family, all := strings.CutSuffix(w, "*")
		if w == what || all && strings.HasPrefix(what, family) {
			return true
		}
	}
	return false
}

// absent are the reasons to drop a frame that do not come up here: a spanning
// tree sends frames that came in nowhere, and other kinds of link have reasons
// of their own. Tests beside what drops for them see them counted.
var absent = []string{"drops.bpdu-guard", "drops.bpdu-flood", "drops.blocked", "drops.bad-offload", "drops.giant", "drops.missed", "drops.refused", "drops.impair-full"}

// Every number shown anywhere is the same number, and every frame that came in
// went out or was dropped for a reason that is told: after a run in which each
// frame has one receiver at most, and every reason to drop one comes up.
func TestSameNumbersEverywhere(t *testing.T) {
	c := gather(t)
	c.makeTraffic()
	truth := c.truth()
	in, out, dropped := truth[figure{"total", "rx.frames"}], truth[figure{"total", "tx.frames"}], truth[figure{"total", "drops"}]
	if in != out+dropped || in != c.sent {
		t.Errorf("%d frames were sent, %d came in, %d went out and %d were dropped", c.sent, in, out, dropped)
	}
	for _, r := range vswitch.DropReasons() {
		what := "drops." + r.String()
		if dropped := truth[figure{"total", what}] > 0; dropped == slices.Contains(absent, what) {
			t.Errorf("%s: %t", what, dropped)
		}
	}
	for _, v := range views {
		got := v.read(c)
		for n, text := range got {
			if want, ok := truth[n]; !ok || text != v.write(want) {
				t.Errorf("%s: %s of port %s is %s, want %s (known: %t)", v.name, n.what, n.port, text, v.write(want), ok)
			}
		}
		shown := 0
		for n := range truth {
			if !v.shows(n) || slices.Contains(absent, n.what) {
				continue
			}
			shown++
			if _, ok := got[n]; !ok {
				t.Errorf("%s does not show %s of port %s", v.name, n.what, n.port)
			}
		}
		if shown == 0 {
			t.Errorf("%s: nothing was compared", v.name)
		}
	}
}

// crowd is a switch and who is plugged in.
type crowd struct {
	*mgmttest.Switch
	t      *testing.T
	client *client.Client
	guests []*mgmttest.Guest // guest n is at port n+1
	stuck  net.Conn          // at port 20: reads nothing
	sent   uint64
	file   string // what was captured
}

const crowdSize, stuckPort = 12, 20

func gather(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{Switch: mgmttest.Start(t, mgmt.Options{Name: "lab"}), t: t}
	var err error
	if c.client, err = client.Dial(c.Dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	for range crowdSize {
		g := c.Plug()
		go func() { _, _ = io.Copy(io.Discard, g) }()
		c.guests = append(c.guests, g)
	}
	path, seq := filepath.Join(c.Dir, "stuck"), c.Info().EventSeq
	if _, err := c.Add(t.Context(), fmt.Sprintf("stream:unix:%s,id=%d,name=stuck,vlan=50", path, stuckPort)); err != nil {
		t.Fatal(err)
	}
	if c.stuck, err = net.Dial("unix", path); err != nil {
		t.Fatal(err)
	}
	c.Await(seq, vswitch.EventLinkUp)
	for i, vlan := range []frame.VID{10, 10, 20, 30, 30, 40, 40, 50, 70, 80, 60, 60} {
		none, isolated := frame.VIDSet{}, vlan == 30
		ch := vswitch.PortChange{PVID: &vlan, Tagged: &none, Isolated: &isolated}
		switch i + 1 {
		case 6:
			mtu := 100
			ch.MTU = &mtu
		case 10:
			ch.Mirror = &[]vswitch.MirrorFrom{{Port: "11", In: true}} // who sends nothing
		}
		c.set(i+1, ch)
	}
	return c
}

func (c *crowd) set(port int, ch vswitch.PortChange) {
	c.t.Helper()
	if _, err := c.SetPort(strconv.Itoa(port), ch); err != nil {
		c.t.Fatal(err)
	}
}

// send has the guest at a port send a frame of size bytes so often. Station n
// has the address 02:00:00:00:00:n.
func (c *crowd) send(port, times, size int, dst, src frame.MAC, tag ...byte) {
	c.t.Helper()
	f := binary.BigEndian.AppendUint32(nil, uint32(size))
	f = append(append(append(append(f, dst[:]...), src[:]...), tag...), 0x88, 0xb5)
	f = append(f, make([]byte, size)...)[:4+size]
	for range times {
		if _, err := c.guests[port-1].Write(f); err != nil {
			c.t.Fatal(err)
		}
	}
	c.sent += uint64(times)
	c.wait("they came in", func() bool { return c.truth()[figure{"total", "rx.frames"}] == c.sent })
}

func (c *crowd) wait(what string, ok func() bool) { c.t.Helper(); mgmttest.Until(c.t, what, ok) }

func station(n byte) frame.MAC { return frame.MAC{2, 0, 0, 0, 0, n} }

// makeTraffic gives every reason to drop a frame, and captures it all.
func (c *crowd) makeTraffic() {
	c.t.Helper()
	c.file = filepath.Join(c.t.TempDir(), "all.pcapng")
	capturing := startCapture(c.t, c.Switch, "all", "--snap", "64", "-w", c.file)
	all, yes := frame.Broadcast, true
	c.send(1, 7, 60, all, station(1)) // to 2
	c.send(2, 5, 200, station(1), station(2))
	c.set(1, vswitch.PortChange{Storm: &vswitch.Storm{Broadcast: 1}})
	c.send(1, 99, 64, all, station(1)) // storm
	c.set(1, vswitch.PortChange{Storm: &vswitch.Storm{}})
	for _, bad := range []string{"out-loss:100%", "out-mtu:100"} { // impair-loss, impair-mtu
		cable, err := vswitch.ParseImpair(bad)
		if err != nil {
			c.t.Fatal(err)
		}
		c.set(2, vswitch.PortChange{Impair: &cable})
		c.send(1, 6, 200, station(2), station(1))
	}
	c.set(2, vswitch.PortChange{Impair: &impair.Cable{}})
	c.send(1, 3, 64, station(1), station(1))          // same-port
	c.send(1, 4, 64, all, station(1), 0x81, 0, 0, 99) // vlan
	native, bare := vswitch.NativeNone, vswitch.NativeUntagged
	c.set(1, vswitch.PortChange{Native: &native})
	c.send(1, 3, 64, all, station(1)) // untagged
	c.set(1, vswitch.PortChange{Native: &bare})
	c.send(1, 2, 64, all, frame.MAC{3}) // bad-source
	c.set(1, vswitch.PortChange{Sources: &vswitch.Sources{station(1)}})
	c.send(1, 4, 64, all, station(2)) // spoofed
	c.set(1, vswitch.PortChange{Sources: &vswitch.Sources{}})
	c.send(1, 6, 64, frame.MAC{0x01, 0x80, 0xc2, 0, 0, 0x0e}, station(1)) // reserved
	c.send(1, 3, 13, all, station(1))                                     // runt
	c.send(3, 5, 64, all, station(3))                                     // no-receiver
	c.send(5, 1, 64, all, station(5))                                     // no-receiver: 4 is isolated, too
	c.send(4, 4, 64, station(5), station(4))                              // isolated
	c.send(7, 9, 200, all, station(7))                                    // mtu
	c.send(7, 2, 100, all, station(7))                                    // to 6
	c.set(9, vswitch.PortChange{Down: &yes})
	c.send(9, 2, 64, all, station(9))   // port-down
	c.send(10, 3, 64, all, station(10)) // mirror-port
	if err := c.AddFDB(60, station(11), "11"); err != nil {
		c.t.Fatal(err)
	}
	c.set(11, vswitch.PortChange{Down: &yes})
	c.send(12, 4, 64, station(11), station(12)) // receiver-down
	c.send(8, 200, 60000, all, station(8))      // ring-full
	if err := c.stuck.Close(); err != nil {     // link-lost
		c.t.Fatal(err)
	}
	c.wait("every frame is accounted for", func() bool {
		n := c.truth()
		return n[figure{"total", "rx.frames"}] == n[figure{"total", "tx.frames"}]+n[figure{"total", "drops"}]
	})
	capturing.stop()
	capturing.end(0, " 0 lost")
}

// truth is what the switch itself says.
func (c *crowd) truth() map[figure]uint64 {
	n := map[figure]uint64{}
	for _, p := range c.Ports() {
		for _, port := range []string{strconv.Itoa(p.Config.ID), "total"} {
			add := func(what string, k uint64) { n[figure{port, what}] += k }
			add("rx.frames", p.Rx.Frames)
			add("rx.bytes", p.Rx.Bytes)
			add("tx.frames", p.Tx.Frames)
			add("tx.bytes", p.Tx.Bytes)
			for r, k := range p.Drops {
				reason := vswitch.DropReason(r)
				add("drops", k)
				add("drops."+reason.String(), k)
				if reason != vswitch.DropRunt { // counted, not captured
					add("captured."+reason.String(), k)
				}
			}
			add("captured.in", p.Rx.Frames-p.Drops[vswitch.DropRunt])
			add("captured.out", p.Tx.Frames)
		}
	}
	return n
}

var (
	consolePort  = regexp.MustCompile(`^Port 0*(\d+) `)
	consoleCount = regexp.MustCompile(`^ (IN: |OUT:) pkts +(\d+) +bytes +(\d+)$`)
)

// vdeConsole reads port/allprint of the VDE console.
func vdeConsole(c *crowd) map[figure]string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "mgmt")
	ln, err := net.Listen("unix", path)
	if err != nil {
		c.t.Fatal(err)
	}
	vde := console.New(c.Switch.Switch, console.Options{})
	ctx, cancel := context.WithCancel(c.t.Context())
	served := make(chan error, 1)
	go func() { served <- vde.Serve(ctx, ln) }()
	defer func() {
		cancel()
		if err := errors.Join(<-served, vde.Close()); err != nil {
			c.t.Error(err)
		}
	}()
	conn, err := net.Dial("unix", path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("port/allprint\nlogout\n")); err != nil {
		c.t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		c.t.Fatal(err)
	}
	n, port := map[figure]string{}, ""
	for _, line := range strings.Split(string(text), "\n") {
		if m := consolePort.FindStringSubmatch(line); m != nil {
			port = m[1]
		}
		if m := consoleCount.FindStringSubmatch(line); m != nil {
			way := map[string]string{"IN: ": "rx", "OUT:": "tx"}[m[1]]
			n[figure{port, way + ".frames"}], n[figure{port, way + ".bytes"}] = m[2], m[3]
		}
	}
	return n
}
