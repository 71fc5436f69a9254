package plug

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is a non-blocking socket. Its calls return notNow where they would have
// to wait. They are made without telling the scheduler, since they never do.
type socket struct{ fd int }

func (s *socket) recv(p []byte) (int, error) {
	return call(unix.SYS_RECVFROM, s.fd, unsafe.Pointer(unsafe.SliceData(p)), len(p), unix.MSG_DONTWAIT)
}

func (s *socket) send(p []byte) (int, error) {
	return call(unix.SYS_SENDTO, s.fd, unsafe.Pointer(unsafe.SliceData(p)), len(p), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

func (s *socket) sendmsg(m *unix.Msghdr) (int, error) {
	return call(unix.SYS_SENDMSG, s.fd, unsafe.Pointer(m), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0)
}

func (s *socket) close() error { return unix.Close(s.fd) }

// call makes a system call on a socket whose second argument is memory, again
// if a signal came in between.
func call(trap uintptr, fd int, p unsafe.Pointer, a, b int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(p), uintptr(a), uintptr(b), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return notNow, nil
		default:
			return 0, errno
		}
	}
}
