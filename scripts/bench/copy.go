//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The copy-only limit: clients are joined in pairs in the order in which they connect, and bytes are copied between the
// two with read and write on one 256 KiB buffer. It knows no frames, so a switch on the same sockets cannot be much faster
// except by better buffers. One thread per direction, blocking calls, default socket buffers.

const copyBuffer = 256 << 10

// runCopy listens on "unix:PATH" or "tcp:ADDR:PORT" and never returns without an error.
func runCopy(where string) error {
	runtime.GOMAXPROCS(64) // every direction holds on to its thread, in the kernel or out of it
	kind, addr, _ := strings.Cut(where, ":")
	fd, err := listenStream(linkSpec{Kind: kind, Addr: addr})
	if err != nil {
		return err
	}
	for {
		a, err := accept(fd)
		if err != nil {
			return err
		}
		b, err := accept(fd)
		if err != nil {
			return err
		}
		go pump(a, b)
		go pump(b, a)
	}
}

func accept(fd int) (int, error) {
	c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("accept: %w", err)
	}
	unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // fails on a unix socket, which has no delay
	return c, nil
}

func pump(from, to int) {
	runtime.LockOSThread()
	buf := make([]byte, copyBuffer)
	base := uintptr(unsafe.Pointer(&buf[0]))
	for {
		n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(from), base, copyBuffer)
		if e == unix.EINTR {
			continue
		}
		if e != 0 || n == 0 {
			break
		}
		for done := uintptr(0); done < n; {
			w, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(to), base+done, n-done)
			if e != 0 && e != unix.EINTR {
				fmt.Fprintln(os.Stderr, "copy: write:", e)
				return
			}
			if e == 0 {
				done += w
			}
		}
	}
	runtime.KeepAlive(buf)
	unix.Shutdown(to, unix.SHUT_WR)
}

func listenStream(l linkSpec) (int, error) {
	family, to, err := streamAddr(l)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, to); err != nil {
		return -1, fmt.Errorf("bind %s: %w", l.Addr, err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		return -1, fmt.Errorf("listen %s: %w", l.Addr, err)
	}
	return fd, nil
}
