package fdb

import (
	"slices"
	"testing"
	"time"

	"vnetkit/switch/frame"
)

const ageing = 300 * time.Second

// key is the address with number n in a VLAN.
func key(vid frame.VID, n uint64) Key { return MakeKey(vid, 0x525400000000+n) }

// expect fails unless k is known behind port at second now; 0: not known.
func expect(t *testing.T, table *Table, k Key, port int, now uint32) {
	t.Helper()
	got, ok := table.Lookup(k, now)
	if ok != (port != 0) || got != port {
		t.Errorf("second %d: VLAN %d %v is behind port %d, known %t; want %d", now, k.VID(), k.MAC(), got, ok, port)
	}
}

func TestKey(t *testing.T) {
	for _, vid := range []frame.VID{0, 1, 4094, 4095} {
		for _, mac := range []frame.MAC{{}, frame.Broadcast, {1, 2, 3, 4, 5, 6}} {
			k := MakeKey(vid, mac.Uint64())
			if k == 0 || k.VID() != vid || k.MAC() != mac {
				t.Errorf("key %x of VLAN %d %v reads as VLAN %d %v", k, vid, mac, k.VID(), k.MAC())
			}
		}
	}
}

func TestLearn(t *testing.T) {
	table := New(100, ageing)
	expect(t, table, key(1, 1), 0, 0)
	table.Learn(key(1, 1), 7, 0)
	expect(t, table, key(1, 1), 7, 0)
	expect(t, table, key(2, 1), 0, 0) // another VLAN, another station
	expect(t, table, key(1, 2), 0, 0)
	table.Learn(key(2, 1), 8, 0)
	expect(t, table, key(1, 1), 7, 0)
	expect(t, table, key(2, 1), 8, 0)
	if table.Len() != 2 || table.PortLen(7) != 1 || table.PortLen(8) != 1 || table.PortLen(9) != 0 {
		t.Errorf("%d entries, %d and %d of the ports", table.Len(), table.PortLen(7), table.PortLen(8))
	}
}

func TestMoveIsBelievedAtOnce(t *testing.T) {
	table := New(100, ageing)
	table.Learn(key(1, 1), 7, 0)
	table.Learn(key(1, 1), 8, 0)
	expect(t, table, key(1, 1), 8, 0)
	if table.Len() != 1 || table.PortLen(7) != 0 || table.PortLen(8) != 1 {
		t.Errorf("%d entries, %d and %d of the ports", table.Len(), table.PortLen(7), table.PortLen(8))
	}
}

func TestAgeing(t *testing.T) {
	table := New(100, 10*time.Second)
	table.Learn(key(1, 1), 7, 5)
	expect(t, table, key(1, 1), 7, 14)
	expect(t, table, key(1, 1), 0, 15) // from the very second
	expect(t, table, key(1, 1), 7, 4)  // a slower thread reads an earlier one
	table.Learn(key(1, 1), 7, 14)      // refreshed
	expect(t, table, key(1, 1), 7, 23)
	expect(t, table, key(1, 1), 0, 24)
	table.SetAgeing(100 * time.Second)
	expect(t, table, key(1, 1), 7, 24)
	table.SetAgeing(5 * time.Second)
	expect(t, table, key(1, 1), 0, 24)
	if table.Len() != 1 {
		t.Errorf("%d entries before a sweep", table.Len())
	}
	table.Sweep(18)
	if table.Len() != 1 {
		t.Errorf("a sweep at second 18 took an entry that is 4 seconds old")
	}
	table.Sweep(19)
	if table.Len() != 0 || table.PortLen(7) != 0 {
		t.Errorf("%d entries after the sweep, %d of the port", table.Len(), table.PortLen(7))
	}
}

// The switch's clock is 32 bits of seconds; it starts at 0.
func TestAgeingFromTheFirstSecond(t *testing.T) {
	table := New(100, 1000000*time.Second)
	table.Learn(key(1, 1), 7, 0)
	expect(t, table, key(1, 1), 7, 999999)
	expect(t, table, key(1, 1), 0, 1000000)
}

func TestAgeOfEntries(t *testing.T) {
	table := New(100, 10*time.Second)
	table.Learn(key(2, 1), 7, 0)
	table.Learn(key(1, 9), 7, 3)
	table.Learn(key(1, 2), 8, 4)
	table.AddStatic(key(1, 5), 9)
	want := []Entry{
		{VID: 1, MAC: key(1, 2).MAC(), Port: 8, Age: 5 * time.Second},
		{VID: 1, MAC: key(1, 5).MAC(), Port: 9, Static: true},
		{VID: 1, MAC: key(1, 9).MAC(), Port: 7, Age: 6 * time.Second},
		{VID: 2, MAC: key(2, 1).MAC(), Port: 7, Age: 9 * time.Second},
	}
	if got := table.Entries(9); !slices.Equal(got, want) {
		t.Errorf("entries\n%v, want\n%v", got, want)
	}
	if got := table.Entries(10); !slices.Equal(got, addSecond(want[:3])) {
		t.Errorf("entries a second later\n%v", got)
	}
}

// addSecond is list as it is a second later.
func addSecond(list []Entry) (later []Entry) {
	for _, e := range list {
		if !e.Static {
			e.Age += time.Second
		}
		later = append(later, e)
	}
	return later
}

