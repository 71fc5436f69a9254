package vswitch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/impair"
)

// impair sets how bad the cable of s is.
func (l *lab) impair(s *station, text string) {
	l.t.Helper()
	c, err := impair.Parse(text)
	if err != nil {
		l.t.Fatal(err)
	}
	l.set(s, PortChange{Impair: &c})
}

// arrived waits until no frame is on a bad cable, and the switch is at rest. A
// frame that leaves one may be about to enter another.
func (l *lab) arrived() {
	l.t.Helper()
	nothing := func() bool {
		for _, p := range l.sw.Ports() {
			if p.Held != [2]int{} {
				return false
			}
		}
		return true
	}
	for again := true; again; again = !nothing() {
		l.waitFor("nothing is held", nothing)
		l.settle()
	}
	l.settle()
}

// counted makes frame number i from one station to another.
func counted(i, size int, dst, src frame.MAC) []byte {
	f := ethLen(size, dst, src)
	binary.BigEndian.PutUint32(f[14:], uint32(i))
	return f
}

func countOf(f []byte) int { return int(binary.BigEndian.Uint32(f[14:])) }

// received takes the numbers of what waits for s.
func (s *station) received() (list []int) {
	for f, ok := s.Poll(); ok; f, ok = s.Poll() {
		list = append(list, countOf(f))
	}
	return list
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// A frame takes as long as both cables on its way take, and no other is slower.
func TestImpairDelay(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug("impair=in-delay:30ms"), l.plug("impair=out-delay:20ms+in-delay:7500us"), l.plug("")
	l.introduce(a, b, c)
	l.arrived()
	for _, s := range l.stations {
		s.received()
	}
	for _, tc := range []struct {
		from, to *station
		least    time.Duration
	}{
		{a, b, 50 * time.Millisecond},
		{b, a, 7500 * time.Microsecond},
		{a, c, 30 * time.Millisecond},
		{c, b, 20 * time.Millisecond},
		{c, a, 0},
	} {
		begin := time.Now()
		tc.from.Send(eth(tc.to.mac, tc.from.mac))
		tc.to.Expect(eth(tc.to.mac, tc.from.mac))
		took := time.Since(begin)
		if took < tc.least {
			t.Errorf("port %d to %d: %v, want at least %v", tc.from.id, tc.to.id, took, tc.least)
		}
		t.Logf("port %d to %d: %v of %v", tc.from.id, tc.to.id, took, tc.least)
	}
}

// What is held is counted as such, and arrives when the cable is good again, in
// the order in which it was sent.
func TestImpairHeldAndReleased(t *testing.T) {
	for _, dir := range []string{"in", "out"} {
		t.Run(dir, func(t *testing.T) {
			l := newLab(t, Options{})
			a, b := l.plug(""), l.plug("")
			l.introduce(a, b)
			bad := map[string]*station{"in": a, "out": b}[dir]
			l.impair(bad, dir+"-delay:1m")
			const count = 200
			for i := range count {
				a.Send(counted(i, 60+i, b.mac, a.mac))
			}
			l.settle()
			held := map[string][2]int{"in": {count, 0}, "out": {0, count}}[dir]
			if p := l.port(bad.ref); p.Held != held || p.Queue != count {
				t.Errorf("held %v, queue %d", p.Held, p.Queue)
			}
			if got := b.received(); got != nil {
				t.Fatalf("%d frames are early", len(got))
			}
			l.impair(bad, "none")
			l.arrived()
			if got := b.received(); !slices.Equal(got, upTo(count)) {
				t.Errorf("received %v", got)
			}
			if p := l.port(bad.ref); p.Queue != 0 || p.Drops != [numDropReasons]uint64{} {
				t.Errorf("queue %d, drops %v", p.Queue, p.Drops)
			}
		})
	}
}

// What is on its way when a link ends arrives if it was going in, and is counted
// if it was going out.
func TestImpairLinkEnds(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("impair=delay:1m"), l.plug("")
	l.set(b, PortChange{Name: ptr("b")})
	for _, s := range []*station{a, b} { // a's address takes a minute to get in
		if err := l.sw.AddFDB(1, s.mac, s.ref); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		a.Send(counted(i, 60, b.mac, a.mac))
		b.Send(counted(i, 60, a.mac, b.mac))
	}
	l.settle()
	if p := l.port(a.ref); p.Held != [2]int{10, 10} {
		t.Fatalf("held %v", p.Held)
	}
	l.pull(a)
	l.waitFor("all arrive", func() bool { return l.port(b.ref).Tx.Frames == 10 })
	if got := b.received(); !slices.Equal(got, upTo(10)) {
		t.Errorf("received %v", got)
	}
	if p := l.port(a.ref); p.Held != [2]int{} || p.Drops[DropLinkLost] != 10 || p.Tx.Frames != 0 {
		t.Errorf("held %v, %d lost, %d sent", p.Held, p.Drops[DropLinkLost], p.Tx.Frames)
	}
	// The next link of the port has the same cable.
	a2 := l.plugInto("p1", a.id)
	b.Send(counted(1, 60, a.mac, b.mac))
	l.settle()
	if p := l.port(a.ref); p.Held != [2]int{0, 1} {
		t.Errorf("held %v by the next link", p.Held)
	}
	a2.Close()
}

// A port is taken away with frames on its cable.
func TestImpairPortRemoved(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("impair=delay:1m"), l.plug("")
	l.introduce(b)
	for range 5 {
		a.Send(eth(b.mac, a.mac))
		b.Send(eth(frame.Broadcast, b.mac))
	}
	l.settle()
	if err := l.sw.Remove(a.ref); err != nil {
		t.Fatal(err)
	}
	a.ExpectEnd()
	l.stations = []*station{b}
	l.settle()
	if got := b.received(); got != nil {
		t.Errorf("received %d frames of a port that is no more", len(got))
	}
}

func TestImpairLoss(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	l.introduce(a, b, c)
	for _, tc := range []struct {
		bad  *station
		text string
		want DropReason
	}{
		{a, "in-loss:100%", DropImpairLoss},
		{b, "out-loss:100%", DropImpairLoss},
		{a, "in-mtu:100", DropImpairMTU},
		{b, "out-mtu:100", DropImpairMTU},
		{b, "out-rate:1k+out-queue:1ms", DropImpairFull},
		{a, "in-rate:1k+in-queue:1ms", DropImpairFull},
	} {
		l.impair(tc.bad, tc.text)
		before := l.port(tc.bad.ref).Drops
		if tc.want == DropImpairFull { // this one has its turn, for a second and more
			a.Send(ethLen(200, b.mac, a.mac))
			l.settle()
		}
		l.expect(a, ethLen(200, b.mac, a.mac))
		before[tc.want]++
		if after := l.port(tc.bad.ref).Drops; after != before {
			t.Errorf("%s: drops are %v, want %v", tc.text, after, before)
		}
		if tc.want == DropImpairFull {
			l.impair(tc.bad, "none")
			l.arrived()
			b.Expect(ethLen(200, b.mac, a.mac))
		} else {
			l.impair(tc.bad, "none")
		}
		l.expectSame(a, ethLen(200, b.mac, a.mac), b)
		l.expectSame(a, ethLen(200, c.mac, a.mac), c)
	}
}

// Rates are upper bounds: so many bytes take at least so long.
func TestImpairRate(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("impair=out-rate:8M+out-queue:10s") // a byte takes 1 us
	l.introduce(a, b)
	l.arrived()
	b.received()
	const count, size = 100, 1500
	begin := time.Now()
	for i := range count {
		a.Send(counted(i, size, b.mac, a.mac))
	}
	for i := range count {
		f := b.Recv()
		if took, least := time.Since(begin), time.Duration((i+1)*size)*time.Microsecond; countOf(f) != i || took < least {
			t.Fatalf("frame %d, number %d, took %v, want at least %v", i, countOf(f), took, least)
		}
	}
	t.Logf("%d bytes in %v", count*size, time.Since(begin))
}

// Whatever the cables do, every frame that came in or was made twice went out or
// was counted, and what went out was received.
func TestImpairAccount(t *testing.T) {
	l := newLab(t, Options{})
	for i, text := range []string{
		"", "in-loss:20%+in-delay:1ms+in-jitter:1ms+seed:1", "out-dup:30%+out-delay:2ms+out-jitter:2ms+reorder:on+seed:2",
		"dup:10%+loss:10%+burst:3+delay:300us+seed:3", "rate:1M+queue:1ms+seed:4", "mtu:120+in-delay:500us",
	} {
		s := l.plug(strings.TrimSuffix("impair="+text, "impair="))
		if err := l.sw.AddFDB(1, s.mac, s.ref); err != nil {
			t.Fatal(err)
		}
		if got := l.port(s.ref).Config.Impair.String(); text != "" && got == "none" {
			t.Fatalf("station %d: %q is %s", i, text, got)
		}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	var got, sent uint64
	for range 40 {
		for range 60 {
			from, to := l.stations[rnd.IntN(len(l.stations))], l.stations[rnd.IntN(len(l.stations))]
			from.Send(ethLen(60+rnd.IntN(200), to.mac, from.mac))
			sent++
		}
		l.settle()
		got += l.drain().Frames
	}
	l.arrived()
	got += l.drain().Frames
	in, out, drops := l.sums()
	dups := uint64(0)
	reasons := map[DropReason]uint64{}
	for _, p := range l.sw.Ports() {
		dups += p.Duplicated[DirIn] + p.Duplicated[DirOut]
		for r, n := range p.Drops {
			reasons[DropReason(r)] += n
		}
	}
	if in.Frames != sent || out.Frames != got || in.Frames+dups != out.Frames+drops {
		t.Errorf("sent %d, in %d, made twice %d, out %d, dropped %d, received %d", sent, in.Frames, dups, out.Frames, drops, got)
	}
	for _, r := range []DropReason{DropImpairLoss, DropImpairMTU, DropImpairFull} {
		if reasons[r] == 0 {
			t.Errorf("nothing was dropped for %v", r)
		}
	}
	if dups == 0 {
		t.Error("nothing was made twice")
	}
}

// With jitter, frames stay in order unless that was asked for.
func TestImpairOrder(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		l := newLab(t, Options{})
		a, b := l.plug(""), l.plug("")
		l.introduce(a, b)
		l.impair(b, "out-delay:10ms+out-jitter:10ms+seed:1"+map[bool]string{true: "+reorder:on"}[reorder])
		for i := range 500 {
			a.Send(counted(i, 60, b.mac, a.mac))
		}
		var got []int
		for range 500 {
			got = append(got, countOf(b.Recv()))
		}
		ordered := slices.IsSorted(got)
		slices.Sort(got)
		if !slices.Equal(got, upTo(500)) || ordered == reorder {
			t.Errorf("reorder %t: in order: %t, frames %v", reorder, ordered, got)
		}
	}
}

// A mirror shows what came through the bad cable on its way in, and what was sent
// into it on its way out; a capture shows what was on the link, and what got lost.
func TestImpairSeen(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("name=a"), l.plug("name=b")
	m := l.plug("mirror=a:in+b:out")
	l.introduce(a, b)
	cap, err := l.sw.Capture(CaptureOptions{Ports: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer cap.Close()
	l.expectSame(a, eth(b.mac, a.mac), b, m, m) // watched twice, shown twice
	seen := func() (text string) {
		frames, _, err := cap.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			text += fmt.Sprintf(" %s:%v", f.Name, map[Direction]string{DirIn: "in", DirOut: "out"}[f.Dir])
			if f.Dropped {
				text += ":" + f.Reason.String()
			}
		}
		return strings.TrimSpace(text)
	}
	if got := seen(); got != "a:in b:out" && got != "b:out a:in" {
		t.Errorf("good cables: %s", got)
	}
	l.impair(a, "in-loss:100%")
	l.expect(a, eth(b.mac, a.mac))
	if got := seen(); got != "a:in:impair-loss" {
		t.Errorf("lost on its way in: %s", got)
	}
	l.impair(a, "none")
	l.impair(b, "out-loss:100%")
	l.expectSame(a, eth(b.mac, a.mac), m, m)
	if got := seen(); !strings.Contains(got, "b:out:impair-loss") || strings.Contains(got, "b:out ") {
		t.Errorf("lost on its way out: %s", got)
	}
}

func TestImpairTrace(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("name=a,impair=in-delay:20ms+in-mtu:1400"), l.plug("name=b,impair=out-loss:100%")
	_ = a
	if err := l.sw.AddFDB(1, b.mac, b.ref); err != nil {
		t.Fatal(err)
	}
	tr, err := l.sw.Trace("a", eth(b.mac, a.mac))
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(tr.Steps); !strings.Contains(text, "inward delay:20ms+mtu:1400") || !strings.Contains(text, "outward loss:100%") {
		t.Errorf("it says %s", text)
	}
	if len(tr.Receivers) != 1 || !tr.Receivers[0].Dropped || tr.Receivers[0].Reason != DropImpairLoss {
		t.Errorf("receivers %+v", tr.Receivers)
	}
	if tr, err = l.sw.Trace("a", ethLen(1415, b.mac, a.mac)); err != nil || tr.Outcome != "drop" || tr.Reason != DropImpairMTU {
		t.Errorf("too long: %+v, %v", tr, err)
	}
}

// Settings that cannot be are refused, and nothing changes.
func TestImpairRefused(t *testing.T) {
	l := newLab(t, Options{})
	a := l.plug("impair=loss:1%")
	for _, text := range []string{"loss:5", "delay:2m", "colour:red"} {
		if _, err := l.sw.Add(t.Context(), "pipe:x,impair="+text); err == nil || !strings.Contains(err.Error(), "impair") {
			t.Errorf("impair=%s: %v", text, err)
		}
	}
	if _, err := l.sw.SetPort(a.ref, PortChange{Impair: &impair.Cable{In: impair.Settings{Loss: 2}}}); err == nil {
		t.Error("a loss of 200 % was taken")
	}
	if got := l.port(a.ref).Config.Impair.String(); got != "loss:1%" {
		t.Errorf("it is %s", got)
	}
}

// Settings change while frames pass, from both sides and on both workers.
func TestImpairChangesUnderTraffic(t *testing.T) {
	l := newLab(t, Options{Workers: 2})
	a, b := l.plug(""), l.plug("")
	l.introduce(a, b)
	const count = 5000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range count {
			a.Send(counted(i, 100, b.mac, a.mac))
			b.Send(counted(i, 100, a.mac, b.mac))
		}
	}()
	texts := []string{"delay:1ms", "none", "in-delay:200us+out-jitter:1ms", "dup:50%", "rate:100M+queue:1m", "none", "out-delay:2ms+reorder:on+out-jitter:2ms"}
	for i, busy := 0, true; busy; i++ {
		l.impair(l.stations[i%2], texts[i%len(texts)])
		for _, s := range []*station{a, b} {
			s.received()
		}
		select {
		case <-done:
			busy = false
		default:
		}
	}
	l.impair(a, "none")
	l.impair(b, "none")
	l.arrived()
	l.waitFor("nothing is queued", func() bool {
		l.drain()
		return l.port(a.ref).Queue+l.port(b.ref).Queue == 0
	})
	in, out, drops := l.sums()
	dups := uint64(0)
	for _, p := range l.sw.Ports() {
		dups += p.Duplicated[DirIn] + p.Duplicated[DirOut]
	}
	if in.Frames+dups != out.Frames+drops {
		t.Errorf("in %d, made twice %d, out %d, dropped %d", in.Frames, dups, out.Frames, drops)
	}
}

// The path of a bad cable allocates nothing once it has what it needs.
func TestImpairAllocatesNothing(t *testing.T) {
	var cable impair.Line
	cable.Set(impair.Settings{Delay: time.Microsecond, Seed: 1}, 0)
	in := &frame.Batch{Buf: bytes.Repeat([]byte{1}, 1514), Refs: []frame.Ref{{Len: 1514}}}
	out := &frame.Batch{Buf: make([]byte, bufSize), Refs: make([]frame.Ref, 0, 64)}
	now := int64(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += 10_000
		cable.Push(now, in, in.Refs[0])
		out.Reset()
		cable.Pop(now, out)
	}); n > 0.1 && !raceEnabled { // the race detector has pools forget
		t.Errorf("%v allocations for a frame", n)
	}
}
