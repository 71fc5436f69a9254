package fdb_test

import (
	"testing"
	"time"

	"vnetkit/switch/fdb"
)

func TestMovesAreCounted(t *testing.T) {
	table := fdb.New(100, time.Minute)
	select {
	case <-table.Moved():
		t.Fatal("something has moved in an empty table")
	default:
	}
	k := fdb.MakeKey(1, 0x020000000001)
	for i := range 101 {
		table.Learn(k, 7-i%2*4, 0) // 7, 3, 7 ...
	}
	select {
	case <-table.Moved():
	default:
		t.Error("nobody is told")
	}
	got := table.TakeMoves()
	if len(got) != 1 || got[0] != (fdb.Moves{Ports: [2]int{3, 7}, Count: 100, Last: k}) {
		t.Errorf("%+v", got)
	}
	if got := table.TakeMoves(); len(got) != 0 {
		t.Errorf("again: %+v", got)
	}
}

// TestBusiestMovesStay has one pair of ports exchange an address while stations
// elsewhere move, each once.
func TestBusiestMovesStay(t *testing.T) {
	table := fdb.New(1000, time.Minute)
	busy := fdb.MakeKey(1, 0x020000000001)
	table.Learn(busy, 1, 0)
	for i := range 100 {
		table.Learn(busy, 2, 0)
		table.Learn(busy, 1, 0)
		once := fdb.MakeKey(1, uint64(0x020000001000+i))
		table.Learn(once, 10+i, 0)
		table.Learn(once, 200+i, 0)
	}
	for _, m := range table.TakeMoves() {
		if m.Ports == [2]int{1, 2} {
			if m.Count != 200 {
				t.Errorf("%d moves, want 200", m.Count)
			}
			return
		}
	}
	t.Error("the busiest pair is forgotten")
}
