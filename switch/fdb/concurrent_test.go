package fdb

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Threads learn, look up, flush, sweep and list at the same time, in a table so
// small that slots change hands all the time. Each address has its own two
// ports, between which it moves: a look-up may fail but never names a third.
func TestConcurrentUseNeverNamesAWrongPort(t *testing.T) {
	for _, stations := range []uint64{24, 500} { // a few more than there are slots, and many more
		t.Run(fmt.Sprint(stations), func(t *testing.T) { useConcurrently(t, stations) })
	}
}

func useConcurrently(t *testing.T, stations uint64) {
	rounds := uint64(200_000)
	if testing.Short() {
		rounds = 20_000
	}
	port := func(n, which uint64) int { return int(1 + n*2 + which) }
	table := New(8, ageing)
	var busy sync.WaitGroup
	var found atomic.Uint64
	run := func(seed uint64, f func(rnd *rand.Rand)) {
		busy.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 1))
			for range rounds {
				f(rnd)
			}
		})
	}
	for i := range uint64(2) {
		run(i, func(rnd *rand.Rand) {
			n := rnd.Uint64N(stations)
			table.Learn(key(1, n), port(n, rnd.Uint64N(2)), 0)
		})
		run(10+i, func(rnd *rand.Rand) {
			n := rnd.Uint64N(stations)
			got, ok := table.Lookup(key(1, n), 0)
			if !ok {
				return
			}
			found.Add(1)
			if got != port(n, 0) && got != port(n, 1) {
				t.Errorf("station %d is behind port %d, want %d or %d", n, got, port(n, 0), port(n, 1))
			}
		})
	}
	run(20, func(rnd *rand.Rand) {
		n := rnd.Uint64N(stations)
		switch rnd.IntN(100) {
		case 0:
			table.FlushPort(port(n, 0), true)
		case 1:
			for _, e := range table.Entries(0) {
				at := e.MAC.Uint64() - key(1, 0).MAC().Uint64()
				if e.Port != port(at, 0) && e.Port != port(at, 1) {
					t.Errorf("listed: %+v", e)
				}
			}
		case 2:
			table.AddStatic(key(1, n), port(n, 1))
		case 3:
			table.Flush(func(e Entry) bool { return e.Static })
		case 4:
			table.Sweep(0)
		}
	})
	busy.Wait()
	if found.Load() == 0 {
		t.Error("no look-up found anything: nothing was tested")
	}
	checkCounts(t, table)
}

// A slot changes hands while it is looked at: a look-up must not find its old
// address behind its new port. No address comes back, so that nothing but that
// can go wrong, and the set has one slot that is not static, so that each
// newcomer takes it.
func TestLookupWhileSlotChangesHands(t *testing.T) {
	rounds := uint64(100_000)
	if testing.Short() {
		rounds = 20_000
	}
	table := New(1, ageing)
	table.cap = 1 << 20 // nothing is evicted
	set := table.set(key(1, 0))
	keys := make([]Key, 0, rounds)
	for n := uint64(0); len(keys) < cap(keys); n++ {
		if k := key(1, n); table.set(k) == set {
			keys = append(keys, k)
		}
	}
	for n := uint64(0); table.PortLen(9999) < ways-1; n++ {
		if k := key(2, n); table.set(k) == set {
			table.AddStatic(k, 9999)
		}
	}
	port := func(i uint64) int { return 1 + int(i%2) }
	var now atomic.Uint64 // which of keys is in the slot, or was a moment ago
	var found uint64
	var busy sync.WaitGroup
	busy.Go(func() {
		for i := range rounds {
			table.Learn(keys[i], port(i), 0)
			now.Store(i)
		}
	})
	// Stopping the world stops the reader between any two instructions.
	done := make(chan struct{})
	busy.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.ReadMemStats(new(runtime.MemStats))
			}
		}
	})
	for i := now.Load(); i < rounds-1; i = now.Load() {
		if got, ok := table.Lookup(keys[i], 0); ok {
			found++
			if got != port(i) {
				t.Errorf("address %d is behind port %d, want %d", i, got, port(i))
			}
		}
	}
	close(done)
	busy.Wait()
	if found == 0 {
		t.Error("no look-up found anything: nothing was tested")
	}
}

// checkCounts compares the table's book-keeping with what lies in it.
func checkCounts(t testing.TB, table *Table) {
	t.Helper()
	perPort := map[int]int{}
	all := table.Entries(0)
	for _, e := range all {
		perPort[e.Port]++
	}
	if table.Len() != len(all) {
		t.Errorf("counts %d entries, has %d", table.Len(), len(all))
	}
	for i, n := range table.used {
		for j := range table.sets[i] {
			if table.sets[i][j].key.Load() != 0 {
				n--
			}
		}
		if n != 0 {
			t.Errorf("counts %d slots of set %d, %d of them wrongly", table.used[i], i, int8(n))
		}
	}
	for p, n := range perPort {
		if table.PortLen(p) != n {
			t.Errorf("counts %d entries of port %d, has %d", table.PortLen(p), p, n)
		}
	}
	if table.holders != len(perPort) {
		t.Errorf("counts entries of %d ports, has those of %d", table.holders, len(perPort))
	}
}

// Refreshing an address while others come and go must not bring one back or
// give it away.
func TestRefreshRacesWithRemoval(t *testing.T) {
	table := New(16, ageing)
	var busy sync.WaitGroup
	for p := 1; p <= 2; p++ {
		busy.Go(func() {
			for now := range uint32(100_000) {
				table.Learn(key(1, uint64(p)), p, now)
			}
		})
		busy.Go(func() {
			for range 5_000 {
				table.FlushPort(p, false)
			}
		})
	}
	busy.Wait()
	checkCounts(t, table)
	for p := 1; p <= 2; p++ {
		table.Learn(key(1, uint64(p)), p, 100_000)
		expect(t, table, key(1, uint64(p)), p, 100_000)
	}
}
