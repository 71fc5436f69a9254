package vswitch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vnetkit/switch/frame"
)

// descriptors counts this process's open files.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("cannot count descriptors here: %v", err)
	}
	return len(list)
}

// Ten thousand clients come and go: nothing is left of them.
func TestPlugCyclesLeaveNothing(t *testing.T) {
	cycles := 10_000
	if testing.Short() || raceEnabled {
		cycles = 1000
	}
	l := newLab(t, Options{})
	door := l.door("")
	stay := l.plug("")
	cycle := func(i int) {
		s := l.plugInto(door, 0)
		switch i % 4 {
		case 0: // does nothing
		case 1:
			s.Send(eth(frame.Broadcast, s.mac))
			stay.Recv()
		case 2:
			if err := s.TrySend(eth(frame.Broadcast, s.mac)); err != nil { // leaves at once
				t.Fatal(err)
			}
		case 3:
			if err := l.sw.Remove(s.ref); err != nil {
				t.Fatal(err)
			}
			s.ExpectEnd()
		}
		s.Close()
		l.awaitGone(s)
	}
	for i := range 20 {
		cycle(i)
	}
	l.waitFor("all ports but one are gone", func() bool { return l.sw.Info().Ports == 1 })
	runtime.GC()
	files, routines := descriptors(t), runtime.NumGoroutine()
	for i := range cycles {
		cycle(i)
		if i%50 == 0 {
			for _, ok := stay.Poll(); ok; _, ok = stay.Poll() {
			}
		}
	}
	l.waitFor("all ports but one are gone", func() bool { return l.sw.Info().Ports == 1 })
	l.waitFor("goroutines are gone", func() bool { return runtime.NumGoroutine() <= routines })
	if now := descriptors(t); now > files {
		t.Errorf("%d descriptors after %d cycles, %d before", now, cycles, files)
	}
	if i := l.sw.Info(); i.FDBSize > 1 {
		t.Errorf("%d addresses are left", i.FDBSize)
	}
	if n := l.sw.workers[0].ports.Load() + l.sw.workers[1].ports.Load(); n != 1 {
		t.Errorf("the workers believe that they have %d links", n)
	}
}

// Ports come and go, settings change and tables are listed while frames fly.
// There is nothing to compare; the race detector and the leak check look on.
func TestPortsComeAndGoUnderTraffic(t *testing.T) {
	l := newLab(t, Options{Workers: 3, Ageing: time.Second})
	doors := []string{l.door(""), l.door("vlan=10"), l.door("isolated=on")}
	mirror := l.plug("mirror=all")
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	var clients, others sync.WaitGroup
	var stop atomic.Bool
	for c := range 6 {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(c), 1))
			for range rounds {
				s := l.pipes.Plug(t, doors[rnd.IntN(len(doors))])
				for range rnd.IntN(40) {
					f := ethLen(14+rnd.IntN(3000), mac(rnd.IntN(50)), mac(rnd.IntN(50)))
					if rnd.IntN(3) == 0 {
						copy(f, frame.Broadcast[:])
					}
					if err := s.TrySend(f); err != nil {
						break // removed
					}
					if rnd.IntN(2) == 0 {
						_, _, _ = s.TryPoll()
					}
				}
				s.Close()
			}
		})
	}
	busy := func(f func(rnd *rand.Rand)) {
		others.Go(func() {
			rnd := rand.New(rand.NewPCG(99, 1))
			for !stop.Load() {
				f(rnd)
				runtime.Gosched()
			}
		})
	}
	busy(func(rnd *rand.Rand) {
		ref := fmt.Sprint(1 + rnd.IntN(10))
		ch := PortChange{}
		switch rnd.IntN(7) {
		case 0:
			ch.PVID = ptr(frame.VID(1 + rnd.IntN(20)))
		case 6:
			ch.Native = ptr(Native(rnd.IntN(3)))
		case 1:
			ch.Isolated = ptr(rnd.IntN(2) == 0)
		case 2:
			ch.Down = ptr(rnd.IntN(4) == 0)
		case 3:
			ch.MTU = ptr(68 + rnd.IntN(3000))
		case 4:
			ch.MACLimit = ptr(rnd.IntN(10))
		case 5:
			ch.Name = ptr(fmt.Sprint("n", rnd.IntN(20)))
		}
		if _, err := l.sw.SetPort(ref, ch); err != nil && !errors.Is(err, ErrNoPort) && !errors.Is(err, ErrPortExists) {
			t.Error(err)
		}
	})
	busy(func(rnd *rand.Rand) {
		switch rnd.IntN(8) {
		case 0:
			_ = l.sw.Remove(fmt.Sprint(2 + rnd.IntN(10)))
		case 1:
			_, _ = l.sw.FlushFDB(FDBFilter{VID: frame.VID(rnd.IntN(3))})
		case 2:
			_ = l.sw.AddFDB(1, mac(rnd.IntN(50)), fmt.Sprint(1+rnd.IntN(10)))
		case 3:
			_ = l.sw.Set(Change{Hub: ptr(rnd.IntN(2) == 0)})
		default:
			l.sw.Ports()
			l.sw.Info()
			_, _ = l.sw.FDB(FDBFilter{})
		}
	})
	busy(func(*rand.Rand) { _, _, _ = mirror.TryPoll() })
	clients.Wait()
	stop.Store(true)
	others.Wait()
	if err := l.sw.Close(); err != nil {
		t.Fatal(err)
	}
	for _, w := range l.sw.workers {
		if n := w.ports.Load(); n != 0 {
			t.Errorf("a worker believes that it has %d links", n)
		}
	}
}

