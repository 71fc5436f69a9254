//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// linkSpec says how a client plugs in.
type linkSpec struct {
	Kind  string // unix, tcp: the stream door; vde: a VDE directory; packet: AF_PACKET on an interface
	Addr  string
	Netns int `json:",omitempty"` // process whose network namespace holds the interface
}

// sink takes the frames of one receive call. They are valid until the next call.
type sink interface{ take(f []byte) }

// link is one plugged cable. All calls are raw system calls on a blocking descriptor: the process has one thread to run.
type link interface {
	send(t *train) error // returns when the kernel has all of it
	recv(s sink) error   // one receive call; every complete frame goes to s
	descriptor() int
	setNonblock()
}

// bufStream is the receive buffer of a stream receiver: as large as the one in the copy-only limit.
const bufStream = 256 << 10

// open plugs in, waiting up to five seconds for the switch to appear.
func open(l linkSpec, rxBatch, rxBuf int) (link, error) {
	deadline := time.Now().Add(5 * time.Second)
	for {
		got, err := openOnce(l, rxBatch, rxBuf)
		if err == nil || time.Now().After(deadline) {
			return got, err
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func openOnce(l linkSpec, rxBatch, rxBuf int) (link, error) {
	switch l.Kind {
	case "unix", "tcp":
		fd, err := dialStream(l)
		if err != nil {
			return nil, err
		}
		return &streamLink{fd: fd, buf: make([]byte, rxBuf)}, nil
	case "listen": // no switch between: the other client connects to this one
		return listenDirect(l.Addr, rxBuf)
	case "vde":
		return openVDE(l.Addr, rxBatch)
	case "packet":
		return openPacket(l, rxBatch)
	}
	return nil, fmt.Errorf("link kind %q is not known", l.Kind)
}

func streamAddr(l linkSpec) (int, unix.Sockaddr, error) {
	if l.Kind != "tcp" {
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: l.Addr}, nil
	}
	a, err := net.ResolveTCPAddr("tcp4", l.Addr)
	if err != nil {
		return 0, nil, err
	}
	return unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}, nil
}

func dialStream(l linkSpec) (int, error) {
	family, to, err := streamAddr(l)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if l.Kind == "tcp" { // as QEMU does
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err := unix.Connect(fd, to); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect %s: %w", l.Addr, err)
	}
	return fd, nil
}

// streamLink carries u32 big-endian length + frame on a stream socket.
type streamLink struct {
	fd    int
	flags uintptr // MSG_DONTWAIT or none
	buf   []byte
	have  int // bytes at the start of buf that wait for the rest of their frame
}

func (l *streamLink) descriptor() int { return l.fd }
func (l *streamLink) setNonblock()    { l.flags = unix.MSG_DONTWAIT }

func (l *streamLink) send(t *train) error {
	b := t.buf
	if t.n == 1 { // QEMU's way: one sendmsg of two pieces, length and frame
		iov := [2]unix.Iovec{{Base: &b[0], Len: 4}, {Base: &b[4], Len: uint64(t.size)}}
		n, _, e := unix.RawSyscall(unix.SYS_WRITEV, uintptr(l.fd), uintptr(unsafe.Pointer(&iov)), 2)
		if e != 0 && e != unix.EINTR {
			return fmt.Errorf("writev: %w", e)
		}
		if e == 0 {
			b = b[n:]
		}
	}
	for len(b) > 0 {
		n, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(l.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return fmt.Errorf("write: %w", e)
		}
		b = b[n:]
	}
	return nil
}

func (l *streamLink) recv(s sink) error {
	n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(l.fd), uintptr(unsafe.Pointer(&l.buf[l.have])),
		uintptr(len(l.buf)-l.have), l.flags, 0, 0)
	if e == unix.EINTR {
		return nil
	}
	if e != 0 {
		return e
	}
	if n == 0 {
		return errHungUp
	}
	rest := l.buf[:l.have+int(n)]
	for len(rest) >= 4 {
		size := int(binary.BigEndian.Uint32(rest))
		if size == 0 || size > len(l.buf)-4 {
			return fmt.Errorf("the stream is out of step: length %d", size)
		}
		if len(rest) < 4+size {
			break
		}
		s.take(rest[4 : 4+size : 4+size])
		rest = rest[4+size:]
	}
	l.have = copy(l.buf, rest)
	return nil
}

var errHungUp = fmt.Errorf("the switch closed the connection")
