package vswitch

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"vnetkit/switch/frame"
)

// sums adds up what all ports count.
func (l *lab) sums() (in, out Count, drops uint64) {
	for _, p := range l.sw.Ports() {
		in.Frames += p.Rx.Frames
		in.Bytes += p.Rx.Bytes
		out.Frames += p.Tx.Frames
		out.Bytes += p.Tx.Bytes
		for _, d := range p.Drops {
			drops += d
		}
	}
	return in, out, drops
}

// drain takes what waits for all stations, and returns how much it was.
func (l *lab) drain() (n Count) {
	for _, s := range l.stations {
		for f, ok := s.Poll(); ok; f, ok = s.Poll() {
			n.Frames++
			n.Bytes += uint64(len(f))
		}
	}
	return n
}

// Every unicast frame that comes in goes out once or is counted once as
// dropped, whatever becomes of it.
func TestAccountUnicast(t *testing.T) {
	l := newLab(t, Options{})
	for _, keys := range []string{"", "vlan=10", "vlan=10", "", "isolated=on", "isolated=on", "mtu=100", "down=on", "vlan=7"} {
		s := l.plug(keys)
		vid := l.port(s.ref).Config.PVID
		if err := l.sw.AddFDB(vid, s.mac, s.ref); err != nil { // known for ever
			t.Fatal(err)
		}
		if vid != 1 {
			if err := l.sw.AddFDB(1, s.mac, s.ref); err != nil {
				t.Fatal(err)
			}
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var got, sent Count
	for range 50 {
		for range 60 {
			from, to := l.stations[rnd.IntN(len(l.stations))], l.stations[rnd.IntN(len(l.stations))]
			f := ethLen(14+rnd.IntN(200), to.mac, from.mac)
			switch rnd.IntN(12) {
			case 0:
				f = retag(f, vlan(frame.VID(rnd.IntN(12)), 0))
			case 1:
				f = make([]byte, 1+rnd.IntN(13))
			case 2:
				f[6] |= 1 // a group as source
			case 3:
				copy(f, []byte{0x01, 0x80, 0xc2, 0, 0, 0})
			}
			if len(f) >= 14 && !known(l, from, f) {
				continue // would be flooded
			}
			from.Send(f)
			sent.Frames++
			if len(f) >= 14 {
				sent.Bytes += uint64(len(f))
			}
		}
		l.settle()
		more := l.drain()
		got.Frames += more.Frames
		got.Bytes += more.Bytes
	}
	in, out, drops := l.sums()
	if in != sent {
		t.Errorf("%+v came in, %+v was sent", in, sent)
	}
	if out != got {
		t.Errorf("%+v went out, %+v was received", out, got)
	}
	if in.Frames != out.Frames+drops {
		t.Errorf("%d in, %d out, %d dropped: %d are missing", in.Frames, out.Frames, drops, int(in.Frames)-int(out.Frames)-int(drops))
	}
	if out.Frames == 0 || drops == 0 {
		t.Error("nothing was tested")
	}
}

// known tells whether f's destination is in the table, or f is dropped before
// that matters.
func known(l *lab, from *station, f []byte) bool {
	top := l.sw.top.Load()
	return decide(top, l.sw.fdb, top.get(from.id), f, 0).outcome != flood
}

// A flooded frame goes out, or is counted as dropped, once for each receiver.
func TestAccountFlood(t *testing.T) {
	l := newLab(t, Options{})
	for _, keys := range []string{"", "", "", "mtu=100", "vlan=10", "down=on", "isolated=on", "isolated=on"} {
		l.plug(keys)
	}
	from, alone := l.stations[0], l.stations[4]
	const receivers = 5 // of what the first sends: 2, 3, 4, 7 and 8; all but VLAN 10 and what is down
	var got Count
	const count = 500
	for i := range count {
		from.Send(ethLen(60+i%100, frame.Broadcast, from.mac))
		if i%50 == 0 {
			alone.Send(eth(frame.Broadcast, alone.mac))
			l.settle()
			more := l.drain()
			got.Frames += more.Frames
		}
	}
	l.settle()
	got.Frames += l.drain().Frames
	_, out, _ := l.sums()
	mtu := l.port("4").Drops[DropMTU]
	// VLAN 10's frames reach the ports of all VLANs: 1, 2, 3, 4, 7 and 8.
	want := uint64(count*receivers + count/50*6)
	if out.Frames != got.Frames || out.Frames+mtu != want {
		t.Errorf("%d out, %d received, %d dropped by MTU, want %d copies", out.Frames, got.Frames, mtu, want)
	}
	if mtu != count*45/100 { // payloads 101..145 of 46..145
		t.Errorf("%d dropped by MTU, want %d", mtu, count*45/100)
	}
}

// numbered is a broadcast frame that says which one it is.
func numbered(src frame.MAC, n int) []byte {
	f := eth(frame.Broadcast, src)
	binary.BigEndian.PutUint32(f[16:], uint32(n))
	return f
}

func serial(f []byte) int { return int(binary.BigEndian.Uint32(f[16:])) }

// A receiver that does not read fills its own ring; nobody else loses a frame,
// and every frame is accounted for.
func TestStuckReceiver(t *testing.T) {
	l := newLab(t, Options{})
	a, b, stuck := l.plug(""), l.plug(""), l.plug("")
	const window = 50
	count := (defaultRing.Frames/window + 100) * window
	for n := 0; n < count; n += window {
		for i := range window {
			a.Send(numbered(a.mac, n+i))
		}
		for i := range window {
			if f := b.Recv(); serial(f) != n+i {
				t.Fatalf("frame %d arrived instead of %d", serial(f), n+i)
			}
		}
	}
	l.settle()
	p := l.port(stuck.ref)
	if in := p.Tx.Frames + uint64(p.Queue) + p.Drops[DropRingFull]; in != uint64(count) {
		t.Errorf("%d went out, %d wait, %d were dropped: together %d, want %d", p.Tx.Frames, p.Queue, p.Drops[DropRingFull], in, count)
	}
	if p.Queue != defaultRing.Frames || p.Drops[DropRingFull] == 0 {
		t.Errorf("%d wait, %d were dropped; want a full ring of %d", p.Queue, p.Drops[DropRingFull], defaultRing.Frames)
	}
	if d := l.port(b.ref).Drops; d != [numDropReasons]uint64{} {
		t.Errorf("drops of the one who reads: %v", d)
	}
	// It reads again: it gets what was kept, in order, and then what is new.
	keeps := count - int(p.Drops[DropRingFull])
	for n := range keeps {
		if f := stuck.Recv(); serial(f) != n {
			t.Fatalf("frame %d arrived instead of %d", serial(f), n)
		}
	}
	l.waitFor("the ring is empty", func() bool { return l.port(stuck.ref).Queue == 0 })
	a.Send(numbered(a.mac, count))
	if f := stuck.Recv(); serial(f) != count {
		t.Errorf("frame %d arrived instead of %d", serial(f), count)
	}
}

// A receiver dies whose ring is full: what waited is counted, and life goes on.
func TestStuckReceiverKilled(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	var files int
	for round := range 20 {
		if round == 1 {
			files = descriptors(t)
		}
		stuck := l.plug("")
		for l.port(stuck.ref).Queue == 0 {
			for n := range 50 {
				a.Send(numbered(a.mac, n))
			}
			for range 50 {
				b.Recv()
			}
		}
		l.settle()
		waits := uint64(l.port(stuck.ref).Queue)
		l.pull(stuck)
		if p := l.port(stuck.ref); p.Drops[DropLinkLost] != waits || p.Queue != 0 {
			t.Errorf("%d dropped as lost with the link, %d still wait, want %d and none", p.Drops[DropLinkLost], p.Queue, waits)
		}
		l.expectSame(a, eth(frame.Broadcast, a.mac), b)
	}
	if now := descriptors(t); now > files {
		t.Errorf("%d descriptors, %d before", now, files)
	}
}
