package vswitch

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// TestLoopIsNamed closes a ring of two switches without a spanning tree: the
// detector says by which ports frames go round, and stops saying so.
func TestLoopIsNamed(t *testing.T) {
	a, b := treeLab(t, STPOff, 0), treeLab(t, STPOff, 0)
	x := a.plug("down=on")
	one, two := cable(a, b, "", ""), cable(a, b, "", "")
	a.seq = a.sw.Info().EventSeq
	a.set(x, PortChange{Down: ptr(false)})
	x.Send(eth(frame.Broadcast, x.mac))
	e := a.await(func(e Event) bool { return e.Type == EventLoop })
	want := []string{one.port1, two.port1}
	if !strings.Contains(e.Text, one.port1) || !strings.Contains(e.Text, two.port1) || !strings.Contains(e.Text, x.mac.String()) {
		t.Errorf("event %+v", e)
	}
	loops := a.sw.Info().Loops
	if !slices.ContainsFunc(loops, func(l Loop) bool { return slices.Equal(l.Ports[:], want) && l.Moves >= loopMoves }) {
		t.Errorf("loops %+v, want one between %v", loops, want)
	}
	if l := a.port(one.port1).Loop; l != two.port1 {
		t.Errorf("port %s is in a loop with %q", one.port1, l)
	}
	one.pull()
	a.waitFor("the pulled cable's loop is forgotten", func() bool { return len(a.sw.Info().Loops) == 0 })
}

// TestFewMovesAreNoLoop is about stations that are plugged in elsewhere.
func TestFewMovesAreNoLoop(t *testing.T) {
	l := newLab(t, Options{})
	p, q := l.plug(""), l.plug("")
	for _, c := range []struct{ moves, loops int }{{1, 0}, {loopMoves - 1, 0}, {loopMoves, 1}} {
		m := fdb.Moves{Ports: [2]int{p.id, q.id}, Count: uint64(c.moves), Last: fdb.MakeKey(1, p.mac.Uint64())}
		l.sw.noteMoves([]fdb.Moves{m}, time.Now())
		if got := l.sw.Info().Loops; len(got) != c.loops {
			t.Errorf("%d moves: %+v", c.moves, got)
		}
	}
	l.sw.noteMoves([]fdb.Moves{{Ports: [2]int{p.id, 99}, Count: 1000}}, time.Now()) // gone meanwhile
}
