package vswitch

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onCPU runs f in a thread of its own, on one CPU.
func onCPU(t *testing.T, cpu int, f func()) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			t.Errorf("use CPU %d: %v", cpu, err)
			return
		}
		f()
	}()
	return done
}

// A poller that shares its CPU with somebody who always wants it stops spinning,
// and tries again later.
func TestPollerCrowded(t *testing.T) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	var quit atomic.Bool
	hog := onCPU(t, cpu, func() {
		for !quit.Load() {
		}
	})
	defer func() { quit.Store(true); <-hog }()
	<-onCPU(t, cpu, func() {
		p, err := newPoller(time.Microsecond)
		if err != nil {
			t.Error(err)
			return
		}
		defer p.close()
		for end := time.Now().Add(time.Minute); p.crowded.IsZero(); {
			if time.Now().After(end) {
				t.Error("it goes on spinning beside a hog")
				return
			}
			p.spin = time.Second
			p.spinning = true
			p.await(time.Millisecond)
		}
		if p.spinning {
			t.Error("it goes on spinning beside a hog that it has noticed")
		}
		p.wake()
		if p.wait(nil, -1); p.spinning {
			t.Error("it spins again at once")
		}
		p.crowded = time.Now()
		p.wait(nil, time.Millisecond)
		p.wake()
		if p.wait(nil, -1); !p.spinning {
			t.Error("it never spins again")
		}
	})
}
