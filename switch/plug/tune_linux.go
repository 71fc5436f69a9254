package plug

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// A TCP peer that vanished without a word is given up after deadAfter: the
// first probe goes out after keepIdle of silence and the others, keepCount in
// all, keepEvery apart. Data that waits for an acknowledgement for that long
// ends the connection, too.
const (
	keepIdle  = 10 // seconds
	keepEvery = 5  // seconds
	keepCount = 4
	deadAfter = (keepIdle + keepEvery*keepCount) * 1000 // milliseconds
)

// newStreamLink makes a Link of a connected, non-blocking socket, which it owns
// from then on.
func newStreamLink(fd int) (link.Link, error) {
	l := &streamLink{sock: socket{fd}, peer: peerOfFD(fd)}
	var err error
	if isTCP(fd) {
		err = tuneTCP(fd)
	} else if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer); err == nil && isQEMU(l.peer.PID) {
		l.credit, err = newCredit(&l.sock)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("set socket options: %w", err)
	}
	return l, nil
}

// sendBuffer is what a Unix socket may hold for a receiver, in bytes. The kernel
// doubles it (socket(7)), and by default lets nobody without privilege ask for
// more. With the half of it that sockets have otherwise, bulk traffic fills it
// before the receiver is awake: 15 % less at 1514 bytes. TCP finds its own.
const sendBuffer = 212992

func isTCP(fd int) bool {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	return err == nil && (domain == unix.AF_INET || domain == unix.AF_INET6)
}

func tuneTCP(fd int) error {
	for _, o := range []struct{ level, opt, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepEvery},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepCount},
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, deadAfter},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.opt, o.value); err != nil {
			return fmt.Errorf("set TCP option %d: %w", o.opt, err)
		}
	}
	return nil
}

// peerOfFD asks the kernel who is on the other end.
func peerOfFD(fd int) link.Peer {
	p := link.Peer{UID: -1}
	if cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && cred.Pid != 0 {
		p.PID, p.UID = int(cred.Pid), int(cred.Uid)
		return p
	}
	switch sa, _ := unix.Getpeername(fd); sa := sa.(type) {
	case *unix.SockaddrInet4:
		p.Addr = (&net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}).String()
	case *unix.SockaddrInet6:
		p.Addr = (&net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}).String()
	}
	return p
}

func peerOf(conn net.Conn) link.Peer {
	p := link.Peer{UID: -1}
	if raw, err := conn.(syscall.Conn).SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { p = peerOfFD(int(fd)) })
	}
	return p
}
