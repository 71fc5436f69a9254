package vswitch

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	sockets "vnetkit/switch/plug"
	"vnetkit/switch/stp"
)

// reconverge is how long a net may take to carry frames again.
const reconverge = 3 * time.Second

// treeLab is a switch with a spanning tree that others can be cabled to.
func treeLab(t testing.TB, mode STPMode, priority uint16) *lab {
	return newLab(t, Options{
		Kinds: []link.Kind{sockets.Stream()},
		STP:   STPConfig{Mode: mode, Config: stp.Config{Priority: &priority}},
	})
}

// cord is a stream between a port of one switch and a port of another.
type cord struct {
	a, b         *lab
	port1, port2 string
}

var uniques atomic.Int32

// unique returns a number that nobody had before.
func unique() int { return int(uniques.Add(1)) }

// cable joins two switches, or one to itself.
func cable(a, b *lab, keys1, keys2 string) cord {
	a.t.Helper()
	n := unique()
	path := filepath.Join(a.t.TempDir(), fmt.Sprint(n))
	c := cord{a: a, b: b, port1: fmt.Sprint("c", n, "a"), port2: fmt.Sprint("c", n, "b")}
	if _, err := a.sw.Add(a.t.Context(), join("stream:unix:"+path+",name="+c.port1, keys1)); err != nil {
		a.t.Fatal(err)
	}
	if _, err := b.sw.Add(b.t.Context(), join("stream:unix:"+path+",connect=on,name="+c.port2, keys2)); err != nil {
		b.t.Fatal(err)
	}
	c.awaitUp()
	return c
}

func (c cord) awaitUp() {
	c.a.t.Helper()
	c.a.waitFor("the cable "+c.port1+" is up", func() bool {
		return c.a.port(c.port1).State == StateUp && c.b.port(c.port2).State == StateUp
	})
}

func (c cord) pull() {
	c.a.t.Helper()
	if err := c.a.sw.Remove(c.port1); err != nil {
		c.a.t.Fatal(err)
	}
}

// closed counts the ends of cables that do not forward; -1: one of them still
// waits for its turn, so that the ends, which are not looked at all at once, may
// be of two different trees.
func closed(cords ...cord) int {
	n := 0
	for _, c := range cords {
		for _, p := range []PortInfo{c.a.port(c.port1), c.b.port(c.port2)} {
			switch {
			case p.Tree.State == "forwarding":
			case p.Tree.Role == "designated":
				return -1
			default:
				n++
			}
		}
	}
	return n
}

// talk waits until a frame from one station reaches another, within a limit.
func talk(from, to *station, within time.Duration) (took time.Duration) {
	from.lab.t.Helper()
	start := time.Now()
	f := eth(frame.Broadcast, mac(1<<20+unique())) // like no other
	for {
		from.Send(f)
		for range 20 {
			if got, ok := to.Poll(); ok && slices.Equal(got, f) {
				return time.Since(start)
			}
			time.Sleep(time.Millisecond) // between two looks
		}
		if time.Since(start) > within {
			from.lab.t.Fatalf("nothing gets through after %v:\n%v\n%v", within, from.lab.tree(), to.lab.tree())
		}
	}
}

// tree is all that is known of the lab's trees, for messages.
func (l *lab) tree() string {
	text := ""
	for _, t := range l.sw.SpanningTree().Trees {
		text += fmt.Sprintf("vlan %d: id %v root %v cost %d by %d\n", t.VID, t.ID, t.Root, t.Cost, t.RootPort)
		for _, p := range t.Ports {
			text += fmt.Sprintf("  %s %v %v speaks %s edge %t, knows %v, %d in %d out\n", t.Names[p.Port], p.Role, p.State, p.Speaks, p.Edge, p.Designated, p.Rx, p.Tx)
		}
	}
	return text
}

