//go:build linux

package main

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dgramLink carries one frame per datagram (VDE, AF_PACKET), many per call with sendmmsg and recvmmsg.
type dgramLink struct {
	fd   int
	keep int // the control connection of a VDE plug, open as long as the link; -1: none

	flags uintptr
	rx    []mmsghdr
	rxBuf []byte

	tx     []mmsghdr
	txIov  []unix.Iovec
	loaded *train // the train that tx points into
}

// mmsghdr is struct mmsghdr, which x/sys does not have.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

const maxDgram = 9234 // what libvdeplug 4 reads into; larger than any frame of the bench

func newDgramLink(fd, rxBatch int) *dgramLink {
	l := &dgramLink{fd: fd, keep: -1, rx: make([]mmsghdr, rxBatch), rxBuf: make([]byte, rxBatch*maxDgram)}
	if rxBatch > 1 {
		l.flags = unix.MSG_WAITFORONE
	}
	iov := make([]unix.Iovec, rxBatch)
	for i := range l.rx {
		iov[i] = unix.Iovec{Base: &l.rxBuf[i*maxDgram], Len: maxDgram}
		l.rx[i].hdr.Iov, l.rx[i].hdr.Iovlen = &iov[i], 1
	}
	return l
}

func (l *dgramLink) descriptor() int { return l.fd }
func (l *dgramLink) setNonblock()    { l.flags = unix.MSG_DONTWAIT }

func (l *dgramLink) send(t *train) error {
	if t.n == 1 {
		return l.sendOne(t.frame(0))
	}
	if l.loaded != t {
		l.load(t)
	}
	for done := 0; done < t.n; {
		n, _, e := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.tx[done])), uintptr(t.n-done), 0, 0, 0)
		if e == unix.EINTR || e == unix.ENOBUFS {
			continue
		}
		if e != 0 {
			return fmt.Errorf("sendmmsg: %w", e)
		}
		done += int(n)
	}
	return nil
}

func (l *dgramLink) sendOne(f []byte) error {
	for {
		_, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(l.fd), uintptr(unsafe.Pointer(&f[0])), uintptr(len(f)))
		if e == 0 {
			return nil
		}
		if e != unix.EINTR && e != unix.ENOBUFS {
			return fmt.Errorf("send: %w", e)
		}
	}
}

func (l *dgramLink) load(t *train) {
	l.tx, l.txIov, l.loaded = make([]mmsghdr, t.n), make([]unix.Iovec, t.n), t
	for i := range l.tx {
		l.txIov[i] = unix.Iovec{Base: &t.frame(i)[0], Len: uint64(t.size)}
		l.tx[i].hdr.Iov, l.tx[i].hdr.Iovlen = &l.txIov[i], 1
	}
}

func (l *dgramLink) recv(s sink) error {
	if len(l.rx) == 1 {
		n, _, e := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(l.fd), uintptr(unsafe.Pointer(&l.rxBuf[0])), maxDgram, l.flags, 0, 0)
		switch {
		case e == unix.EINTR:
		case e != 0:
			return e
		case n > 0:
			s.take(l.rxBuf[:n])
		}
		return nil
	}
	n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.rx[0])), uintptr(len(l.rx)), l.flags, 0, 0)
	if e == unix.EINTR {
		return nil
	}
	if e != 0 {
		return e
	}
	for i := range int(n) {
		s.take(l.rxBuf[i*maxDgram : i*maxDgram+int(l.rx[i].n)])
	}
	return nil
}
