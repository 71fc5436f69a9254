package fdb

import (
	"math/rand/v2"
	"testing"
)

// A station that invents a million addresses fills the table up to its cap and
// hurts nobody: what the others had stays, to the last address.
func TestFloodOfAddressesHurtsNobodyElse(t *testing.T) {
	const capacity, others, each = 65536, 10, 100
	table := New(capacity, ageing)
	for p := range others {
		for n := range each {
			table.Learn(key(1, uint64(p*each+n)), p+1, 0)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	const attacker = 99
	for range 1_000_000 {
		table.Learn(MakeKey(1, rnd.Uint64()>>16&^(1<<40)), attacker, 0)
	}
	for p := range others {
		for n := range each {
			expect(t, table, key(1, uint64(p*each+n)), p+1, 0)
		}
	}
	if n := table.Len(); n > capacity || n < capacity*99/100 {
		t.Errorf("%d entries at the cap of %d", n, capacity)
	}
	if n := table.PortLen(attacker); n != table.Len()-others*each {
		t.Errorf("%d entries of the attacker among %d", n, table.Len())
	}
	// Newcomers elsewhere are learned, at the attacker's cost.
	const newcomer = 50
	for n := range uint64(1000) {
		table.Learn(key(2, n), newcomer, 0)
	}
	lost := 0
	for n := range uint64(1000) {
		if _, ok := table.Lookup(key(2, n), 0); !ok {
			lost++
		}
	}
	if lost > 0 || table.PortLen(newcomer) != 1000 {
		t.Errorf("%d of 1,000 newcomers were not learned", lost)
	}
	if n := table.Len(); n > capacity {
		t.Errorf("%d entries, the cap is %d", n, capacity)
	}
}

// The books stay right when the table is so small that an eviction hits the very
// set that the newcomer wants to get into.
func TestFloodOfSmallTableKeepsBooks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	for capacity := 1; capacity <= 40; capacity++ {
		table := New(capacity, ageing)
		for range 3000 {
			table.Learn(key(1, rnd.Uint64N(1000)), 1+rnd.IntN(5), 0)
		}
		checkCounts(t, table)
		if n := table.Len(); n > capacity {
			t.Errorf("%d entries, the cap is %d", n, capacity)
		}
	}
}

// Many attackers share what one would have.
func TestFloodFromManyPorts(t *testing.T) {
	const capacity = 4096
	table := New(capacity, ageing)
	for n := range uint64(50) {
		table.Learn(key(1, n), 1, 0)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range 40_000 {
		table.Learn(MakeKey(1, rnd.Uint64()>>16&^(1<<40)), 2+i%20, 0)
	}
	for n := range uint64(50) {
		expect(t, table, key(1, n), 1, 0)
	}
	if table.Len() > capacity {
		t.Errorf("%d entries, the cap is %d", table.Len(), capacity)
	}
	for p := 2; p < 22; p++ {
		if n := table.PortLen(p); n < capacity/40 || n > capacity/10 {
			t.Errorf("attacker %d has %d entries of %d: not a fair share", p, n, capacity)
		}
	}
}

// Thousands of ports with an address or two each: a newcomer must not pay for
// their number.
func BenchmarkLearnAtCapOfManyPorts(b *testing.B) {
	const capacity = 32767
	table := New(capacity, ageing)
	for n := range uint64(capacity) {
		table.Learn(key(1, n), 1+int(n), 0)
	}
	rnd := rand.New(rand.NewPCG(11, 12))
	for b.Loop() {
		table.Learn(MakeKey(1, rnd.Uint64()>>16&^(1<<40)), 1+rnd.IntN(capacity), 0)
	}
}

// The attacker leaves: its share is free again.
func TestFloodEndsWithItsPort(t *testing.T) {
	table := New(1024, ageing)
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		table.Learn(MakeKey(1, rnd.Uint64()>>16&^(1<<40)), 2, 0)
	}
	table.FlushPort(2, true)
	if table.Len() != 0 {
		t.Fatalf("%d entries left", table.Len())
	}
	for n := range uint64(1000) {
		table.Learn(key(1, n), 3, 0)
	}
	if n := table.PortLen(3); n < 990 { // a set of eight can overflow by chance
		t.Errorf("%d of 1,000 addresses known after the flood", n)
	}
}

// At the cap, an address that is old makes room before one that is fresh.
func TestFloodTakesExpiredFirst(t *testing.T) {
	table := New(64, ageing)
	for n := range uint64(64) {
		table.Learn(key(1, n), 1, 0)
	}
	for n := range uint64(32) {
		table.Learn(key(2, n), 2, 300)
	}
	for n := range uint64(32) {
		expect(t, table, key(2, n), 2, 300)
	}
}

// Addresses that share a set, which anyone can compute who knows the hash, must
// not push out those of a port that has more elsewhere.
func TestCraftedAddressesDoNotDisplace(t *testing.T) {
	table := New(65536, ageing)
	for n := range uint64(1000) { // an uplink with many stations behind it
		table.Learn(key(1, n), 1, 0)
	}
	// The attacker knows how a table like this hashes.
	guess := New(65536, ageing)
	victim := key(1, 500)
	rnd := rand.New(rand.NewPCG(7, 8))
	for found := 0; found < 64; {
		k := MakeKey(1, rnd.Uint64()>>16&^(1<<40))
		if guess.set(k) == guess.set(victim) {
			table.Learn(k, 2, 0)
			found++
		}
	}
	expect(t, table, victim, 1, 0)
}
