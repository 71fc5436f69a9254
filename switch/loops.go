package vswitch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// The loop detector watches addresses that move to and fro between two ports.
// Learning a moved address is slow anyway, so counting costs nothing that
// anybody notices, and a switch where nothing moves does not even wake up.
const (
	// loopMoves in a second between the same two ports are a loop: no station
	// is plugged in elsewhere that often, and a frame that goes round, even by
	// way of another continent, comes by more often than that before long.
	loopMoves = 100
	// loopShown is how long after its last sign a loop is shown.
	loopShown = 10 * time.Second
)

// Loop is a loop that was seen lately: what goes out by one of two ports comes
// in by the other.
type Loop struct {
	Ports [2]string // names
	IDs   [2]int
	Since time.Time
	Last  time.Time
	Moves uint64    // of addresses between the two, in the worst second
	MAC   frame.MAC // one of these addresses
}

// watchLoops looks at what has moved, a second after something did.
func (s *Switch) watchLoops() {
	defer s.tending.Done()
	for {
		select {
		case <-s.fdb.Moved():
		case <-s.done:
			return
		}
		second := time.NewTimer(time.Second)
		select {
		case <-second.C:
		case <-s.done:
			second.Stop()
			return
		}
		s.noteMoves(s.fdb.TakeMoves(), time.Now())
	}
}

// noteMoves finds loops among moves in one second, and tells of new ones.
func (s *Switch) noteMoves(list []fdb.Moves, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range list {
		a, b := s.ports[m.Ports[0]], s.ports[m.Ports[1]]
		if m.Count < loopMoves || a == nil || b == nil {
			continue
		}
		l := s.loops[m.Ports]
		if now.Sub(l.Last) > loopShown {
			l = Loop{Since: now}
			text := fmt.Sprintf("frames go round between %s and %s: %d moves of addresses in a second, such as %v", a.name(), b.name(), m.Count, m.Last.MAC())
			s.events.add(EventLoop, a, text)
			s.log.Warn("loop", "port", a.id, "name", a.name(), "other_port", b.id, "other_name", b.name(), "moves", m.Count)
		}
		l.Ports, l.IDs, l.Last = [2]string{a.name(), b.name()}, m.Ports, now
		l.Moves, l.MAC = max(l.Moves, m.Count), m.Last.MAC()
		s.loops[m.Ports] = l
	}
}

// currentLoops lists loops that were seen lately. Called with mu held.
func (s *Switch) currentLoops() []Loop {
	var list []Loop
	for pair, l := range s.loops {
		if time.Since(l.Last) > loopShown || s.ports[pair[0]] == nil || s.ports[pair[1]] == nil {
			delete(s.loops, pair)
			continue
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b Loop) int { return cmp.Or(cmp.Compare(a.IDs[0], b.IDs[0]), cmp.Compare(a.IDs[1], b.IDs[1])) })
	return list
}

// loop names the port at the other end of a loop that p is in; "" if there is
// none. Called with mu held.
func (p *Port) loop() string {
	for _, l := range p.sw.loops {
		for i, id := range l.IDs {
			if id == p.id && time.Since(l.Last) <= loopShown {
				return l.Ports[1-i]
			}
		}
	}
	return ""
}
