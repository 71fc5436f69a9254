package fdb

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"vnetkit/switch/frame"
)

// model is the table as one would write it with a map: few addresses, far
// below the cap and each in a set of its own, so that nothing makes room for
// anything else.
type model struct {
	entries map[Key]Entry
	seen    map[Key]uint32
	limit   map[int]int
	ageing  uint32
	now     uint32
}

func (m *model) expired(k Key) bool {
	return !m.entries[k].Static && m.now-m.seen[k] >= m.ageing
}

func (m *model) portLen(port int) (n int) {
	for _, e := range m.entries {
		if e.Port == port {
			n++
		}
	}
	return n
}

func (m *model) set(k Key, port int, static bool) {
	m.entries[k] = Entry{VID: k.VID(), MAC: k.MAC(), Port: port, Static: static}
	m.seen[k] = m.now
}

func (m *model) learn(k Key, port int) {
	old, known := m.entries[k]
	limit, limited := m.limit[port]
	switch {
	case known && old.Static:
	case known && old.Port == port:
		m.set(k, port, false)
	case limited && m.portLen(port) >= limit:
	default:
		m.set(k, port, false)
	}
}

func (m *model) flush(match func(Entry) bool) (n int) {
	for k, e := range m.entries {
		if match(e) {
			delete(m.entries, k)
			n++
		}
	}
	return n
}

const modelStations = 8

var modelVLANs = []frame.VID{1, 2, 4094}

// newApart is New, with all keys of the model in different sets.
func newApart() *Table {
	for {
		table, taken := New(4096, 10*time.Second), map[uint64]bool{}
		for _, vid := range modelVLANs {
			for n := range uint64(modelStations) {
				taken[table.index(key(vid, n))] = true
			}
		}
		if len(taken) == modelStations*len(modelVLANs) {
			return table
		}
	}
}

// TestModel does the same random things to a table and to a map.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newApart()
		m := &model{entries: map[Key]Entry{}, seen: map[Key]uint32{}, limit: map[int]int{}, ageing: 10}
		aKey := rapid.Custom(func(t *rapid.T) Key {
			return key(rapid.SampledFrom(modelVLANs).Draw(t, "vlan"), uint64(rapid.IntRange(0, modelStations-1).Draw(t, "station")))
		})
		aPort := rapid.IntRange(1, 4)
		t.Repeat(map[string]func(*rapid.T){
			"learn": func(t *rapid.T) {
				k, p := aKey.Draw(t, "key"), aPort.Draw(t, "port")
				table.Learn(k, p, m.now)
				m.learn(k, p)
			},
			"time passes": func(t *rapid.T) { m.now += uint32(rapid.IntRange(1, 6).Draw(t, "seconds")) },
			"sweep": func(t *rapid.T) {
				table.Sweep(m.now)
				for k := range m.entries {
					if m.expired(k) {
						delete(m.entries, k)
					}
				}
			},
			"static": func(t *rapid.T) {
				k, p := aKey.Draw(t, "key"), aPort.Draw(t, "port")
				if !table.AddStatic(k, p) {
					t.Fatal("no room for a static entry")
				}
				m.set(k, p, true)
			},
			"flush VLAN": func(t *rapid.T) {
				vid := aKey.Draw(t, "key").VID()
				match := func(e Entry) bool { return e.VID == vid }
				if got, want := table.Flush(match), m.flush(match); got != want {
					t.Fatalf("flushed %d, want %d", got, want)
				}
			},
			"flush port": func(t *rapid.T) {
				p, static := aPort.Draw(t, "port"), rapid.Bool().Draw(t, "static")
				want := m.flush(func(e Entry) bool { return e.Port == p && (static || !e.Static) })
				if got := table.FlushPort(p, static); got != want {
					t.Fatalf("flushed %d, want %d", got, want)
				}
			},
			"limit": func(t *rapid.T) {
				p, n := aPort.Draw(t, "port"), rapid.IntRange(0, 5).Draw(t, "limit")
				table.SetLimit(p, n)
				if m.limit[p] = n; n == 0 {
					delete(m.limit, p)
				}
			},
			"ageing": func(t *rapid.T) {
				m.ageing = uint32(rapid.IntRange(1, 20).Draw(t, "ageing"))
				table.SetAgeing(time.Duration(m.ageing) * time.Second)
			},
			"": func(t *rapid.T) { m.check(t, table) },
		})
	})
}

func (m *model) check(t *rapid.T, table *Table) {
	fresh := 0
	for _, vid := range modelVLANs {
		for n := range uint64(modelStations) {
			k := key(vid, n)
			e, known := m.entries[k]
			known = known && !m.expired(k)
			got, ok := table.Lookup(k, m.now)
			if ok != known || ok && got != e.Port {
				t.Fatalf("second %d: %v is behind %d, %t, want %d, %t", m.now, k.MAC(), got, ok, e.Port, known)
			}
		}
	}
	for k := range m.entries {
		if !m.expired(k) {
			fresh++
		}
	}
	if list := table.Entries(m.now); len(list) != fresh {
		t.Fatalf("lists %d entries, want %d", len(list), fresh)
	}
	for p := 1; p <= 4; p++ {
		if table.PortLen(p) != m.portLen(p) {
			t.Fatalf("port %d has %d entries, want %d", p, table.PortLen(p), m.portLen(p))
		}
	}
}