func TestStaticNeitherMovesNorAges(t *testing.T) {
	table := New(100, 10*time.Second)
	table.Learn(key(1, 1), 7, 0)
	if !table.AddStatic(key(1, 1), 8) { // takes the place of what was learned
		t.Fatal("not added")
	}
	table.Learn(key(1, 1), 7, 0)
	table.Learn(key(1, 1), 8, 0)
	table.Learn(key(1, 1), 9, 1)
	expect(t, table, key(1, 1), 8, 0)
	expect(t, table, key(1, 1), 8, 1<<31-1)
	expect(t, table, key(1, 1), 8, 1<<32-1)
	table.Sweep(1 << 20)
	expect(t, table, key(1, 1), 8, 1<<20)
	if table.PortLen(7) != 0 || table.PortLen(8) != 1 || table.Len() != 1 {
		t.Errorf("%d entries, %d and %d of the ports", table.Len(), table.PortLen(7), table.PortLen(8))
	}
	if !table.AddStatic(key(1, 1), 9) {
		t.Fatal("not replaced")
	}
	expect(t, table, key(1, 1), 9, 0)
	if table.Flush(func(e Entry) bool { return e.Static }) != 1 {
		t.Error("not flushed")
	}
	expect(t, table, key(1, 1), 0, 0)
}

// Eight static entries fill a set: no ninth fits, and nothing is learned there.
func TestStaticFillsSet(t *testing.T) {
	table := New(8, ageing) // few sets, so that they are easy to fill
	added := 0
	for n := range uint64(200) {
		if table.AddStatic(key(1, n), 7) {
			added++
		}
	}
	if want := len(table.sets) * ways; added != want {
		t.Errorf("%d static entries fitted, want %d", added, want)
	}
	table.Learn(key(2, 1), 8, 0)
	expect(t, table, key(2, 1), 0, 0)
	if table.Unlearned() != 1 {
		t.Errorf("%d addresses counted as not learned, want 1", table.Unlearned())
	}
}

func TestLimit(t *testing.T) {
	table := New(1000, ageing)
	table.SetLimit(7, 3)
	for n := range uint64(10) {
		table.Learn(key(1, n), 7, 0)
		table.Learn(key(1, 100+n), 8, 0)
	}
	if table.PortLen(7) != 3 || table.PortLen(8) != 10 {
		t.Errorf("%d and %d entries, want 3 and 10", table.PortLen(7), table.PortLen(8))
	}
	if table.Unlearned() == 0 {
		t.Error("nobody counted what was not learned")
	}
	before := table.PortLen(8)
	table.Learn(key(1, 100), 7, 0) // a move is learning, too
	expect(t, table, key(1, 100), 8, 0)
	if table.PortLen(8) != before {
		t.Error("a port at its limit took an address from another")
	}
	table.SetLimit(7, 0)
	for n := range uint64(10) {
		table.Learn(key(1, n), 7, 0)
	}
	if table.PortLen(7) != 10 {
		t.Errorf("%d entries without a limit, want 10", table.PortLen(7))
	}
}

// What a port at its limit knows stays fresh, and makes room when it is old.
func TestLimitRefreshesAndAges(t *testing.T) {
	table := New(1000, 10*time.Second)
	table.SetLimit(7, 1)
	table.Learn(key(1, 1), 7, 0)
	table.Learn(key(1, 1), 7, 9)
	expect(t, table, key(1, 1), 7, 18)
	table.Sweep(19)
	table.Learn(key(1, 2), 7, 19)
	expect(t, table, key(1, 2), 7, 19)
}

func TestFlush(t *testing.T) {
	table := New(100, ageing)
	for n := range uint64(10) {
		table.Learn(key(1, n), 7, 0)
		table.Learn(key(2, n), 8, 0)
	}
	table.AddStatic(key(3, 1), 7)
	if n := table.Flush(func(e Entry) bool { return e.VID == 1 && e.MAC == key(1, 4).MAC() }); n != 1 {
		t.Errorf("flushed %d, want 1", n)
	}
	expect(t, table, key(1, 4), 0, 0)
	expect(t, table, key(1, 5), 7, 0)
	expect(t, table, key(2, 4), 8, 0)
	if n := table.FlushPort(7, false); n != 9 {
		t.Errorf("flushed %d of the port, want 9", n)
	}
	expect(t, table, key(3, 1), 7, 0)
	if n := table.FlushPort(7, true); n != 1 {
		t.Errorf("flushed %d static, want 1", n)
	}
	if n := table.FlushPort(7, true); n != 0 || table.Len() != 10 || table.PortLen(8) != 10 {
		t.Errorf("flushed %d of nothing; %d entries, %d of the other port", n, table.Len(), table.PortLen(8))
	}
}

func TestNewRoundsUp(t *testing.T) {
	for _, capacity := range []int{1, 2, 7, 8, 100, 65536, 1 << 20} {
		table := New(capacity, ageing)
		if slots := len(table.sets) * ways; slots < capacity*headroom || table.Cap() != capacity {
			t.Errorf("cap %d: %d slots, cap %d", capacity, slots, table.Cap())
		}
		table.Learn(key(1, 1), 7, 0)
		expect(t, table, key(1, 1), 7, 0)
	}
}
