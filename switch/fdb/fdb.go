// Package fdb is the switch's forwarding table: which port an address was last
// seen behind.
//
// # Theory of operation
//
// The table is a set-associative array. A key, 12 bits of VLAN and 48 bits of
// address, hashes to one set of eight slots, which is two cache lines; it can
// lie nowhere else, so a look-up reads at most eight keys whether the table is
// empty, full or under attack. There are four times as many slots as the cap
// on entries, so a set overflows about once in 4,000 at the cap; then the
// newcomer displaces a neighbour.
//
// A slot is two words: the key, and a value that packs port, flags and the
// second in which the address was last seen. Look-ups and refreshes take no
// lock: a reader loads key, value and key again, and believes the value only
// if the key stood still, because a writer clears the key before it changes
// what a slot is about. Insertions, moves and removals are rare and take a
// mutex.
//
// An entry older than the ageing time is not found, from the very second; a
// sweep only gives the slots back. Sweeping is the caller's job (Sweep), so
// that an idle table costs nothing.
//
// # Fairness
//
// A station that invents source addresses must hurt nobody else. The cap
// holds for the whole table and a limit can be set for each port. At the cap a
// newcomer takes the place of an entry of the port that has most entries; if
// that is the newcomer's own port, only an entry in its own set gives way, and
// if there is none the address is not learned. So a flood from one port ends
// up recycling that port's own entries, and addresses of other ports stay.
package fdb

import (
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/frame"
)

const (
	ways     = 8   // slots in a set
	headroom = 4   // slots for each entry of the cap
	scanLen  = 256 // sets, and ports, that a search for a victim looks at
)

// Key is a VLAN and an address: 0, then 12 bits VID, then 48 bits MAC, plus
// one so that no key is 0, which marks a free slot.
type Key uint64

// MakeKey packs vid and the address in the low 48 bits of mac.
func MakeKey(vid frame.VID, mac uint64) Key { return Key(uint64(vid)<<48|mac) + 1 }

// VID is the VLAN in k.
func (k Key) VID() frame.VID { return frame.VID((k - 1) >> 48) }

// MAC is the address in k.
func (k Key) MAC() frame.MAC { return frame.MACFromUint64(uint64(k-1) & (1<<48 - 1)) }

// value packs a slot's port (bits 0-15), static flag (16) and the second it was
// last seen in (32-63).
type value uint64

const staticFlag value = 1 << 16

func makeValue(port int, now uint32) value { return value(now)<<32 | value(port) }

func (v value) port() int      { return int(v & 0xffff) }
func (v value) seen() uint32   { return uint32(v >> 32) }
func (v value) isStatic() bool { return v&staticFlag != 0 }

type slot struct {
	key atomic.Uint64
	val atomic.Uint64
}

// Table is a forwarding table. Its methods are safe for concurrent use.
type Table struct {
	sets  [][ways]slot
	shift uint // 64 - log2(len(sets))
	cap   int
	// secret is an odd number that nobody can know: who could tell which
	// addresses share a set could push a neighbour's out, eight at a time.
	secret uint64

	ageing    atomic.Uint32 // seconds
	unlearned atomic.Uint64

	mu      sync.Mutex // guards what follows and every change of a key
	count   int
	used    []uint8     // slots in use of each set: who goes through all looks only where something is
	perPort []int       // entries of each port, by its number
	holders int         // ports that have any
	limit   map[int]int // ports that may not have more than this
	fullest int         // port with most entries, or nearly: see evictFullest
	hand    int         // where the search for a victim goes on
	asked   int         // where the search for the fullest port goes on
	moves   []Moves     // since TakeMoves

	moved chan struct{} // see Moved
}

// New makes a table for at most capacity entries, which are forgotten when they
// were not seen for the ageing time (whole seconds, at least one).
func New(capacity int, ageing time.Duration) *Table {
	n := 1 << bits.Len(uint(max(capacity*headroom/ways, 2)-1))
	t := &Table{
		sets:    make([][ways]slot, n),
		shift:   uint(64 - bits.TrailingZeros(uint(n))),
		cap:     capacity,
		secret:  rand.Uint64() | 1,
		used:    make([]uint8, n),
		perPort: make([]int, 1),
		limit:   map[int]int{},
		moves:   make([]Moves, 0, maxMoves),
		moved:   make(chan struct{}, 1),
	}
	t.SetAgeing(ageing)
	return t
}

func (t *Table) index(k Key) uint64 {
	x := uint64(k) * t.secret
	return (x ^ x>>32) * 0x9e3779b97f4a7c15 >> t.shift
}

func (t *Table) set(k Key) *[ways]slot { return &t.sets[t.index(k)] }

// Lookup returns the port behind which k is, as of second now.
func (t *Table) Lookup(k Key, now uint32) (port int, ok bool) {
	set := t.set(k)
	for i := range set {
		s := &set[i]
		if s.key.Load() != uint64(k) {
			continue
		}
		v := value(s.val.Load())
		if s.key.Load() != uint64(k) || t.expired(v, now) {
			return 0, false
		}
		return v.port(), true
	}
	return 0, false
}

// expired tells whether v is too old at now. A second that lies before v's was
// read by a slower thread: the entry is fresh.
func (t *Table) expired(v value, now uint32) bool {
	return int32(now-v.seen()) >= int32(t.ageing.Load()) && !v.isStatic()
}

