package plug

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// How long a dialer waits between attempts: doubling, with up to a quarter of
// chance in it so that many ports do not knock at once.
const (
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
	dialTime = 5 * time.Second // for one attempt
)

// dialer yields a Link to one address, and another when that has died.
type dialer struct {
	text string // the Spec
	to   string // tells where it leads; "": text
	dial func(context.Context) (link.Link, error)
	opt  link.Options
	last time.Time // when it yielded the latest Link
	wait time.Duration
}

// Dialer returns a Source, called text, that yields what dial makes, and another
// when that has died. It tries for ever.
func Dialer(text string, opt link.Options, dial func(context.Context) (link.Link, error)) link.Source {
	return &dialer{text: text, dial: dial, opt: opt}
}

func newDialer(addr address, opt link.Options) link.Source {
	return Dialer("stream:"+addr.String()+",connect=on", opt, addr.dial)
}

// Accept implements link.Source. It tries for ever. A Link that lived for less
// than the longest wait does not count as success: the other side may accept
// and hang up.
func (d *dialer) Accept(ctx context.Context) (link.Link, error) {
	if time.Since(d.last) > retryMax {
		d.wait = 0
	}
	for {
		if d.wait > 0 {
			if !link.Pause(ctx.Done(), d.wait+rand.N(d.wait/4)) {
				return nil, ctx.Err()
			}
		}
		d.wait = min(max(2*d.wait, retryMin), retryMax)
		l, err := d.dial(ctx)
		if ctx.Err() != nil {
			if l != nil {
				_ = l.Close()
			}
			return nil, ctx.Err()
		}
		if d.opt.Retrying != nil {
			d.opt.Retrying(err)
		}
		if err == nil {
			d.last = time.Now()
			return l, nil
		}
	}
}

func (a address) dial(ctx context.Context) (link.Link, error) {
	nd := net.Dialer{Timeout: dialTime}
	conn, err := nd.DialContext(ctx, a.network, a.text)
	if err != nil {
		return nil, fmt.Errorf("connect to %v: %w", a, err)
	}
	return takeSocket(conn)
}

// takeSocket makes a Link of a connection's socket, which leaves the runtime's
// poller: the switch polls it itself.
func takeSocket(conn net.Conn) (link.Link, error) {
	defer conn.Close()
	fd, err := takeFD(conn)
	if err != nil {
		return nil, err
	}
	return newStreamLink(fd)
}

// takeFD duplicates the descriptor of a connection's socket.
func takeFD(conn net.Conn) (fd int, err error) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, dupErr); err != nil {
		return -1, fmt.Errorf("take socket of connection: %w", err)
	}
	return fd, nil
}

// Listening implements link.Source.
func (d *dialer) Listening() bool { return false }

// String implements link.Source.
func (d *dialer) String() string { return d.text }

// Cable implements link.Cabled.
func (d *dialer) Cable() link.Cable { return link.Cable{Place: cmp.Or(d.to, d.text)} }

// Close implements link.Source.
func (d *dialer) Close() error { return nil }
