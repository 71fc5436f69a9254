package vswitch

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/vhost"
	"vnetkit/switch/vhost/frontend"
)

// usage is what guests cost this process.
type usage struct{ fds, mappings, goroutines int }

func used(t *testing.T) usage {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return usage{len(fds), strings.Count(string(maps), "/memfd:guest"), runtime.NumGoroutine()}
}

// TestVhostGuestsComeAndGo has ten guests plug in at once, load their drivers
// anew, reboot, and be killed in the middle of sending, a hundred times. Nothing
// of them is left.
func TestVhostGuestsComeAndGo(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	path := filepath.Join(t.TempDir(), "vhost")
	sw, err := New(Options{Kinds: []link.Kind{vhost.Kind()}, Workers: 2, Spin: 75 * time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	defer sw.Close()
	if _, err := sw.Add(t.Context(), "vhost-user:"+path+",packed=on"); err != nil {
		t.Fatal(err)
	}
	doors := len(sw.Ports())
	round := func(n int) {
		var wait sync.WaitGroup
		for i := range 10 {
			wait.Go(func() {
				if err := guestLife(path, i, n); err != nil {
					t.Errorf("round %d, guest %d: %v", n, i, err)
				}
			})
		}
		wait.Wait()
		until(t, func() bool { return len(sw.Ports()) == doors })
	}
	round(0)
	before := used(t)
	for n := 1; n <= rounds && !t.Failed(); n++ {
		round(n)
	}
	until(t, func() bool {
		now := used(t)
		return now.fds <= before.fds && now.mappings <= before.mappings && now.goroutines <= before.goroutines
	})
}

// guestLife is that of guest number i of a round.
func guestLife(path string, i, n int) error {
	g, err := frontend.Dial(path, frontend.Options{Size: 64, Packed: (i+n)%3 == 0})
	if err != nil {
		return err
	}
	defer unix.Munmap(g.Mem)
	defer g.Close() // killed
	if err := g.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if err := g.SendFrame(unicastFrame(i, 99, 60+n)); err != nil {
		return err
	}
	rings := []*frontend.Ring{g.RX[0], g.TX[0]}
	switch (i + n/3) % 3 {
	case 0: // the driver is loaded anew
		for _, r := range rings {
			base, err := g.Stop(r)
			if err != nil {
				return err
			}
			if err := g.Start(r, base); err != nil {
				return err
			}
		}
	case 1: // a reboot
		const setStatus = 39
		if err := g.Tell(setStatus, frontend.U64(0)); err != nil {
			return err
		}
		if err := g.ShareMemory(); err != nil {
			return err
		}
	}
	if (i+n)%2 == 0 {
		return nil
	}
	g.TX[0].Prepare(unicastFrame(i, 99, 1514))
	for range 20 { // is killed while some of it is on its way
		g.TX[0].Blast(8, 1514)
	}
	return nil
}

// TestVhostMemorySwapped: the guest's memory is said anew again and again while
// frames go through it, as when memory is plugged in. No frame is lost.
func TestVhostMemorySwapped(t *testing.T) {
	_, guests := vhostDoor(t, 2, frontend.Options{})
	introduce(t, guests)
	deadline := time.Now().Add(time.Minute)
	for _, g := range guests {
		if err := g.SetDeadline(deadline); err != nil {
			t.Fatal(err)
		}
	}
	const count = 4000
	done := make(chan struct{})
	go func() {
		defer close(done)
		f := unicastFrame(0, 1, 1514)
		for i := range count {
			f[20], f[21] = byte(i), byte(i>>8)
			if err := guests[0].SendFrame(f); err != nil {
				t.Errorf("send frame %d: %v", i, err)
				return
			}
		}
	}()
	swaps := make(chan int)
	go func() {
		n := 0
		defer func() { swaps <- n }()
		for {
			for _, g := range guests {
				if err := g.ShareMemory(); err != nil {
					t.Errorf("swap: %v", err)
					return
				}
			}
			n++
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	buf, want := make([]byte, 2048), unicastFrame(0, 1, 1514)
	for i := range count {
		want[20], want[21] = byte(i), byte(i>>8)
		if n, err := guests[1].RecvFrame(buf); err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("frame %d: %d bytes, %v", i, n, err)
			break
		}
	}
	t.Logf("%d times", <-swaps)
}

// TestVhostOddKicks: guests that kick for ever with nothing to say, and that never
// kick, disturb nobody.
func TestVhostOddKicks(t *testing.T) {
	sw, guests := vhostDoor(t, 4, frontend.Options{})
	introduce(t, guests)
	one := [8]byte{1}
	stop := make(chan struct{})
	var kicker sync.WaitGroup
	kicker.Go(func() {
		for {
			for _, r := range []*frontend.Ring{guests[2].RX[0], guests[2].TX[0]} {
				_, _ = unix.Write(r.Kick, one[:])
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	defer kicker.Wait()
	defer close(stop)
	silent := guests[3].TX[0]
	kick := silent.Kick
	defer unix.Close(kick)
	var err error
	if silent.Kick, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	if err := guests[3].SendFrame(unicastFrame(3, 3, 60)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	for i := range 2000 {
		from, to := i&1, 1-i&1
		if err := guests[from].SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := guests[to].SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := guests[from].SendFrame(unicastFrame(from, to, 60)); err != nil {
			t.Fatal(err)
		}
		if _, err := guests[to].RecvFrame(buf); err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
	}
	if n := len(sw.Ports()); n < 4 {
		t.Errorf("%d ports are left", n)
	}
}
