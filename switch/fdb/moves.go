package fdb

// Moves counts how often addresses moved between two ports. A station that is
// plugged in elsewhere moves once; in a loop, every frame that goes round moves
// its sender from one end of the loop to the other, thousands of times in a
// second.
type Moves struct {
	Ports [2]int // the lower number first
	Count uint64
	Last  Key // an address that moved
}

// maxMoves is how many pairs of ports are counted at a time. The busiest stay.
const maxMoves = 16

// Moved has a token when addresses have moved since TakeMoves.
func (t *Table) Moved() <-chan struct{} { return t.moved }

// TakeMoves returns what was counted since it was called last.
func (t *Table) TakeMoves() []Moves {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := append([]Moves(nil), t.moves...)
	t.moves = t.moves[:0]
	select {
	case <-t.moved:
	default:
	}
	return list
}

// countMove notes that k moved. Called with mu held.
func (t *Table) countMove(k Key, from, to int) {
	ports := [2]int{min(from, to), max(from, to)}
	least := 0
	for i := range t.moves {
		m := &t.moves[i]
		if m.Ports == ports {
			m.Count++
			m.Last = k
			return
		}
		if m.Count < t.moves[least].Count {
			least = i
		}
	}
	switch {
	case len(t.moves) < maxMoves:
		t.moves = append(t.moves, Moves{ports, 1, k})
	default:
		t.moves[least] = Moves{ports, 1, k}
	}
	select {
	case t.moved <- struct{}{}:
	default:
	}
}
