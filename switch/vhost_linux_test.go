package vswitch

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"vnetkit/switch/link"
	"vnetkit/switch/vhost"
	"vnetkit/switch/vhost/frontend"
)

// vhostDoor is a switch with a door for vhost-user, and some guests plugged in.
func vhostDoor(t testing.TB, count int, opt frontend.Options) (*Switch, []*frontend.Guest) {
	t.Helper()
	return vhostDoorWith(t, "packed=on", count, opt)
}

// vhostDoorWith is vhostDoor with these keys.
func vhostDoorWith(t testing.TB, keys string, count int, opt frontend.Options) (*Switch, []*frontend.Guest) {
	t.Helper()
	dir, err := os.MkdirTemp("", "door")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// A worker that comes back from waiting must find a processor free in the Go
	// scheduler, as in the program.
	before := runtime.GOMAXPROCS(runtime.NumCPU() + 2)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	sw, err := New(Options{Kinds: []link.Kind{vhost.Kind()}, Workers: 1, Spin: 75 * time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sw.Close() })
	path := filepath.Join(dir, "vhost")
	if _, err := sw.Add(t.Context(), "vhost-user:"+path+","+keys); err != nil {
		t.Fatal(err)
	}
	var guests []*frontend.Guest
	for range count {
		g, err := frontend.Dial(path, opt)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.Close() })
		if err := g.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		guests = append(guests, g)
	}
	until(t, func() bool {
		up := 0
		for _, p := range sw.Ports() {
			if p.State == StateUp {
				up++
			}
		}
		return up == count
	})
	return sw, guests
}

// introduce makes the switch know where guest i is.
func introduce(t testing.TB, guests []*frontend.Guest) {
	t.Helper()
	for i, g := range guests {
		if err := g.SendFrame(unicastFrame(i, 99, 60)); err != nil {
			t.Fatal(err)
		}
		for j, other := range guests {
			if j != i {
				if _, err := other.RecvFrame(make([]byte, 2048)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func unicastFrame(from, to, n int) []byte {
	f := make([]byte, n)
	copy(f, []byte{0x52, 0x54, 0, 0, 0, byte(to), 0x52, 0x54, 0, 0, 0, byte(from), 0x88, 0xb5})
	return f
}

func BenchmarkVhost(b *testing.B) {
	for _, ring := range []string{"split", "packed"} {
		for _, size := range []int{64, 512, 1514, 9014} {
			b.Run(fmt.Sprintf("%s/%d", ring, size), func(b *testing.B) { benchVhost(b, ring == "packed", size) })
		}
	}
}

// benchVhost sends frames from one guest to another as fast as they are taken.
func benchVhost(b *testing.B, packed bool, size int) {
	_, guests := vhostDoor(b, 2, frontend.Options{Packed: packed, BufSize: max(2048, size+64)})
	introduce(b, guests)
	from, to := guests[0].TX[0], guests[1].RX[0]
	from.Prepare(unicastFrame(0, 1, size))
	from.Quiet()
	to.Quiet()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.SetBytes(int64(size))
	sent, kicks := 0, from.Kicks
	b.ResetTimer()
	for got := 0; got < b.N; {
		sent += from.Blast(64, size)
		got += to.Drain()
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
	b.ReportMetric(100*float64(sent-b.N)/float64(sent), "%unreceived")
	b.ReportMetric(float64(from.Kicks-kicks)/float64(b.N), "kicks/frame")
}

// TestVhostWakes sends frames one by one between guests that wait to be called,
// and a switch that waits to be kicked: who is not woken waits for ever.
func TestVhostWakes(t *testing.T) {
	for _, opt := range []frontend.Options{{}, {NoEventIdx: true}, {Packed: true}, {Packed: true, NoEventIdx: true}} {
		_, guests := vhostDoor(t, 2, opt)
		introduce(t, guests)
		buf := make([]byte, 2048)
		start, longest := time.Now(), time.Duration(0)
		const rounds = 2000
		for i := range rounds {
			from, to := i&1, 1-i&1
			begin := time.Now()
			if err := guests[from].SendFrame(unicastFrame(from, to, 60)); err != nil {
				t.Fatal(err)
			}
			if _, err := guests[to].RecvFrame(buf); err != nil {
				t.Fatalf("%+v: frame %d: %v", opt, i, err)
			}
			longest = max(longest, time.Since(begin))
		}
		t.Logf("%+v: one way in %v, at most %v", opt, time.Since(start)/rounds, longest)
	}
}
