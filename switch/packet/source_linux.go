package packet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// source yields one Link after another on one interface.
type source struct {
	want   wanted
	opt    link.Options
	news   *os.File                   // netlink's, of all interfaces
	change chan struct{}              // holds a token when something has changed
	ended  chan struct{}              // closed when nobody listens for news any more
	netns  uint64                     // inode of the namespace in which it was opened
	cable  atomic.Pointer[link.Cable] // where it leads; nil: to be found out

	mu   sync.Mutex
	live *packetLink // guarded by mu; nil: none
}

func open(w wanted, opt link.Options) (link.Source, error) {
	s := &source{want: w, opt: opt, change: make(chan struct{}, 1), ended: make(chan struct{}), netns: netnsInode()}
	// What cannot be cured by waiting is said at once.
	l, err := s.open()
	if err == nil {
		err = l.Close()
	} else if errors.Is(err, errWait) {
		err = nil
	}
	if err == nil {
		s.news, err = listen()
	}
	if err != nil {
		return nil, fmt.Errorf("packet %s: %w", w.name, err)
	}
	go s.follow()
	return s, nil
}

// errWait is in errors that time may cure.
var errWait = errors.New("waiting for it")

// listen opens a netlink socket that is told of interfaces (rtnetlink(7)).
func listen() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("netlink: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// follow looks at the interface whenever there is news of any.
func (s *source) follow() {
	defer close(s.ended)
	buf := make([]byte, 64<<10)
	for {
		_, err := s.news.Read(buf)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return // closed
		}
		s.cable.Store(nil)
		s.look()
		select {
		case s.change <- struct{}{}:
		default:
		}
	}
}

// look tells those who must know what has become of the live Link's interface.
func (s *source) look() {
	s.mu.Lock()
	l := s.live
	s.mu.Unlock()
	if l == nil {
		return
	}
	now, err := s.interfaceNow(l.index)
	var lost error
	switch {
	case err != nil:
		lost = fmt.Errorf("packet %s: the interface is gone", s.want.name)
	case !now.up:
		lost = fmt.Errorf("packet %s: the interface is down: ip link set %s up", now.name, now.name)
	case int64(now.mtu) != l.mtu.Swap(int64(now.mtu)) || now.name != s.want.name:
		remark := ""
		if now.name != s.want.name {
			remark = fmt.Sprintf("interface %s is called %s now", s.want.name, now.name)
		}
		if s.opt.Changed != nil {
			s.opt.Changed(l, remark)
		}
	}
	if lost == nil {
		return
	}
	l.failed.Store(&lost)
	s.forget(l)
	if s.opt.Lost != nil {
		s.opt.Lost(l, lost)
	}
}

// seen is what an interface is like.
type seen struct {
	name string
	up   bool
	mtu  int
}

// interfaceNow looks an interface up where the Source was opened: in the network
// namespace of its socket, whatever thread asks.
func (s *source) interfaceNow(index int) (seen, error) {
	req, err := unix.NewIfreq("")
	if err != nil {
		return seen{}, err
	}
	raw, err := s.news.SyscallConn()
	if err != nil {
		return seen{}, err
	}
	var now seen
	var ioErr error
	err = raw.Control(func(fd uintptr) {
		ask := func(what uint) {
			if ioErr == nil {
				ioErr = unix.IoctlIfreq(int(fd), what, req)
			}
		}
		req.SetUint32(uint32(index))
		ask(unix.SIOCGIFNAME)
		now.name = req.Name()
		ask(unix.SIOCGIFFLAGS)
		now.up = req.Uint16()&unix.IFF_UP != 0
		ask(unix.SIOCGIFMTU)
		now.mtu = int(req.Uint32())
	})
	return now, errors.Join(err, ioErr)
}

func (s *source) forget(l *packetLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == l {
		s.live = nil
	}
}

// Accept implements link.Source.
func (s *source) Accept(ctx context.Context) (link.Link, error) {
	for {
		l, err := s.open()
		if err == nil {
			s.mu.Lock()
			s.live = l
			s.mu.Unlock()
			return l, nil
		}
		if s.opt.Retrying != nil {
			s.opt.Retrying(fmt.Errorf("packet %s: %w", s.want.name, err))
		}
		late := time.NewTimer(5 * time.Second)
		select {
		case <-s.change:
		case <-late.C:
		case <-ctx.Done():
			late.Stop()
			return nil, ctx.Err()
		case <-s.ended:
			late.Stop()
			return nil, errClosed
		}
		late.Stop()
	}
}

var errClosed = errors.New("the port was removed")

// open makes a Link, if the interface is as it must be.
func (s *source) open() (*packetLink, error) {
	ifc, err := net.InterfaceByName(s.want.name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: there is no such interface (ip link lists those there are)", errWait)
	case ifc.Flags&net.FlagUp == 0:
		return nil, fmt.Errorf("%w: the interface is down: ip link set %s up", errWait, ifc.Name)
	case ifc.Flags&net.FlagLoopback != 0 || len(ifc.HardwareAddr) != 6:
		return nil, errors.New("it is no Ethernet interface: choose another")
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("packet socket: %w (that takes root, or: setcap cap_net_raw+ep on the program)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	sock := &socket{fd: fd}
	if err := sock.tune(ifc.Index, s.want); err != nil {
		sock.close()
		return nil, err
	}
	return newLink(sock, ifc, s), nil
}

// socket is a packet socket, until it is a Link's.
type socket struct {
	fd     int
	ring   *rxRing // nil: it has none
	tx     *txRing // nil: there is none
	remark string  // why not, if they were asked for
}

func (s *socket) close() {
	_ = s.ring.close()
	_ = s.tx.close()
	unix.Close(s.fd)
}

// receiveBuffer is what may wait to be read, in bytes: a burst must find room
// while the switch is elsewhere. The kernel counts a short frame as about 800.
const receiveBuffer = 8 << 20

// tune makes a packet socket what a Link needs.
func (s *socket) tune(index int, want wanted) error {
	fd := s.fd
	set := func(level, opt, value int) error { return unix.SetsockoptInt(fd, level, opt, value) }
	if err := set(unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return fmt.Errorf("packet socket: this kernel has no PACKET_VNET_HDR: %w", err)
	}
	if err := set(unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fmt.Errorf("packet socket: this kernel shows us what we send; Linux 4.20 can do without: %w", err)
	}
	if err := set(unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	if want.bypass {
		if err := set(unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
			return fmt.Errorf("packet socket: bypass=on: %w", err)
		}
	}
	if set(unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = set(unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // as much as is allowed
	}
	s.openRings(index, want)
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all & 0xffff, Ifindex: index}); err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	promiscuous := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &promiscuous); err != nil {
		return fmt.Errorf("have packet socket receive frames to others: %w", err)
	}
	return nil
}

// openRings gives s rings, if they are wanted, or says why not: it works without.
func (s *socket) openRings(index int, want wanted) {
	if want.slots == 0 {
		return
	}
	var err error
	if s.ring, err = openRing(s.fd, want.slots); err != nil {
		s.remark = fmt.Sprintf("without rings: %v", err)
	} else if s.tx, err = openTxRing(index, want.bypass); err != nil {
		s.remark = fmt.Sprintf("without a ring to send: %v", err)
	}
}

// Listening implements link.Source.
func (s *source) Listening() bool { return false }

// String implements link.Source.
func (s *source) String() string { return "packet:" + s.want.name }

// Close implements link.Source.
func (s *source) Close() error {
	err := s.news.Close()
	<-s.ended
	return err
}
