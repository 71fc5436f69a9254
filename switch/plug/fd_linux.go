package plug

import (
	"context"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// fdSource yields the one link that a descriptor is.
type fdSource struct {
	fd   int
	link atomic.Pointer[link.Link]
}

// adopt takes a descriptor that was inherited. Those are the ones that were not
// to be closed by exec(2): all that the program itself opens are, so that nobody
// can ask for one of them by its number.
func adopt(fd int) (link.Source, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	switch {
	case err != nil:
		return nil, fmt.Errorf("descriptor %d: the switch was started without it", fd)
	case flags&unix.FD_CLOEXEC != 0:
		return nil, fmt.Errorf("descriptor %d: it is the switch's own, or in use by another port", fd)
	}
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is not a socket: %w", fd, err)
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return nil, fmt.Errorf("descriptor %d is not connected to anybody: %w", fd, err)
	}
	var l link.Link
	switch typ {
	case unix.SOCK_STREAM:
		unix.CloseOnExec(fd)
		if l, err = newStreamLink(fd); err != nil {
			return nil, err
		}
	case unix.SOCK_DGRAM:
		unix.CloseOnExec(fd)
		l = &soloLink{newDgramLink(fd, -1, peerOfFD(fd))}
	default:
		return nil, fmt.Errorf("descriptor %d is a socket of another kind: want a stream or datagrams (QEMU passes no frames by others)", fd)
	}
	s := &fdSource{fd: fd}
	s.link.Store(&l)
	return s, nil
}

// soloLink is a dgramLink without a control connection. That its peer has ended
// shows when it is written to.
type soloLink struct{ in *dgramLink }

var _ link.Peered = (*soloLink)(nil)

// FD implements link.Link.
func (l *soloLink) FD() int { return l.in.FD() }

// Peer implements link.Peered.
func (l *soloLink) Peer() link.Peer { return l.in.Peer() }

// ReadBatch implements link.Link.
func (l *soloLink) ReadBatch(b *frame.Batch) error { return l.in.ReadBatch(b) }

// WriteBatch implements link.Link.
func (l *soloLink) WriteBatch(b *frame.Batch) (int, error) { return l.in.WriteBatch(b) }

// Close implements link.Link.
func (l *soloLink) Close() error { return l.in.Close() }

// Accept implements link.Source.
func (s *fdSource) Accept(context.Context) (link.Link, error) {
	if l := s.link.Swap(nil); l != nil {
		return *l, nil
	}
	return nil, fmt.Errorf("descriptor %d has ended, and nobody can come again by it", s.fd)
}

// Listening implements link.Source.
func (s *fdSource) Listening() bool { return false }

// String implements link.Source.
func (s *fdSource) String() string { return fmt.Sprintf("fd:%d", s.fd) }

// Close implements link.Source.
func (s *fdSource) Close() error {
	if l := s.link.Swap(nil); l != nil {
		return (*l).Close()
	}
	return nil
}
