package vswitch

import (
	"testing"
	"time"

	"vnetkit/switch/vhost/frontend"
)

// TestVhostPolled: a guest whose rings are looked at all the time is never asked to
// kick, and its worker goes on with everything else.
func TestVhostPolled(t *testing.T) {
	for _, opt := range []frontend.Options{{}, {NoEventIdx: true}, {Packed: true}} {
		sw, guests := vhostDoorWith(t, "packed=on,poll=always", 2, opt)
		introduce(t, guests)
		buf := make([]byte, 2048)
		for i := range 300 {
			from, to := i&1, 1-i&1
			if err := guests[from].SendFrame(unicastFrame(from, to, 60)); err != nil {
				t.Fatal(err)
			}
			if _, err := guests[to].RecvFrame(buf); err != nil {
				t.Fatalf("%+v: frame %d: %v", opt, i, err)
			}
		}
		for i, g := range guests {
			if n := g.TX[0].Kicks; n > 1 { // an index that nobody has set is where the first frame is
				t.Errorf("%+v: guest %d kicked %d times", opt, i, n)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
		}
		until(t, func() bool { return len(sw.Ports()) == 0 })
		w, left := sw.workers[0], make(chan int)
		w.do(func() { left <- w.polled + len(w.busy) })
		if n := <-left; n != 0 {
			t.Errorf("%+v: the worker is kept awake by %d links that are gone", opt, n)
		}
	}
}

// ringFull is how many frames of guest i were dropped as its ring was full.
func ringFull(t *testing.T, sw *Switch, i int) uint64 {
	t.Helper()
	return sw.Ports()[i].Drops[DropRingFull]
}

// blast has g send n frames, waiting for nothing but room in its ring.
func blast(t *testing.T, g *frontend.Guest, f []byte, n int) {
	for i := range n {
		if err := g.SendFrame(f); err != nil {
			t.Errorf("send frame %d: %v", i, err)
			return
		}
	}
}

// TestVhostHold: with hold=TIME a slow guest loses nothing, though far more is sent
// to it than its port's ring holds; and nobody but who sends to it waits.
func TestVhostHold(t *testing.T) {
	sw, guests := vhostDoorWith(t, "hold=10s", 4, frontend.Options{})
	introduce(t, guests)
	const count = 8000 // of 1514 bytes: three times what fits into the port's ring
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		blast(t, guests[0], unicastFrame(0, 1, 1514), count)
	}()
	until(t, func() bool { return sw.Ports()[1].Tx.Frames >= 255 }) // it is full
	begin, buf := time.Now(), make([]byte, 2048)
	for range 20 {
		for to, f := range map[int][]byte{1: broadcastFrame(2), 3: unicastFrame(2, 3, 60)} {
			if err := guests[2].SendFrame(f); err != nil {
				t.Fatal(to, err)
			}
		}
		for range 2 {
			if _, err := guests[3].RecvFrame(buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("who floods waited for a guest that is full: %v", took)
	}
	got := 0
	for got < count {
		n, err := guests[1].RecvFrame(buf)
		if err != nil {
			t.Fatalf("after %d frames: %v", got, err)
		}
		if n == 1514 {
			if got++; got%256 == 0 {
				time.Sleep(5 * time.Millisecond) // this is how slow it is
			}
		}
	}
	<-sent
	if n := ringFull(t, sw, 1); n != 0 {
		t.Errorf("%d frames were dropped", n)
	}
}

func broadcastFrame(from int) []byte {
	f := unicastFrame(from, 0, 60)
	copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	return f
}

// TestVhostHoldBothWays: two guests that both receive nothing before they are rid
// of what they send wait for each other, but not for long.
func TestVhostHoldBothWays(t *testing.T) {
	sw, guests := vhostDoorWith(t, "hold=50ms", 2, frontend.Options{})
	introduce(t, guests)
	done := make(chan struct{})
	for i, g := range guests {
		go func() {
			defer func() { done <- struct{}{} }()
			blast(t, g, unicastFrame(i, 1-i, 1514), 8000)
		}()
	}
	<-done
	<-done
	for i, g := range guests {
		until(t, func() bool { return ringFull(t, sw, i) > 0 })
		for range 256 + 100 { // it receives again, what waited, too
			if _, err := g.RecvFrame(make([]byte, 2048)); err != nil {
				t.Fatalf("guest %d: %v", i, err)
			}
		}
	}
}
