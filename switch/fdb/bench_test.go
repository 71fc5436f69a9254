package fdb

import (
	"math/rand/v2"
	"testing"
)

func BenchmarkFDBLookup(b *testing.B) {
	table := New(65536, ageing)
	keys := make([]Key, 4096)
	for i := range keys {
		keys[i] = key(1, uint64(i))
		table.Learn(keys[i], 1+i%64, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := table.Lookup(keys[i%len(keys)], 1); !ok {
			b.Fatal("not found")
		}
	}
}

// BenchmarkFDBLearn is what nearly every frame does: see a known address again.
func BenchmarkFDBLearn(b *testing.B) {
	table := New(65536, ageing)
	keys := make([]Key, 4096)
	for i := range keys {
		keys[i] = key(1, uint64(i))
		table.Learn(keys[i], 1+i%64, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		i %= len(keys)
		table.Learn(keys[i], 1+i%64, 0)
	}
}

// BenchmarkFDBLearnFlood is an attack: every address is new, the table full.
func BenchmarkFDBLearnFlood(b *testing.B) {
	table := New(65536, ageing)
	rnd := rand.New(rand.NewPCG(1, 2))
	keys := make([]Key, 1<<20)
	for i := range keys {
		keys[i] = MakeKey(1, rnd.Uint64()>>16&^(1<<40))
		table.Learn(keys[i], 1, 0)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		table.Learn(keys[i%len(keys)], 1, 0)
	}
}