// quiet checks that what a station sends once arrives once, and that nothing
// goes round.
func quiet(t *testing.T, from, to *station, labs ...*lab) {
	t.Helper()
	for _, s := range []*station{from, to} {
		for _, ok := s.Poll(); ok; _, ok = s.Poll() {
		}
	}
	f := eth(frame.Broadcast, mac(0x999))
	from.Send(f)
	if got := to.Recv(); !slices.Equal(got, f) {
		// BPDUs of the switch go to stations, too.
		for !slices.Equal(got, f) {
			got = to.Recv()
		}
	}
	rx := map[*lab]uint64{}
	for _, l := range labs {
		for _, p := range l.sw.Ports() {
			rx[l] += p.Rx.Frames
		}
	}
	for range 3 { // enough for a storm of millions
		for _, l := range labs {
			for _, w := range l.sw.workers {
				round := make(chan struct{})
				w.do(func() { close(round) })
				<-round
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, l := range labs {
		for _, p := range l.sw.Ports() {
			rx[l] -= p.Rx.Frames
		}
	}
	for l, n := range rx {
		if -n > 20 { // a few BPDUs
			t.Errorf("%d frames after one broadcast\n%v", -n, l.tree())
		}
	}
	for got, ok := to.Poll(); ok; got, ok = to.Poll() {
		if slices.Equal(got, f) {
			t.Error("a broadcast arrived twice")
		}
	}
}

func TestTwoCablesBetweenTwoSwitches(t *testing.T) {
	a, b := treeLab(t, STPRapid, 4096), treeLab(t, STPRapid, 32768)
	x, y := a.plug("edge=on"), b.plug("edge=on")
	one, two := cable(a, b, "", ""), cable(a, b, "", "")
	talk(x, y, reconverge)
	a.waitFor("exactly one port is closed", func() bool { return closed(one, two) == 1 })
	if r := b.port(two.port2).Tree.Role; r != "alternate" {
		t.Errorf("the second cable's far end is %s", r)
	}
	quiet(t, x, y, a, b)
	one.pull()
	t.Logf("a frame got through %v after the cable was pulled", talk(x, y, reconverge))
	if n := closed(two); n != 0 {
		t.Errorf("%d ends of the cable that is left are closed", n)
	}
	quiet(t, x, y, a, b)
	three := cable(a, b, "", "")
	a.waitFor("exactly one port is closed again", func() bool { return closed(two, three) == 1 })
	quiet(t, x, y, a, b)
}

func TestRingOfFourSwitches(t *testing.T) {
	var labs []*lab
	for i := range 4 {
		labs = append(labs, treeLab(t, STPRapid, uint16(i+1)*4096))
	}
	x, y := labs[0].plug("edge=on"), labs[2].plug("edge=on")
	var all []cord
	for i := range 4 {
		all = append(all, cable(labs[i], labs[(i+1)%4], "", ""))
	}
	talk(x, y, reconverge)
	labs[0].waitFor("exactly one port of the ring is closed", func() bool { return closed(all...) == 1 })
	quiet(t, x, y, labs...)
	for i := range 4 {
		all[i].pull()
		took := talk(x, y, reconverge)
		t.Logf("cable %d pulled: through after %v", i, took)
		quiet(t, x, y, labs...)
		if err := labs[(i+1)%4].sw.Remove(all[i].port2); err != nil {
			t.Fatal(err)
		}
		all[i] = cable(labs[i], labs[(i+1)%4], "", "")
		labs[0].waitFor("exactly one port of the ring is closed", func() bool { return closed(all...) == 1 })
	}
}

func TestCableFromASwitchToItself(t *testing.T) {
	a := treeLab(t, STPRapid, 32768)
	x, y := a.plug("edge=on"), a.plug("edge=on")
	c := cable(a, a, "", "")
	a.waitFor("one end is a backup", func() bool {
		return a.port(c.port1).Tree.Role == "backup" || a.port(c.port2).Tree.Role == "backup"
	})
	a.waitFor("exactly one end is closed", func() bool { return closed(c) == 1 })
	quiet(t, x, y, a)
}

// TestClosedPortDropsAndDoesNotLearn looks at what becomes of frames at a port
// that waits for its turn.
func TestClosedPortDropsAndDoesNotLearn(t *testing.T) {
	l := newLab(t, Options{STP: STPConfig{Mode: STPRapid}})
	open, wait := l.plug("edge=on"), l.plug("edge=off")
	l.expectDropAmongBPDUs(wait, eth(frame.Broadcast, wait.mac), DropBlocked)
	if list, err := l.sw.FDB(FDBFilter{}); err != nil || len(list) != 0 {
		t.Errorf("learned %v, %v behind a closed port", list, err)
	}
	if err := l.sw.AddFDB(1, wait.mac, wait.ref); err != nil {
		t.Fatal(err)
	}
	l.expectDropAmongBPDUs(open, eth(wait.mac, open.mac), DropBlocked)
	tr, err := l.sw.Trace(wait.ref, eth(frame.Broadcast, wait.mac))
	if err != nil || tr.Outcome != "drop" || tr.Reason != DropBlocked {
		t.Errorf("trace: %+v, %v", tr, err)
	}
	bpdu := stp.AppendFrame(nil, mac(5), 0, &stp.BPDU{Type: stp.TypeTCN})
	if tr, err = l.sw.Trace(wait.ref, bpdu); err != nil || tr.Outcome != "trap" || len(tr.Receivers) != 0 {
		t.Errorf("trace of a BPDU: %+v, %v", tr, err)
	}
	if err := l.sw.Set(Change{STP: &STPChange{Mode: ptr(STPOff)}}); err != nil {
		t.Fatal(err)
	}
	for _, ok := open.Poll(); ok; _, ok = open.Poll() {
	}
	f := eth(frame.Broadcast, wait.mac)
	wait.Send(f)
	open.Expect(f)
	l.expectDrop(wait, bpdu, DropReserved) // as it is without a spanning tree
}

// expectDropAmongBPDUs is expectDrop where the switch may send BPDUs.
func (l *lab) expectDropAmongBPDUs(from *station, f []byte, reason DropReason) {
	l.t.Helper()
	before := l.port(from.ref).Drops
	from.Send(f)
	l.settle()
	after := l.port(from.ref).Drops
	before[reason]++
	if before != after {
		l.t.Errorf("drops of port %d are %v, want %v", from.id, after, before)
	}
	for _, s := range l.stations {
		for got, ok := s.Poll(); ok; got, ok = s.Poll() {
			if !stp.IsFrame(got) {
				l.t.Errorf("port %d received % x", s.id, got)
			}
		}
	}
}

func TestBPDUGuardShutsThePort(t *testing.T) {
	l := newLab(t, Options{STP: STPConfig{Mode: STPRapid}})
	vm := l.plug("edge=on,bpduguard=on")
	l.seq = l.sw.Info().EventSeq
	root := stp.Vector{Root: 1, Bridge: 1, Port: 1}
	vm.Send(stp.AppendFrame(nil, vm.mac, 0, &stp.BPDU{Type: stp.TypeRST, Vector: root, Role: stp.Designated,
		Times: stp.Times{MaxAge: 20 << 8, Hello: 2 << 8, Forward: 15 << 8}}))
	e := l.await(func(e Event) bool { return e.Type == EventSTPGuard })
	p := l.port(vm.ref)
	if e.Port != vm.id || p.State != StateDown || p.Reason == "" {
		t.Errorf("event %+v, state %s: %s", e, p.State, p.Reason)
	}
	l.expectDropAmongBPDUs(vm, eth(frame.Broadcast, vm.mac), DropBPDUGuard)
	if root := l.sw.SpanningTree().Trees[0].Root; root == 1 {
		t.Error("believed what it said")
	}
	l.set(vm, PortChange{Down: ptr(false)})
	if p := l.port(vm.ref); p.State != StateUp || p.Reason != "" || p.Tree.State != "forwarding" {
		t.Errorf("after it was set up again: %s %s, %s", p.State, p.Reason, p.Tree.State)
	}
}

// TestTreeForEachVLAN has two trunks share the load of two VLANs.
func TestTreeForEachVLAN(t *testing.T) {
	a, b := treeLab(t, STPFSTP, 4096), treeLab(t, STPFSTP, 32768)
	one := cable(a, b, "vlan=1,tagged=10+20", "vlan=1,tagged=10+20")
	two := cable(a, b, "vlan=1,tagged=10+20", "vlan=1,tagged=10+20")
	x10, y10 := a.plug("vlan=10,edge=on"), b.plug("vlan=10,edge=on")
	x20, y20 := a.plug("vlan=20,edge=on"), b.plug("vlan=20,edge=on")
	talk(x10, y10, 2*reconverge)
	talk(x20, y20, 2*reconverge)
	if err := b.sw.SetTreeBonus(20, two.port2, 15000); err != nil {
		t.Fatal(err)
	}
	state := func(vid frame.VID, port string) string {
		for _, tree := range b.sw.SpanningTree().Trees {
			for _, p := range tree.Ports {
				if tree.VID == vid && tree.Names[p.Port] == port {
					return p.Role.String() + " " + p.State.String()
				}
			}
		}
		return "no tree"
	}
	want := map[string]string{"10 one": "root forwarding", "10 two": "alternate discarding", "20 one": "alternate discarding", "20 two": "root forwarding"}
	got := func() map[string]string {
		return map[string]string{
			"10 one": state(10, one.port2), "10 two": state(10, two.port2),
			"20 one": state(20, one.port2), "20 two": state(20, two.port2),
		}
	}
	a.waitFor("each VLAN has its own trunk", func() bool { return maps.Equal(got(), want) })
	talk(x10, y10, reconverge)
	talk(x20, y20, reconverge)
	quiet(t, x20, y20, a, b)
	one.pull()
	talk(x10, y10, reconverge)
	quiet(t, x10, y10, a, b)
}

// TestOverridesOfOneVLAN is what VDE's console sets: an edge and a bonus in one
// VLAN's tree only.
func TestOverridesOfOneVLAN(t *testing.T) {
	l := newLab(t, Options{STP: STPConfig{Mode: STPFSTP}})
	s := l.plug("vlan=1,tagged=7,edge=off")
	other := l.plug("vlan=1,tagged=7,edge=off")
	place := func(vid frame.VID, s *station) stp.PortInfo {
		for _, tree := range l.sw.SpanningTree().Trees {
			for _, p := range tree.Ports {
				if tree.VID == vid && p.Port == s.id {
					return p
				}
			}
		}
		t.Fatalf("port %d has no place in VLAN %d", s.id, vid)
		return stp.PortInfo{}
	}
	if err := l.sw.SetTreeEdge(7, s.ref, true); err != nil {
		t.Fatal(err)
	}
	if a, b := place(7, s), place(1, s); !a.Edge || a.State != stp.Forwarding || b.Edge || b.State == stp.Forwarding {
		t.Errorf("an edge in VLAN 7: %+v there, %+v in VLAN 1", a, b)
	}
	for _, c := range []struct {
		to        *station
		cost, off uint32
	}{{s, 5000, 15000}, {other, 20000, 0}} {
		if err := l.sw.SetTreeBonus(7, s.ref, 15000); err != nil {
			t.Fatal(err)
		}
		if p := place(7, c.to); p.Cost != c.cost {
			t.Errorf("cost %d with a bonus of %d", p.Cost, c.off)
		}
	}
	if err := l.sw.SetTreeBonus(7, other.ref, 1); err != nil {
		t.Fatal(err)
	}
	if a, b := place(7, s).Cost, place(7, other).Cost; a != 20000 || b != 19999 {
		t.Errorf("costs %d and %d after the bonus went to the second", a, b)
	}
	if err := l.sw.SetTreeEdge(0, s.ref, true); err == nil {
		t.Error("VLAN 0 is taken")
	}
	if err := l.sw.SetTreeEdge(7, "nosuch", true); err == nil {
		t.Error("a port that is not there is taken")
	}
	if err := l.sw.Remove(s.ref); err != nil {
		t.Fatal(err)
	}
	l.sw.mu.Lock()
	defer l.sw.mu.Unlock()
	for x := range l.sw.span.over {
		if x.port == s.id {
			t.Error("settings outlive their port")
		}
	}
}
