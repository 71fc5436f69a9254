package mgmt

import (
	"net"
	"sync"
	"sync/atomic"
)

// listener admits connections: it asks who calls and counts. The first
// connections over the limit are still let in so that the caller can be told;
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
		who := identify(nc)
		count, limit := &l.server.guests, l.server.limits.guests
		if l.server.isAdmin(who) {
			count, limit = &l.server.admins, l.server.limits.admins
		}
		n := int(count.Add(1))
		if n > limit+l.server.limits.excess {
			count.Add(-1)
			nc.Close()
			l.server.log.Warn("api connection refused: too many", "uid", who.uid, "pid", who.pid, "limit", limit)
			continue
		}
		who.excess = n > limit
		return &conn{Conn: nc, caller: who, count: count}, nil
	}
}

// conn is a connection that gives its place back when it closes.
type conn struct {
	net.Conn
	caller caller
	count  *atomic.Int32
	once   sync.Once
}

// Close closes the connection.
func (c *conn) Close() error {
	c.once.Do(func() { c.count.Add(-1) })
	return c.Conn.Close()
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
