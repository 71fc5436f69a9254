package vswitch

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// poller waits for many descriptors at once. It reports that a descriptor is
// readable once for each arrival (edge-triggered): who gets the news reads all,
// or remembers to read on. That it is writable is reported once for each time
// that was asked for. So waiting for one takes no system call beside the waiting,
// and waiting for the other takes one.
//
// All methods but wait may be called from any goroutine.
type poller struct {
	epfd   int
	wakefd int
	events [64]unix.EpollEvent

	// Being put to sleep and woken takes as long as a dozen frames. While news
	// comes in shorter intervals than spin, the thread looks for it again and
	// again instead. One interval that is longer ends that, and one short one
	// starts it again; so a quiet poller sleeps.
	spin     time.Duration
	spinning bool
}

// ready is one descriptor's news.
type ready struct {
	token    uint64
	readable bool
	ended    bool // the other side has left, or there is an error: reading tells
	urgent   bool // there is out-of-band data
	writable bool
}

// Tokens from the kernel: the caller's, shifted left, with a bit set in those of
// descriptors that are watched for writing and of control connections.
const (
	writeToken   = 1
	controlToken = 2
	tokenShift   = 2
)

func newPoller(spin time.Duration) (*poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	p := &poller{epfd: epfd, wakefd: wakefd, spin: spin}
	if err := p.ctl(unix.EPOLL_CTL_ADD, wakefd, 0, unix.EPOLLIN|unix.EPOLLET); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// ctl changes what is waited for on fd.
func (p *poller) ctl(op, fd int, token uint64, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(token), Pad: int32(token >> 32)}
	if err := unix.EpollCtl(p.epfd, op, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl descriptor %d: %w", fd, err)
	}
	return nil
}

// add reports from now on when fd has become readable. The token comes back in
// ready; it is not 0.
func (p *poller) add(fd int, token uint64) error {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, token<<tokenShift, unix.EPOLLIN|unix.EPOLLPRI|unix.EPOLLRDHUP|unix.EPOLLET)
}

// addControl reports the end of token's link from now on when there is any news
// of fd. Closing fd ends that.
func (p *poller) addControl(fd int, token uint64) error {
	return p.ctl(unix.EPOLL_CTL_ADD, fd, token<<tokenShift|controlToken, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET)
}

// remove ends that.
func (p *poller) remove(fd int) error {
	return p.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

// writeWatch is a second descriptor of a socket, by which one can be told that
// it is writable, and not touch how one is told that it is readable. The zero
// value has none yet. Of a Gated link it is one of its own for that.
type writeWatch struct{ fd int }

// arm reports once when WriteBatch can go on. A token belongs to one writeWatch.
func (w *writeWatch) arm(p *poller, l link.Link, token uint64) error {
	fd, events := l.FD(), uint32(unix.EPOLLOUT)
	if g, ok := l.(link.Gated); ok {
		fd, events = g.WriteFD(), unix.EPOLLIN
	}
	op := unix.EPOLL_CTL_MOD
	if w.fd == 0 {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("duplicate descriptor %d: %w", fd, err)
		}
		w.fd, op = dup, unix.EPOLL_CTL_ADD
	}
	return p.ctl(op, w.fd, token<<tokenShift|writeToken, events|unix.EPOLLONESHOT)
}

func (w *writeWatch) close(p *poller) {
	if w.fd != 0 {
		_ = p.remove(w.fd) // the kernel would keep it while fd is open
		unix.Close(w.fd)
		w.fd = 0
	}
}

// wake makes wait return.
func (p *poller) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(p.wakefd, one[:]) // fails only when it is due to wake anyway
}

// wait appends to list what has news. It waits until something has, or for
// limit if that is not negative. woken tells that wake was called.
//
// It looks without waiting first, in a system call that the scheduler does not
// hear of: under load that is all it takes. Then it spins, if news has come fast.
func (p *poller) wait(list []ready, limit time.Duration) (_ []ready, woken bool, err error) {
	n, errno := p.look()
	if n > 0 && limit != 0 {
		p.spinning = p.spin > 0
	}
	if n == 0 && errno == 0 && limit != 0 {
		n, err = p.await(limit)
		if err != nil {
			return list, false, fmt.Errorf("epoll_wait: %w", err)
		}
	}
	for i := range p.events[:n] {
		ev := &p.events[i]
		token := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
		switch {
		case token == 0:
			var b [8]byte
			_, _ = unix.Read(p.wakefd, b[:])
			woken = true
		case token&writeToken != 0:
			list = append(list, ready{token: token >> tokenShift, writable: true})
		case token&controlToken != 0:
			list = append(list, ready{token: token >> tokenShift, readable: true, ended: true})
		default:
			const end = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
			list = append(list, ready{
				token: token >> tokenShift, readable: true,
				ended: ev.Events&end != 0, urgent: ev.Events&unix.EPOLLPRI != 0,
			})
		}
	}
	return list, woken, nil
}

// look asks the kernel for news without waiting.
func (p *poller) look() (n int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd),
		uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// yield lets others go first that have work on this CPU.
func (p *poller) yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// await spins if that is worth it, and then sleeps.
func (p *poller) await(limit time.Duration) (int, error) {
	start := time.Now()
	for p.spinning && time.Since(start) < p.spin {
		p.yield()
		if n, errno := p.look(); n > 0 || errno != 0 {
			return n, nil
		}
	}
	msec := -1
	if limit >= 0 {
		msec = int(limit / time.Millisecond)
	}
	n, err := 0, error(nil)
	if limit > 0 && limit%time.Millisecond != 0 {
		n, err = p.waitFine(limit)
	} else {
		n, err = unix.EpollWait(p.epfd, p.events[:], msec)
	}
	p.spinning = time.Since(start) < p.spin
	if errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return n, err
}

// waitFine waits for a time that is not whole milliseconds, to about 100 us.
// Before Linux 5.11 it waits until the next whole one.
func (p *poller) waitFine(limit time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(limit))
	r, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epfd),
		uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	switch errno {
	case 0:
		return int(r), nil
	case unix.ENOSYS:
		return unix.EpollWait(p.epfd, p.events[:], int((limit+time.Millisecond-1)/time.Millisecond))
	}
	return 0, errno
}

func (p *poller) close() {
	unix.Close(p.wakefd)
	unix.Close(p.epfd)
}
