package vswitch

import (
	"slices"
	"testing"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// TestBPDUFloodHurtsNobodyElse fills the inbox from one port.
func TestBPDUFloodHurtsNobodyElse(t *testing.T) {
	l := newLab(t, Options{})
	bad, good := l.plug(""), l.plug("")
	x := inbox{news: make(chan struct{}, 1)}
	f := stp.AppendFrame(nil, bad.mac, 0, &stp.BPDU{Type: stp.TypeTCN})
	port := func(s *station) *Port { p, _ := l.sw.find(s.ref); return p }
	took := 0
	for range 1000 {
		if x.put(port(bad), 1, false, f) {
			took++
		}
	}
	if took != inboxPort {
		t.Errorf("took %d of one port, want %d", took, inboxPort)
	}
	if !x.put(port(good), 1, true, append(f, make([]byte, 1500)...)) {
		t.Error("no room for another port's")
	}
	list := x.take()
	if last := list[len(list)-1]; len(list) != inboxPort+1 || last.port != port(good) || !last.tagged || last.len != stp.MaxFrame {
		t.Errorf("%d taken, the last of port %d, %d bytes", len(list), last.port.id, last.len)
	}
	if len(x.take()) != 0 {
		t.Error("taken twice")
	}
}

// TestBPDUsAreNotLostToAFullQueue stops a neighbour from reading: what is said
// to it finds room behind all else.
func TestBPDUsAreNotLostToAFullQueue(t *testing.T) {
	l := newLab(t, Options{})
	slow := l.plug("")
	p, _ := l.sw.find(slow.ref)
	p.tx.mu.Lock() // as if its link were busy for ever
	defer p.tx.mu.Unlock()
	p.tx.qmu.Lock()
	p.tx.ring.Limits.Frames = 3
	p.tx.qmu.Unlock()
	f := eth(frame.Broadcast, mac(1))
	b := frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}
	for range 5 {
		p.queue(&b, 0, 0)
	}
	if d := p.drops[DropRingFull].Load(); d != 2 {
		t.Fatalf("%d drops at a full queue, want 2", d)
	}
	for range sayRoom {
		p.say(f)
	}
	if n, d := p.tx.len.Load(), p.drops[DropRingFull].Load(); n != 3+sayRoom || d != 2 {
		t.Errorf("%d frames wait, %d were dropped; want %d and 2", n, d, 3+sayRoom)
	}
	p.say(f)
	if d := p.drops[DropRingFull].Load(); d != 3 {
		t.Errorf("%d were dropped when that was full too, want 3", d)
	}
}

// What the switch itself says takes the port's bad cable too: there all of it may
// be lost, or it comes late and in order.
func TestBPDUsTakeTheBadCable(t *testing.T) {
	l := newLab(t, Options{})
	s := l.plug("impair=out-loss:100%")
	p, _ := l.sw.find(s.ref)
	p.say(counted(0, 60, frame.Broadcast, mac(1)))
	if d := p.drops[DropImpairLoss].Load(); d != 1 {
		t.Errorf("%d frames were lost on a cable that loses all, want 1", d)
	}
	l.impair(s, "out-delay:20ms")
	start := time.Now()
	for i := 1; i < 4; i++ {
		p.say(counted(i, 60, frame.Broadcast, mac(1)))
	}
	l.arrived()
	var got []int
	l.waitFor("three frames arrive", func() bool { got = append(got, s.received()...); return len(got) >= 3 })
	if took := time.Since(start); !slices.Equal(got, []int{1, 2, 3}) || took < 20*time.Millisecond {
		t.Errorf("%v arrive after %v, want 1 to 3 after 20 ms", got, took)
	}
	l.impair(s, "none")
	p.say(counted(4, 60, frame.Broadcast, mac(1)))
	l.waitFor("one more arrives", func() bool { got = append(got, s.received()...); return len(got) == 4 })
}
