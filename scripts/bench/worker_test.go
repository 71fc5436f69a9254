//go:build linux

package main

import (
	"testing"
	"time"
)

func TestPacerHoldsItsRate(t *testing.T) {
	p := newPacer(1000, 1)
	start := time.Now()
	for range 100 {
		p.wait()
	}
	if d := time.Since(start); d < 90*time.Millisecond {
		t.Errorf("100 steps of 1 ms took %v", d)
	}
	newPacer(0, 1).wait() // a blaster does not wait
}

func TestRandomSourcesAreDifferent(t *testing.T) {
	const n = 1 << 16
	a := newAddresses(&job{Port: 3, Dst: []int{4}, RandomSrc: n})
	f, seen := make([]byte, 64), map[mac]bool{}
	for range n {
		a.next(f)
		seen[mac(f[6:12])] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d addresses are different", len(seen), n)
	}
	a.next(f)
	if !seen[mac(f[6:12])] || f[6]&1 != 0 {
		t.Error("they do not come round again, or are group addresses")
	}
}

func TestManyMACsUseAll(t *testing.T) {
	a := newAddresses(&job{Port: 1, Dst: []int{2}, MACs: 64})
	f, dst, src := make([]byte, 64), map[mac]bool{}, map[mac]bool{}
	for range 10_000 {
		a.next(f)
		dst[mac(f[:6])], src[mac(f[6:12])] = true, true
	}
	if len(dst) != 64 || len(src) != 64 || !dst[portMAC(2, 63)] || !src[portMAC(1, 0)] {
		t.Errorf("%d destinations, %d sources", len(dst), len(src))
	}
}

func TestScatteredFramesAreCountedPerPort(t *testing.T) {
	a := newAddresses(&job{Port: 1, Dst: []int{2, 7, 9}, MACs: 4})
	f, seen := make([]byte, 64), map[int]int{}
	for range 3000 {
		to := a.next(f)
		if want := []int{2, 7, 9}[to]; mac(f[:6]) != portMAC(want, int(f[5])) {
			t.Fatalf("% x does not go to port %d", f[:6], want)
		}
		seen[to]++
	}
	if len(seen) != 3 || seen[0] < 800 || seen[1] < 800 || seen[2] < 800 {
		t.Errorf("spread %v", seen)
	}
}
