package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// keepAddress is a loopback address that nobody else has a use for.
var keepAddress = [4]byte{127, 0, 100, 22}

// reservePort keeps other vmruns from a port until it is closed, or until we have
// ended. Whoever has bound the port of that number at another loopback address has it:
// it belongs to the network namespace and to all users, and leaves no file behind.
// Nobody listens there, so that QEMU, which may use addresses again (SO_REUSEADDR,
// socket(7)), gets the port of this host.
func reservePort(port int) (io.Closer, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return notKept{}, nil // we do without
	}
	mine := os.NewFile(uintptr(fd), "port")
	err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: keepAddress})
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) // not before: two vmruns would share it
	}
	if err != nil {
		_ = mine.Close()
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, err
		}
		return notKept{}, nil
	}
	return mine, nil
}
