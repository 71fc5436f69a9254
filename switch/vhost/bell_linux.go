package vhost

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bell is a descriptor that stays the same while what makes it readable comes and
// goes: an epoll instance, that waits for the guest's eventfds and for one of our
// own. The switch polls it as it polls a socket.
//
// Nobody reads those eventfds. Each kick is news to epoll however often there was
// one before, so that a switch that polls the bell edge-triggered misses none and
// spends no system call on it.
type bell struct {
	fd   int
	mine int
}

func newBell() (*bell, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	b := &bell{fd: fd}
	if b.mine, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	if err := b.hear(b.mine); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// hear makes b readable when fd is.
func (b *bell) hear(fd int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
	if err := unix.EpollCtl(b.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("wait for eventfd: %w", err)
	}
	return nil
}

func (b *bell) forget(fd int) {
	_ = unix.EpollCtl(b.fd, unix.EPOLL_CTL_DEL, fd, &unix.EpollEvent{})
}

// ring makes b readable.
func (b *bell) ring() { signal(b.mine) }

// still makes b unreadable until something new comes.
func (b *bell) still() {
	var events [4]unix.EpollEvent
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(b.fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		if errno != 0 || int(n) < len(events) {
			return
		}
	}
}

func (b *bell) close() error { return errors.Join(unix.Close(b.mine), unix.Close(b.fd)) }

var one = [8]byte{1}

// signal adds one to an eventfd. If that is full it is signalled already.
func signal(fd int) {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one[0])), uintptr(len(one)))
}

// checkEventfd refuses whatever is not an eventfd: writing to anything else could
// wait, or do something.
//
// One hole stays: the mode of a descriptor is shared with who sent it. A front end
// that fills its eventfd and then takes O_NONBLOCK off again makes who signals it
// wait, and that is a worker. Linux has no write that cannot wait for this.
func checkEventfd(fd int) error {
	target, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return fmt.Errorf("what is the descriptor: %w", err)
	}
	if target != "anon_inode:[eventfd]" {
		return fmt.Errorf("the descriptor is %s, not an eventfd", target)
	}
	return unix.SetNonblock(fd, true)
}
