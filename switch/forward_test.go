package vswitch

import (
	"fmt"
	"testing"
	"time"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

var nobody = frame.MAC{0x52, 0x54, 0xff, 0xff, 0xff, 0xff}

func TestForwardFloodsUnknownUnicast(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	l.expectSame(a, eth(nobody, a.mac), b, c)
}

func TestForwardFloodsGroups(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	for _, dst := range []frame.MAC{frame.Broadcast, {0x01, 0, 0x5e, 0, 0, 1}, {0x33, 0x33, 0, 0, 0, 1}, {0x01, 0x80, 0xc2, 0, 0, 0x10}} {
		l.expectSame(a, eth(dst, a.mac), b, c)
	}
}

func TestForwardLearns(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	l.expectSame(a, eth(b.mac, a.mac), b, c) // nobody knows b yet
	l.expectSame(b, eth(a.mac, b.mac), a)
	l.expectSame(a, eth(b.mac, a.mac), b)
	l.expectSame(c, eth(b.mac, c.mac), b)
	l.expectSame(b, eth(c.mac, b.mac), c)
	list, err := l.sw.FDB(FDBFilter{})
	if err != nil || len(list) != 3 {
		t.Errorf("the table lists %v, %v", list, err)
	}
}

func TestForwardLearnsAgainWhenAStationMoves(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	l.introduce(a, b, c)
	l.expectSame(c, eth(a.mac, b.mac), a) // b's address is behind c now
	l.expectSame(a, eth(b.mac, a.mac), c)
}

func TestForwardNeverGoesBack(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	two := mac(77) // behind a, too
	a.Send(eth(frame.Broadcast, two))
	l.introduce(a, b)
	l.expectDrop(a, eth(two, a.mac), DropSamePort)
	l.expectDrop(a, eth(a.mac, a.mac), DropSamePort)
}

func TestForwardAlone(t *testing.T) {
	l := newLab(t, Options{})
	a := l.plug("")
	l.expectDrop(a, eth(frame.Broadcast, a.mac), DropNoReceiver)
	l.expectDrop(a, eth(nobody, a.mac), DropNoReceiver)
}

func TestForwardBadSource(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	l.introduce(b)
	for _, src := range []frame.MAC{{}, frame.Broadcast, {1, 2, 3, 4, 5, 6}} {
		l.expectDrop(a, eth(b.mac, src), DropBadSource)
	}
	if list, _ := l.sw.FDB(FDBFilter{Port: a.ref}); len(list) != 0 {
		t.Errorf("learned %v", list)
	}
}

func TestForwardRunts(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	for n := 1; n < frame.HeaderLen; n++ {
		l.expectDrop(a, make([]byte, n), DropRunt)
	}
	l.expectDrop(a, eth(frame.Broadcast, a.mac, vlan(1, 0))[:17], DropRunt) // ends inside its tag
	l.expectSame(a, eth(frame.Broadcast, a.mac)[:14], b)                    // short, but a frame
	if in := l.port(a.ref).Rx.Frames; in != 15 {
		t.Errorf("%d frames came in, want 15: runts count", in)
	}
}

func TestForwardHub(t *testing.T) {
	l := newLab(t, Options{Hub: true})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	l.introduce(a, b, c)
	l.expectSame(a, eth(b.mac, a.mac), b, c)
	if err := l.sw.Set(Change{Hub: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	l.introduce(a, b, c)
	l.expectSame(a, eth(b.mac, a.mac), b)
	if err := l.sw.Set(Change{Hub: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	l.expectSame(a, eth(b.mac, a.mac), b, c)
	if list, _ := l.sw.FDB(FDBFilter{}); len(list) != 0 {
		t.Errorf("a hub knows %v", list)
	}
	if err := l.sw.AddFDB(1, b.mac, b.ref); err != nil {
		t.Fatal(err)
	}
	l.expectSame(a, eth(b.mac, a.mac), b, c) // and does not look
}

func TestForwardStatic(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	if err := l.sw.AddFDB(1, nobody, c.ref); err != nil {
		t.Fatal(err)
	}
	l.expectSame(a, eth(nobody, a.mac), c)
	l.expectSame(b, eth(a.mac, nobody), a) // b claims it, in vain
	l.expectSame(a, eth(nobody, a.mac), c)
	if n, err := l.sw.FlushFDB(FDBFilter{}); err != nil || n != 1 { // a's
		t.Errorf("flushed %d, %v", n, err)
	}
	l.expectSame(a, eth(nobody, a.mac), c)
	if n, err := l.sw.FlushFDB(FDBFilter{MAC: &nobody, Static: true}); err != nil || n != 1 {
		t.Errorf("flushed %d, %v", n, err)
	}
	l.expectSame(a, eth(nobody, a.mac), b, c)
}

func TestForwardStaticIsChecked(t *testing.T) {
	l := newLab(t, Options{})
	a := l.plug("")
	for _, c := range []struct {
		vid  frame.VID
		mac  frame.MAC
		port string
	}{
		{0, mac(9), a.ref}, {4095, mac(9), a.ref}, {1, frame.Broadcast, a.ref}, {1, frame.MAC{}, a.ref}, {1, mac(9), "9"},
	} {
		if err := l.sw.AddFDB(c.vid, c.mac, c.port); err == nil {
			t.Errorf("%+v was added", c)
		}
	}
}

func TestForwardFlush(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	for _, f := range []FDBFilter{{}, {Port: b.ref}, {VID: 1}, {MAC: &b.mac}} {
		l.introduce(a, b, c)
		l.expectSame(a, eth(b.mac, a.mac), b)
		n, err := l.sw.FlushFDB(f)
		if want := map[bool]int{true: 3, false: 1}[f.Port == "" && f.MAC == nil]; err != nil || n != want {
			t.Errorf("%+v flushed %d, %v, want %d", f, n, err, want)
		}
		l.expectSame(a, eth(b.mac, a.mac), b, c)
	}
	if n, err := l.sw.FlushFDB(FDBFilter{VID: 2}); n != 0 || err != nil {
		t.Errorf("flushed %d of a VLAN without addresses, %v", n, err)
	}
	if _, err := l.sw.FlushFDB(FDBFilter{Port: "none such"}); err == nil {
		t.Error("flushed a port that is not there")
	}
}

func TestForwardMACLimit(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug("maclimit=2"), l.plug(""), l.plug("")
	for n := range 5 {
		a.Send(eth(frame.Broadcast, mac(100+n)))
	}
	l.introduce()
	if n := l.port(a.ref).MACs; n != 2 {
		t.Errorf("port knows %d addresses, want 2", n)
	}
	if n := l.sw.Info().Unlearned; n != 3 {
		t.Errorf("%d addresses were not learned, want 3", n)
	}
	l.expectSame(b, eth(mac(100), b.mac), a)
	l.expectSame(b, eth(mac(104), b.mac), a, c) // unknown: floods, and still works
}

func TestForwardIsolated(t *testing.T) {
	l := newLab(t, Options{})
	a, b, up := l.plug("isolated=on"), l.plug("isolated=on"), l.plug("")
	l.expectSame(a, eth(frame.Broadcast, a.mac), up)
	l.expectSame(b, eth(frame.Broadcast, b.mac), up)
	l.expectSame(up, eth(frame.Broadcast, up.mac), a, b)
	l.expectDrop(a, eth(b.mac, a.mac), DropIsolated)
	l.expectSame(a, eth(up.mac, a.mac), up)
	l.expectSame(up, eth(a.mac, up.mac), a)
	l.set(b, PortChange{Isolated: ptr(false)})
	l.expectSame(a, eth(b.mac, a.mac), b)
	l.pull(up)
	l.set(b, PortChange{Isolated: ptr(true)})
	l.expectDrop(a, eth(frame.Broadcast, a.mac), DropNoReceiver)
}

func TestForwardDown(t *testing.T) {
	l := newLab(t, Options{})
	a, b, c := l.plug(""), l.plug(""), l.plug("")
	l.introduce(a, b, c)
	l.set(b, PortChange{Down: ptr(true)})
	if s := l.port(b.ref).State; s != StateDown {
		t.Errorf("state %s", s)
	}
	l.expectSame(a, eth(frame.Broadcast, a.mac), c)
	l.expectSame(a, eth(b.mac, a.mac), c) // its addresses are forgotten
	l.expectDrop(b, eth(a.mac, b.mac), DropPortDown)
	if err := l.sw.AddFDB(1, b.mac, b.ref); err != nil {
		t.Fatal(err)
	}
	l.expectDrop(a, eth(b.mac, a.mac), DropReceiverDown)
	l.set(b, PortChange{Down: ptr(false)})
	l.expectSame(a, eth(b.mac, a.mac), b)
	l.expectSame(b, eth(a.mac, b.mac), a)
}

func TestForwardReserved(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	x, y := l.plug("transparent=on"), l.plug("transparent=on")
	for n := range byte(16) {
		dst := frame.MAC{0x01, 0x80, 0xc2, 0, 0, n}
		l.expectDrop(a, eth(dst, a.mac), DropReserved)
		l.expectSame(x, eth(dst, x.mac), y)
	}
	if list, _ := l.sw.FDB(FDBFilter{}); len(list) != 0 {
		t.Errorf("learned %v from frames that a bridge does not look at", list)
	}
	l.expectSame(x, eth(frame.Broadcast, x.mac), a, b, y)
	l.pull(y)
	l.expectDrop(x, eth(frame.MAC{0x01, 0x80, 0xc2, 0, 0, 0}, x.mac), DropNoReceiver)
}

// An MTU counts what follows the header and the tags. A frame goes out whole
// or is dropped and counted where it would have gone out.
func TestForwardMTU(t *testing.T) {
	for _, mtu := range []int{68, 1500, 9000, 65535} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			l := newLab(t, Options{})
			a, b, c := l.plug(""), l.plug(fmt.Sprint("mtu=", mtu)), l.plug("")
			want := uint64(0)
			for size := mtu + 14 - 2; size <= mtu+14+2; size++ {
				for _, tags := range [][]uint32{nil, {vlan(9, 0)}, {service(3), vlan(9, 0)}} {
					f := ethLen(size, frame.Broadcast, a.mac, tags...)
					switch {
					case size > mtu+14 && mtu == 65535:
						l.expect(a, f) // too long for all
						want++
					case size > mtu+14:
						l.expectSame(a, f, c)
						want++
					default:
						l.expectSame(a, f, b, c)
					}
				}
			}
			if d := l.port(b.ref).Drops[DropMTU]; d != want {
				t.Errorf("%d frames dropped at the port, want %d", d, want)
			}
		})
	}
}

// decide is pure: a look-up at a later second says what will happen then.
func TestForwardAges(t *testing.T) {
	l := newLab(t, Options{Ageing: 10 * time.Second})
	a, b := l.plug(""), l.plug("")
	l.introduce(a, b)
	top := l.sw.top.Load()
	learned := uint32(0)
	for _, e := range l.sw.fdb.Entries(1 << 20) {
		t.Errorf("%+v is there after a million seconds", e)
	}
	for now := l.sw.seconds(); ; now-- { // when was b seen?
		if v := decide(top, l.sw.fdb, top.get(a.id), eth(b.mac, a.mac), now+9); v.outcome == unicast {
			learned = now
			break
		}
	}
	for _, c := range []struct {
		ageing time.Duration
		age    uint32
		want   outcome
	}{
		{10 * time.Second, 0, unicast}, {10 * time.Second, 9, unicast}, {10 * time.Second, 10, flood}, {10 * time.Second, 300, flood},
		{300 * time.Second, 299, unicast}, {300 * time.Second, 300, flood}, {time.Second, 1, flood}, {1000000 * time.Second, 999999, unicast},
	} {
		if err := l.sw.Set(Change{Ageing: &c.ageing}); err != nil {
			t.Fatal(err)
		}
		if v := decide(top, l.sw.fdb, top.get(a.id), eth(b.mac, a.mac), learned+c.age); v.outcome != c.want {
			t.Errorf("ageing %v, age %d: outcome %d, want %d", c.ageing, c.age, v.outcome, c.want)
		}
	}
	for _, d := range []time.Duration{0, -time.Second, 1500 * time.Millisecond, 1000001 * time.Second} {
		if err := l.sw.Set(Change{Ageing: &d}); err == nil {
			t.Errorf("ageing time %v was accepted", d)
		}
	}
}

// What decide says changes nothing.
func TestDecideIsPure(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	l.introduce(b)
	top := l.sw.top.Load()
	v := decide(top, l.sw.fdb, top.get(a.id), eth(b.mac, a.mac), l.sw.seconds())
	if v.outcome != unicast || v.to != top.get(b.id) || !v.learn {
		t.Errorf("verdict %+v", v)
	}
	if _, ok := l.sw.fdb.Lookup(fdb.MakeKey(1, a.mac.Uint64()), l.sw.seconds()); ok {
		t.Error("decide learned")
	}
	l.settle()
	b.ExpectNothing()
}
