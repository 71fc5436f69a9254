package mgmt

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// listener admits connections: it asks who calls and counts. Where there is no
// place left, the connection goes that has owed us a request for longest; so
// who begins a thousand requests and ends none is in nobody's way. If all are
// being answered, a few more are still let in so that the caller can be told;
// those after them are closed at once.
type listener struct {
	net.Listener
	server *Server
}

// Accept returns the next connection that is admitted.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: nc, caller: identify(nc), room: &l.server.guests}
		limit := l.server.limits.guests
		if l.server.isAdmin(c.caller) {
			c.room, limit = &l.server.admins, l.server.limits.admins
		}
		if !c.room.admit(c, limit, l.server.limits.excess) {
			nc.Close()
			l.server.log.Warn("api connection refused: too many", "uid", c.caller.uid, "pid", c.caller.pid, "limit", limit)
			continue
		}
		return c, nil
	}
}

// room is the connections of those who may change things, or of all others.
type room struct {
	mu   sync.Mutex
	open map[*conn]struct{} // guarded by mu
}

// admit gives c a place, if there is one or one can be made.
func (r *room) admit(c *conn, limit, excess int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) >= limit {
		if o := r.idlest(); o != nil {
			delete(r.open, o)
			o.Conn.Close()
		}
	}
	if len(r.open) >= limit+excess {
		return false
	}
	c.caller.excess = len(r.open) >= limit
	c.since = time.Now()
	if r.open == nil {
		r.open = map[*conn]struct{}{}
	}
	r.open[c] = struct{}{}
	return true
}

// idlest is the connection that has owed us a request for longest, or nil.
// Called with mu held.
func (r *room) idlest() (o *conn) {
	for c := range r.open {
		if !c.since.IsZero() && (o == nil || c.since.Before(o.since)) {
			o = c
		}
	}
	return o
}

func (r *room) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open)
}

// conn is a connection that gives its place back when it closes.
type conn struct {
	net.Conn
	caller caller
	room   *room
	since  time.Time // guarded by room.mu: it has owed us the rest of a request; zero: we owe it an answer
}

// Close closes the connection.
func (c *conn) Close() error {
	c.room.mu.Lock()
	delete(c.room.open, c)
	c.room.mu.Unlock()
	return c.Conn.Close()
}

// owes notes who is to speak next.
func (c *conn) owes(request bool) {
	c.room.mu.Lock()
	defer c.room.mu.Unlock()
	c.since = time.Time{}
	if request {
		c.since = time.Now()
	}
}

type connKey struct{}

// complete notes that all of a request is there, body and all: from now on its
// connection has a right to its place.
func complete(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		c.owes(false)
	}
}

// answered notes that the next request is awaited.
func answered(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*conn); ok {
		c.owes(true)
	}
}

// withCaller is http.Server's ConnContext.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		ctx = context.WithValue(ctx, connKey{}, c)
		return context.WithValue(ctx, callerKey{}, c.caller)
	}
	return ctx
}

// identify asks the kernel who is at the other end of nc.
func identify(nc net.Conn) caller {
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		return caller{uid: -1}
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return caller{uid: -1}
	}
	who := caller{uid: -1}
	_ = raw.Control(func(fd uintptr) { who = peerOf(int(fd)) })
	return who
}
