package linktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Pipes is the port kind "pipe". A Spec pipe:NAME is a listening Source, each
// Plug(NAME) a client; pipe:NAME,single=on is one port that Plug(NAME) gives
// one link after another.
type Pipes struct {
	mu      sync.Mutex
	sources map[string]*pipeSource
}

// Kind is what to put into the switch's list.
func (p *Pipes) Kind() link.Kind {
	return link.Kind{Name: "pipe", Help: "pipe:NAME[,single=on]    for tests", Open: p.open}
}

func (p *Pipes) open(_ context.Context, spec link.Spec, _ link.Options) (link.Source, error) {
	single, err := spec.TakeSwitch("single", false)
	if err != nil {
		return nil, err
	}
	if err := spec.Done("single"); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sources == nil {
		p.sources = map[string]*pipeSource{}
	}
	if p.sources[spec.Addr] != nil {
		return nil, fmt.Errorf("pipe %q is open already", spec.Addr)
	}
	s := &pipeSource{pipes: p, name: spec.Addr, single: single, links: make(chan *pipeLink), done: make(chan struct{})}
	p.sources[s.name] = s
	return s, nil
}

// Plug plugs a Station in where Spec pipe:NAME was opened. It returns when the
// switch has taken the other end.
func (p *Pipes) Plug(t testing.TB, name string) *Station {
	t.Helper()
	p.mu.Lock()
	src := p.sources[name]
	p.mu.Unlock()
	if src == nil {
		t.Fatalf("plug in: no pipe %q is open", name)
	}
	l, s := newPipe(t)
	l.name = name
	select {
	case src.links <- l:
	case <-src.done:
		t.Fatalf("plug in: pipe %q was closed", name)
	case <-time.After(Patience):
		t.Fatalf("plug in: pipe %q accepts nobody", name)
	}
	return s
}

// pipeSource implements link.Source.
type pipeSource struct {
	pipes  *Pipes
	name   string
	single bool
	links  chan *pipeLink
	done   chan struct{}
}

// Accept implements link.Source.
func (s *pipeSource) Accept(ctx context.Context) (link.Link, error) {
	select {
	case l := <-s.links:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.done:
		return nil, fmt.Errorf("accept on %v: %w", s, os.ErrClosed)
	}
}

// Listening implements link.Source.
func (s *pipeSource) Listening() bool { return !s.single }

// String implements link.Source.
func (s *pipeSource) String() string { return "pipe:" + s.name }

// Close implements link.Source.
func (s *pipeSource) Close() error {
	s.pipes.mu.Lock()
	defer s.pipes.mu.Unlock()
	delete(s.pipes.sources, s.name)
	close(s.done)
	return nil
}

// Pipe makes a Link and the Station on its other end.
func Pipe(t testing.TB) (link.Link, *Station) {
	t.Helper()
	l, s := newPipe(t)
	return l, s
}

func newPipe(t testing.TB) (*pipeLink, *Station) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatalf("make pipe: %v", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatalf("make pipe: %v", err)
		}
	}
	return &pipeLink{fd: fds[0]}, NewStation(t, pipeWire{os.NewFile(uintptr(fds[1]), "pipe")})
}

// pipeLink is one end of a socket pair.
type pipeLink struct {
	fd    int
	name  string
	stage []byte // owned by the writer
}

var (
	_ link.Link   = (*pipeLink)(nil)
	_ link.Peered = (*pipeLink)(nil)
)

// FD implements link.Link.
func (l *pipeLink) FD() int { return l.fd }

// Peer implements link.Peered.
func (l *pipeLink) Peer() link.Peer {
	return link.Peer{PID: os.Getpid(), UID: os.Getuid(), Addr: "pipe:" + l.name}
}

// Close implements link.Link.
func (l *pipeLink) Close() error { return unix.Close(l.fd) }

// pipeReads is how many frames one ReadBatch takes at most: few, so that the
// switch must mind More.
const pipeReads = 16

// ReadBatch implements link.Link.
func (l *pipeLink) ReadBatch(b *frame.Batch) error {
	for off, left := 0, pipeReads; left > 0 && len(b.Buf)-off > frame.MaxLen; left-- {
		n, _, err := unix.Recvfrom(l.fd, b.Buf[off:], unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read: %w", err)
		case n == 0:
			return io.EOF
		case n > frame.MaxLen:
			return fmt.Errorf("read: frame of more than %d bytes", frame.MaxLen)
		case n < frame.HeaderLen:
			b.Runts++
		default:
			b.Refs = append(b.Refs, frame.Ref{Off: uint32(off), Len: uint32(n)})
		}
		off += n
	}
	b.More = true
	return nil
}

// WriteBatch implements link.Link.
func (l *pipeLink) WriteBatch(b *frame.Batch) (int, error) {
	for i, r := range b.Refs {
		msg := []byte(b.Frame(r))
		if r.Edit != 0 {
			l.stage = r.Edit.Append(l.stage[:0], b.Frame(r))
			msg = l.stage
		}
		err := error(unix.EINTR)
		for errors.Is(err, unix.EINTR) {
			_, err = unix.SendmsgN(l.fd, msg, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		switch {
		case err == nil, errors.Is(err, unix.EMSGSIZE): // what cannot be carried is refused, whole
		case errors.Is(err, unix.EAGAIN):
			return i, link.ErrFull
		default:
			return i, fmt.Errorf("write: %w", err)
		}
	}
	return len(b.Refs), nil
}

// pipeWire is the other end.
type pipeWire struct{ *os.File }

// Send implements Wire.
func (w pipeWire) Send(f []byte) error {
	_, err := w.Write(f)
	return err
}

// Recv implements Wire.
func (w pipeWire) Recv(buf []byte) (int, error) { return w.Read(buf) }

// Poll looks for a frame without waiting.
func (w pipeWire) Poll(buf []byte) (n int, ok bool, err error) {
	if err := w.SetDeadline(time.Time{}); err != nil {
		return 0, false, err
	}
	raw, err := w.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var readErr error
	err = raw.Read(func(fd uintptr) bool {
		n, readErr = unix.Read(int(fd), buf)
		return true
	})
	switch {
	case errors.Is(readErr, unix.EAGAIN):
		return 0, false, err
	case readErr == nil && n == 0:
		readErr = io.EOF
	}
	return max(n, 0), readErr == nil, errors.Join(err, readErr)
}
