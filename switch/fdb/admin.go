package fdb

import (
	"cmp"
	"slices"
	"time"

	"vnetkit/switch/frame"
)

// Entry is an address in the table.
type Entry struct {
	VID    frame.VID
	MAC    frame.MAC
	Port   int
	Age    time.Duration // whole seconds since it was last seen; 0 if Static
	Static bool
}

// SetAgeing changes the time after which entries are forgotten.
func (t *Table) SetAgeing(d time.Duration) {
	t.ageing.Store(uint32(max(d/time.Second, 1)))
}

// SetLimit bounds how many entries port may have, static ones not counted
// against it when they are added; 0 lifts the bound.
func (t *Table) SetLimit(port, limit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if limit == 0 {
		delete(t.limit, port)
		return
	}
	t.limit[port] = limit
}

// CanAddStatic tells whether AddStatic would succeed for k, after it has for all
// of before, if nobody adds others in between.
func (t *Table) CanAddStatic(k Key, before ...Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.set(k)
	taken := map[Key]bool{k: true}
	for i := range set {
		if key := Key(set[i].key.Load()); key != 0 && value(set[i].val.Load()).isStatic() {
			taken[key] = true
		}
	}
	for _, key := range before {
		if t.set(key) == set {
			taken[key] = true
		}
	}
	return len(taken) <= ways
}

// AddStatic puts an entry in that neither ages nor moves. It fails only when
// all eight places for it are taken by other static entries.
func (t *Table) AddStatic(k Key, port int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.find(k)
	if s == nil {
		set := t.set(k)
		for i := range set {
			if set[i].key.Load() == 0 {
				s = &set[i]
				break
			}
			if !value(set[i].val.Load()).isStatic() {
				s = &set[i]
			}
		}
		if s == nil {
			return false
		}
	}
	if s.key.Load() != 0 {
		t.clear(s)
	}
	t.fill(s, k, makeValue(port, 0)|staticFlag)
	return true
}

// Flush removes the entries for which match is true and returns their number.
func (t *Table) Flush(match func(Entry) bool) int {
	n := 0
	t.each(0, func(s *slot, e Entry) {
		if match(e) {
			t.clear(s)
			n++
		}
	})
	return n
}

// FlushPort removes all entries of port, static ones too if asked.
func (t *Table) FlushPort(port int, static bool) int {
	return t.FlushPortIf(port, func(e Entry) bool { return static || !e.Static })
}

// FlushPortIf removes the entries of port that match. Where it has none, nothing
// is looked at.
func (t *Table) FlushPortIf(port int, match func(Entry) bool) int {
	t.mu.Lock()
	have := t.entries(port)
	t.mu.Unlock()
	if have == 0 {
		return 0
	}
	return t.Flush(func(e Entry) bool { return e.Port == port && match(e) })
}

// Sweep gives back the slots of entries that have expired at second now.
func (t *Table) Sweep(now uint32) {
	t.each(now, func(s *slot, _ Entry) {
		if t.expired(value(s.val.Load()), now) {
			t.clear(s)
		}
	})
}

// Entries lists what has not expired at second now, by VLAN, then address.
func (t *Table) Entries(now uint32) []Entry {
	var all []Entry
	t.each(now, func(s *slot, e Entry) {
		if !t.expired(value(s.val.Load()), now) {
			all = append(all, e)
		}
	})
	slices.SortFunc(all, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.VID, b.VID), slices.Compare(a.MAC[:], b.MAC[:]))
	})
	return all
}

// each calls f for every entry. It takes the lock for a slice of the table at
// a time, so that learning never waits for a whole pass.
func (t *Table) each(now uint32, f func(*slot, Entry)) {
	const slice = 1024
	for from := 0; from < len(t.sets); from += slice {
		t.mu.Lock()
		for i := from; i < min(from+slice, len(t.sets)) && t.count > 0; i++ {
			if t.used[i] == 0 {
				continue
			}
			for j := range t.sets[i] {
				s := &t.sets[i][j]
				if k := Key(s.key.Load()); k != 0 {
					f(s, makeEntry(k, value(s.val.Load()), now))
				}
			}
		}
		t.mu.Unlock()
	}
}

func makeEntry(k Key, v value, now uint32) Entry {
	e := Entry{VID: k.VID(), MAC: k.MAC(), Port: v.port(), Static: v.isStatic()}
	if age := int32(now - v.seen()); age > 0 && !e.Static {
		e.Age = time.Duration(age) * time.Second
	}
	return e
}

// Len is the number of entries, those included that expired but were not swept.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// PortLen is the number of port's entries.
func (t *Table) PortLen(port int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries(port)
}

// Cap is the most entries the table takes.
func (t *Table) Cap() int { return t.cap }

// Unlearned counts addresses that a limit kept from being learned.
func (t *Table) Unlearned() uint64 { return t.unlearned.Load() }
