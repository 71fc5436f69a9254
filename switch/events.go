package vswitch

import (
	"context"
	"sync"
	"time"
)

// Event is something that happened to the switch, in order and without gaps.
type Event struct {
	Seq  uint64 // 1, 2, 3 ...
	Time time.Time
	Type EventType
	Port int    // number; 0: not about a port
	Name string // the port's name
	Text string // for humans: who plugged in, why a link was lost, what changed
}

// EventType names what happened.
type EventType string

// The types of events.
const (
	EventPortAdded     EventType = "port-added"
	EventPortRemoved   EventType = "port-removed"
	EventPortChanged   EventType = "port-changed"
	EventLinkUp        EventType = "link-up"
	EventLinkDown      EventType = "link-down"
	EventLinkRetrying  EventType = "link-retrying"
	EventDoorOpened    EventType = "door-opened"
	EventDoorClosed    EventType = "door-closed"
	EventFDBChanged    EventType = "fdb-changed" // by an admin; learning makes no events
	EventSwitchChanged EventType = "switch-changed"
	EventSTPPort       EventType = "stp-port"     // a port's role or state in a tree
	EventSTPRoot       EventType = "stp-root"     // a tree has another root
	EventSTPTopology   EventType = "stp-topology" // a tree's topology changed
	EventSTPGuard      EventType = "stp-guard"    // the BPDU guard shut a port
	EventLoop          EventType = "loop"         // frames go round
)

// keptEvents is how many events a reader may fall behind.
const keptEvents = 4096

// eventLog keeps the latest events. Readers pull, so that a slow one costs
// nobody anything.
type eventLog struct {
	mu     sync.Mutex
	seq    uint64
	ring   [keptEvents]Event // event n lies at n % keptEvents
	signal chan struct{}     // closed at the next event; nil: nobody waits
}

func (l *eventLog) add(typ EventType, p *Port, text string) {
	e := Event{Time: time.Now(), Type: typ, Text: text}
	if p != nil {
		e.Port, e.Name = p.id, p.name()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	l.ring[e.Seq%keptEvents] = e
	if l.signal != nil {
		close(l.signal)
		l.signal = nil
	}
}

func (l *eventLog) last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seq
}

// Events returns the events after number seq and waits for one if there is
// none. It fails with ErrMissed when some of them are kept no longer (or never
// were: seq is of another life of the switch), and with ctx's error.
func (s *Switch) Events(ctx context.Context, seq uint64) ([]Event, error) {
	l := &s.events
	for {
		l.mu.Lock()
		if seq > l.seq || seq+keptEvents < l.seq {
			l.mu.Unlock()
			return nil, ErrMissed
		}
		if seq < l.seq {
			out := make([]Event, 0, l.seq-seq)
			for n := seq + 1; n <= l.seq; n++ {
				out = append(out, l.ring[n%keptEvents])
			}
			l.mu.Unlock()
			return out, nil
		}
		if l.signal == nil {
			l.signal = make(chan struct{})
		}
		signal := l.signal
		l.mu.Unlock()
		select {
		case <-signal:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.done:
			return nil, ErrClosed
		}
	}
}