// Learn notes that k was seen behind port at second now.
func (t *Table) Learn(k Key, port int, now uint32) {
	set := t.set(k)
	for i := range set {
		s := &set[i]
		if s.key.Load() != uint64(k) {
			continue
		}
		v := value(s.val.Load())
		if v.port() == port && (v.seen() == now || v.isStatic()) {
			return
		}
		if v.port() == port && s.key.Load() == uint64(k) {
			// A refresh can lose against a move or a removal of the same
			// slot; then the next frame brings it right.
			s.val.CompareAndSwap(uint64(v), uint64(makeValue(port, now)))
			return
		}
		break
	}
	t.learnSlow(k, port, now)
}

// learnSlow inserts k or moves it to another port.
func (t *Table) learnSlow(k Key, port int, now uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.find(k); s != nil {
		v := value(s.val.Load())
		switch {
		case v.isStatic():
		case v.port() == port:
			s.val.Store(uint64(makeValue(port, now)))
		case t.atLimit(port):
			t.unlearned.Add(1)
		default:
			s.val.Store(uint64(makeValue(port, now)))
			t.add(v.port(), -1)
			t.add(port, 1)
			t.countMove(k, v.port(), port)
		}
		return
	}
	s := t.room(k, port, now)
	if s == nil {
		t.unlearned.Add(1)
		return
	}
	t.fill(s, k, makeValue(port, now))
}

func (t *Table) atLimit(port int) bool {
	limit, ok := t.limit[port]
	return ok && t.entries(port) >= limit
}

// room returns a free slot in k's set, making one if it may: nil if not.
func (t *Table) room(k Key, port int, now uint32) *slot {
	set := t.set(k)
	var free, own, victim *slot
	for i := range set {
		s := &set[i]
		v := value(s.val.Load())
		switch {
		case s.key.Load() == 0:
			if free == nil { // the first: most sets then need one cache line
				free = s
			}
		case v.isStatic():
		case t.expired(v, now):
			t.clear(s)
			if free == nil {
				free = s
			}
		case v.port() == port:
			own = s
		case victim == nil || t.perPort[v.port()] > t.perPort[value(victim.val.Load()).port()]:
			victim = s
		}
	}
	if t.atLimit(port) || t.count >= t.cap && (t.fullest == port || !t.evictFullest()) {
		// The newcomer's port must give up one of its own.
		victim = nil
		if own == nil {
			return nil
		}
		t.clear(own)
		return own
	}
	if free == nil {
		free = freeIn(set) // the eviction can have hit this very set
	}
	if free != nil {
		return free
	}
	// The set overflows, which is chance, not an attack that pays: eight
	// addresses that share a set compete among themselves.
	if own != nil && (victim == nil || t.entries(port) >= t.perPort[value(victim.val.Load()).port()]) {
		victim = own
	}
	if victim != nil {
		t.clear(victim)
	}
	return victim
}

// freeIn returns a free slot of set, or nil.
func freeIn(set *[ways]slot) *slot {
	for i := range set {
		if set[i].key.Load() == 0 {
			return &set[i]
		}
	}
	return nil
}

// evictFullest removes an entry of the fullest port. It looks at a bounded
// number of sets: at the cap every fourth slot is taken, and that port has the
// largest share of them.
func (t *Table) evictFullest() bool {
	if t.perPort[t.fullest]*t.holders < t.count {
		t.findFullest()
	}
	for range scanLen {
		t.hand = (t.hand + 1) & (len(t.sets) - 1)
		set := &t.sets[t.hand]
		for i := range set {
			s := &set[i]
			if v := value(s.val.Load()); s.key.Load() != 0 && v.port() == t.fullest && !v.isStatic() {
				t.clear(s)
				return true
			}
		}
	}
	return false
}

// findFullest is for when the fullest port has lost so many entries that it
// has less than an average share; until then it is full enough to give way.
// Where many are equally full that is soon, so it looks at a bounded number of
// ports, at other ones each time.
func (t *Table) findFullest() {
	for range min(scanLen, len(t.perPort)) {
		if t.asked++; t.asked >= len(t.perPort) {
			t.asked = 0
		}
		if t.perPort[t.asked] > t.perPort[t.fullest] {
			t.fullest = t.asked
		}
	}
}

// find returns k's slot, or nil.
func (t *Table) find(k Key) *slot {
	set := t.set(k)
	for i := range set {
		if set[i].key.Load() == uint64(k) {
			return &set[i]
		}
	}
	return nil
}

func (t *Table) fill(s *slot, k Key, v value) {
	s.val.Store(uint64(v))
	s.key.Store(uint64(k))
	t.used[t.index(k)]++
	t.count++
	t.add(v.port(), 1)
}

func (t *Table) clear(s *slot) {
	t.used[t.index(Key(s.key.Load()))]--
	s.key.Store(0)
	t.count--
	t.add(value(s.val.Load()).port(), -1)
}

func (t *Table) add(port, n int) {
	for port >= len(t.perPort) {
		t.perPort = append(t.perPort, 0)
	}
	had := t.perPort[port]
	have := had + n
	t.perPort[port] = have
	switch {
	case have == 0:
		t.holders--
	case had == 0:
		t.holders++
	}
	if have > t.perPort[t.fullest] {
		t.fullest = port
	}
}

// entries is how many entries port has.
func (t *Table) entries(port int) int {
	if port >= len(t.perPort) {
		return 0
	}
	return t.perPort[port]
}