// Two stations talk; whatever is changed around them, no frame of theirs is
// lost, doubled or out of order, and none gets into another VLAN.
func TestReconfigurationUnderTraffic(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("vlan=10"), l.plug("vlan=10")
	other, flips := l.plug("vlan=20"), l.plug("")
	l.introduce(a, b)
	var stop atomic.Bool
	var busy sync.WaitGroup
	busy.Go(func() {
		for i := 0; !stop.Load(); i++ {
			_, err := l.sw.SetPort(flips.ref, PortChange{
				PVID: ptr([]frame.VID{1, 10, 20}[i%3]), Native: ptr(Native(i / 3 % 3)), Isolated: ptr(i%2 == 0), Down: ptr(i%5 == 0), MTU: ptr(68 + i%1000),
			})
			if err == nil && i%3 == 0 {
				err = l.sw.Set(Change{Hub: ptr(i%2 == 0)})
			}
			if err == nil && i%7 == 0 {
				_, err = l.sw.FlushFDB(FDBFilter{})
			}
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				_, _, _ = flips.TryPoll()
			}
		}
	})
	count, window := 20_000, 20
	if testing.Short() {
		count = 2000
	}
	for n := 0; n < count; n += window {
		for i := range window {
			f := numbered(a.mac, n+i)
			copy(f, b.mac[:])
			a.Send(f)
		}
		for i := range window {
			if f := b.Recv(); serial(f) != n+i {
				t.Fatalf("frame %d arrived instead of %d", serial(f), n+i)
			}
		}
	}
	stop.Store(true)
	busy.Wait()
	l.settle()
	b.ExpectNothing()
	other.ExpectNothing()
}

// A client that is killed is forgotten: traffic to it floods.
func TestKilledClientIsForgotten(t *testing.T) {
	l := newLab(t, Options{})
	door := l.door("")
	a, b, c := l.plugInto(door, 0), l.plugInto(door, 0), l.plugInto(door, 0)
	l.introduce(a, b, c)
	l.expectSame(a, eth(b.mac, a.mac), b)
	l.pull(b)
	if list, _ := l.sw.FDB(FDBFilter{MAC: &b.mac}); len(list) != 0 {
		t.Errorf("its address is still known: %v", list)
	}
	l.expectSame(a, eth(b.mac, a.mac), c)
}

// A million source addresses from one port: the table is full, the others are
// still known, and their traffic is not flooded.
func TestAddressFlood(t *testing.T) {
	r := newRig(t, "", "", "")
	r.meet(1)
	rnd := rand.New(rand.NewPCG(1, 2))
	count := 1_000_000
	if testing.Short() || raceEnabled {
		count = 200_000
	}
	batch := trainOf(64, eth(mac(2), mac(3)))
	for range count / 64 {
		for _, ref := range batch.Refs {
			f := batch.Frame(ref)
			for i := 6; i < 12; i++ {
				f[i] = byte(rnd.Uint32())
			}
			f[6] &^= 1
		}
		r.w.forward(r.ports[2], batch)
	}
	sw := r.w.sw
	if n := sw.fdb.Len(); n > sw.fdb.Cap() || n < sw.fdb.Cap()*99/100 {
		t.Errorf("%d addresses are known, the cap is %d", n, sw.fdb.Cap())
	}
	top := sw.top.Load()
	for _, p := range r.ports[:2] {
		f := eth(mac(p.id), mac(3))
		if v := decide(top, sw.fdb, top.get(3), f, 0); v.outcome != unicast || v.to.id != p.id {
			t.Errorf("frames to port %d: %+v", p.id, v)
		}
	}
}
