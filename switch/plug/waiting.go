package plug

import (
	"net"
	"sync"

	"vnetkit/switch/link"
)

// guest is a client that has connected and not been understood yet.
type guest struct {
	conn net.Conn
	peer link.Peer
}

// waitingRoom bounds how many guests there are, in total and of one user. When
// it is full the one that has waited longest must go: who comes to plug in does
// so at once, and who does not must keep nobody out.
type waitingRoom struct {
	mu     sync.Mutex
	guests []*guest // oldest first
	closed bool
}

const (
	maxGuests        = 1024
	maxGuestsOfAUser = 256
)

// enter takes a connection in. closed tells that nobody is received any more;
// then the connection is closed.
func (r *waitingRoom) enter(conn net.Conn, peer link.Peer) (g *guest, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = conn.Close()
		return nil, true
	}
	g = &guest{conn, peer}
	if len(r.guests) >= maxGuestsOfAUser {
		r.makeRoom(peer.UID)
	}
	r.guests = append(r.guests, g)
	return g, false
}

// makeRoom sends the oldest guest of a user away if that user has too many, or
// the oldest of all. Its goroutine finds the connection closed.
func (r *waitingRoom) makeRoom(uid int) {
	n, oldest := 0, -1
	for i, g := range r.guests {
		if g.peer.UID == uid {
			if n++; oldest < 0 {
				oldest = i
			}
		}
	}
	switch {
	case n >= maxGuestsOfAUser:
	case len(r.guests) >= maxGuests:
		oldest = 0
	default:
		return
	}
	_ = r.guests[oldest].conn.Close()
	r.remove(r.guests[oldest])
}

func (r *waitingRoom) remove(g *guest) {
	for i, o := range r.guests {
		if o == g {
			r.guests = append(r.guests[:i], r.guests[i+1:]...)
			return
		}
	}
}

// leave is called when g has been dealt with.
func (r *waitingRoom) leave(g *guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(g)
}

// clear sends all away, for good.
func (r *waitingRoom) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, g := range r.guests {
		_ = g.conn.Close()
	}
}
