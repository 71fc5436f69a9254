package cable

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// notNow is what reads and writes return where they would have to wait.
const notNow = -1

// descriptor is a descriptor that was given to this process, used without
// waiting. O_NONBLOCK belongs to the open file, which others may use too: a
// shell's terminal, the next command's pipe. So a socket is asked anew in each
// call and a pipe is opened once more. Only where that is not allowed is the
// flag set, and taken back at the end.
type descriptor struct {
	fd     int
	socket bool
	own    bool // opened here
	flags  int  // to take back to; -1: nothing was changed
}

// openDescriptor prepares fd for reading or writing, as access says.
func openDescriptor(fd, access int) (*descriptor, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	d := &descriptor{fd: fd, flags: -1}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		d.socket = true
		return d, nil
	case unix.S_IFREG, unix.S_IFBLK, unix.S_IFDIR: // never wait
		return d, nil
	}
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		return nil, errTerminal
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if flags&unix.O_NONBLOCK != 0 {
		return d, nil
	}
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	if again, err := unix.Open(path, access|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOCTTY, 0); err == nil {
		d.fd, d.own = again, true
		return d, nil
	}
	d.flags = flags
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_NONBLOCK)
	return d, err
}

// errTerminal is why frames do not go to a terminal.
var errTerminal = errors.New("it is a terminal, and frames are not for reading")

func (d *descriptor) read(p []byte) (int, error) {
	return untilDone(func() (n int, err error) {
		if d.socket {
			n, _, err = unix.Recvfrom(d.fd, p, unix.MSG_DONTWAIT)
			return n, err
		}
		return unix.Read(d.fd, p)
	})
}

func (d *descriptor) write(p []byte) (int, error) {
	return untilDone(func() (int, error) {
		if d.socket {
			return unix.SendmsgN(d.fd, p, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		return unix.Write(d.fd, p) // SIGPIPE: the runtime ignores it and leaves EPIPE
	})
}

// untilDone makes a call again if a signal came in between.
func untilDone(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return notNow, nil
		case err != nil:
			return 0, err
		default:
			return n, nil
		}
	}
}

// close leaves the descriptor as it was found.
func (d *descriptor) close() error {
	if d.own {
		return unix.Close(d.fd)
	}
	if d.flags >= 0 {
		_, err := unix.FcntlInt(uintptr(d.fd), unix.F_SETFL, d.flags)
		return err
	}
	return nil
}

// stdio is stdin and stdout as a Link.
func stdio() (*stream, error) {
	s, err := newStream(0, 1)
	if errors.Is(err, errTerminal) {
		return nil, usagef("frames would come from stdin and go to stdout, and %w: name a second switch, or = and a command", errTerminal)
	}
	if err != nil {
		return nil, fmt.Errorf("use stdin and stdout: %w", err)
	}
	return s, nil
}
