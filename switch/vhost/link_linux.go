package vhost

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Link is one guest's network card. See the package comment for who may touch what.
type Link struct {
	// Static.
	opt  options
	conn *net.UnixConn
	peer link.Peer
	news *bell // readable: ReadBatch has something to say
	room *bell // readable: WriteBatch can go on
	done chan struct{}

	// rmu is held by ReadBatch and wmu by WriteBatch. The session holds both,
	// in this order, when it changes what follows.
	rmu, wmu sync.Mutex
	mem      *memory
	log      *dirtyLog
	logBase  *dirtyLog // what log is while the front end wants it
	features uint64
	rings    []*ring
	sends    []*ring          // running rings that the guest sends by
	receives []*ring          // running and enabled rings that the guest receives by
	headLen  uint32           // of the virtio-net header before each frame
	leaves   frame.OffloadSet // work that the guest may leave to others
	retake   bool             // takes is news to the switch

	takes atomic.Uint32 // frame.OffloadSet: work that may be left to the guest

	// Owned by the reader.
	turn int // which ring is looked at first

	// Owned by the writer.
	parcel parcel
	wrote  int // frames of the present batch

	notices atomic.Pointer[[]byte] // a frame to be sent in the guest's name
	end     atomic.Pointer[error]  // why the session is over; nil: it is not
}

var (
	_ link.Link      = (*Link)(nil)
	_ link.Peered    = (*Link)(nil)
	_ link.Gated     = (*Link)(nil)
	_ link.Offloader = (*Link)(nil)
	_ link.Borrower  = (*Link)(nil)
	_ link.Polled    = (*Link)(nil)
	_ link.Patient   = (*Link)(nil)
	_ frame.Lender   = (*Link)(nil)
)

// newLink serves the front end on conn, which is the Link's from then on.
func newLink(conn *net.UnixConn, opt options) (*Link, error) {
	news, err := newBell()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	room, err := newBell()
	if err != nil {
		return nil, errors.Join(err, news.close(), conn.Close())
	}
	l := &Link{
		opt: opt, conn: conn, peer: peerOf(conn), news: news, room: room,
		done: make(chan struct{}), mem: &memory{}, headLen: shortHead,
	}
	for i := range 2 * opt.queues {
		l.rings = append(l.rings, newRing(i))
	}
	s := &session{l: l}
	go s.run()
	return l, nil
}

// FD implements link.Link.
func (l *Link) FD() int { return l.news.fd }

// WriteFD implements link.Gated.
func (l *Link) WriteFD() int { return l.room.fd }

// Takes implements link.Offloader.
func (l *Link) Takes() frame.OffloadSet { return frame.OffloadSet(l.takes.Load()) }

// Polled implements link.Polled.
func (l *Link) Polled() bool { return l.opt.polled }

// Patience implements link.Patient.
func (l *Link) Patience() time.Duration { return l.opt.hold }

// Peer implements link.Peered.
func (l *Link) Peer() link.Peer { return l.peer }

// Close implements link.Link. The guest sees its cable pulled.
func (l *Link) Close() error {
	err := l.conn.Close()
	<-l.done
	for _, r := range l.rings {
		r.stop()
		l.hangUp(r)
	}
	l.mem.release(&memory{})
	l.logBase.close()
	return errors.Join(err, l.news.close(), l.room.close())
}

// hangUp closes a ring's descriptors.
func (l *Link) hangUp(r *ring) {
	l.setKick(r, -1)
	setFD(&r.call, -1)
}

// setKick makes fd what the guest kicks.
func (l *Link) setKick(r *ring, fd int) {
	if r.kick >= 0 {
		l.bellOf(r).forget(r.kick)
	}
	setFD(&r.kick, fd)
}

func (l *Link) bellOf(r *ring) *bell {
	if r.receive() {
		return l.room
	}
	return l.news
}

func setFD(to *int, fd int) {
	if *to >= 0 {
		unix.Close(*to)
	}
	*to = fd
}

// finish notes why the session is over. The reader then hears of it.
func (l *Link) finish(err error) {
	l.end.CompareAndSwap(nil, &err)
	l.news.ring()
	l.room.ring()
}

// hasLeft asks the socket itself whether the front end is gone: the session may
// not have noticed yet.
func (l *Link) hasLeft() bool {
	raw, err := l.conn.SyscallConn()
	if err != nil {
		return true
	}
	left := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		left = n == 0 && err == nil || errors.Is(err, unix.ECONNRESET)
	})
	return left || err != nil
}

// guard makes a fault in the guest's memory, which the guest can take away at
// any time, an error instead of the end of the process. It is deferred, with
// what debug.SetPanicOnFault(true) returned.
func (l *Link) guard(before bool, err *error) {
	debug.SetPanicOnFault(before)
	switch at, fault := l.faulted(recover()); {
	case fault == nil:
	case l.contains(at):
		*err = l.cut(fault)
	default:
		panic(fault)
	}
}

// faulted is the address and the error in what recover has returned, if that is a
// fault. Any other panic goes on.
func (l *Link) faulted(r any) (at uintptr, fault error) {
	switch f := r.(type) {
	case nil:
		return 0, nil
	case interface {
		error
		Addr() uintptr
	}:
		return f.Addr(), f
	}
	panic(r)
}

// contains tells whether an address is in memory that the front end shares.
func (l *Link) contains(addr uintptr) bool { return l.mem.contains(addr) || l.log.contains(addr) }

// cut ends the Link because of a fault in its memory.
func (l *Link) cut(fault error) error {
	err := fmt.Errorf("the guest's memory is gone (its file was cut, or there is no memory left for it): %w", fault)
	l.finish(err)
	return err
}

// ended is why the Link is of no more use, or nil.
func (l *Link) ended() error {
	if p := l.end.Load(); p != nil {
		return *p
	}
	return nil
}

// peerOf asks the kernel who is on the other end.
func peerOf(conn *net.UnixConn) link.Peer {
	p := link.Peer{UID: -1}
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
			if err == nil && cred.Pid != 0 {
				p.PID, p.UID = int(cred.Pid), int(cred.Uid)
			}
		})
	}
	return p
}
