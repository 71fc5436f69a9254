package plug

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// netLink carries frames in datagrams over IP. There is nobody on the other end
// whose leaving could be noticed: what the network does not take is lost, as on a
// cable, and counted.
//
// Its sockets are not connected, since then the kernel would report each ICMP
// message as the socket's failure. That only the other side is listened to is
// what a filter in the kernel sees to (filter_linux.go).
type netLink struct {
	in      *dgramLink // owned by the reader; its socket receives
	out     socket     // sends; the same one, or a group's own
	ready   int        // epoll that tells when out is writable, if that is another; else -1
	to      unix.RawSockaddrAny
	toLen   uint32 // 0: out is connected
	tunnel  *l2tp
	longest int
	peer    link.Peer
}

// groupLink is a netLink with a socket of its own for sending.
type groupLink struct{ *netLink }

// tunnelLink is a netLink whose far end cuts long frames off.
type tunnelLink struct{ *netLink }

var (
	_ link.Peered = (*netLink)(nil)
	_ link.Gated  = groupLink{}
	_ link.Sized  = tunnelLink{}
)

// FD implements link.Link.
func (l *netLink) FD() int { return l.in.FD() }

// Peer implements link.Peered.
func (l *netLink) Peer() link.Peer { return l.peer }

// WriteFD implements link.Gated.
func (l groupLink) WriteFD() int { return l.ready }

// MTU implements link.Sized. The longest frame may have two tags.
func (l tunnelLink) MTU() int { return l.longest - frame.HeaderLen - 2*frame.TagLen }

// Close implements link.Link.
func (l *netLink) Close() error {
	err := l.in.Close()
	if l.ready >= 0 {
		err = errors.Join(err, unix.Close(l.ready), l.out.close())
	}
	return err
}

// ReadBatch implements link.Link.
func (l *netLink) ReadBatch(b *frame.Batch) error {
	from := len(b.Refs)
	if err := l.in.ReadBatch(b); err != nil || l.tunnel == nil {
		return err
	}
	kept := b.Refs[:from]
	for _, r := range b.Refs[from:] {
		n, ok := l.tunnel.strip(b.Frame(r))
		switch {
		case !ok:
		case int(r.Len)-n < frame.HeaderLen:
			b.Runts++
		default:
			kept = append(kept, frame.Ref{Off: r.Off + uint32(n), Len: r.Len - uint32(n)})
		}
	}
	b.Refs = kept
	return nil
}

// WriteBatch implements link.Link.
func (l *netLink) WriteBatch(b *frame.Batch) (int, error) {
	o := outlets.Get().(*outlet)
	done, err := 0, error(nil)
	for done < len(b.Refs) && err == nil {
		k := l.fill(o, b, done)
		n, e := 0, error(unix.EMSGSIZE)
		if k > 0 {
			n, e = o.send(&l.out, k)
		}
		done += n
		switch {
		case e != nil: // the first of those that are left has no way out
			b.Refused++
			b.RefusedBytes += b.Refs[done].Edit.Len(int(b.Refs[done].Len))
			done++
		case n == 0:
			err = link.ErrFull
		}
	}
	o.forgetNames()
	outlets.Put(o)
	return done, err
}

// fill makes datagrams of frames, up to one that is too long.
func (l *netLink) fill(o *outlet, b *frame.Batch, from int) (k int) {
	for _, r := range b.Refs[from:min(len(b.Refs), from+maxMsgs)] {
		if r.Edit.Len(int(r.Len)) > l.longest {
			break
		}
		var lead []byte
		if l.tunnel != nil {
			lead = l.tunnel.lead()
		}
		o.put(k, b, r, lead)
		if l.toLen > 0 {
			o.msgs[k].hdr.Name = (*byte)(unsafe.Pointer(&l.to))
			o.msgs[k].hdr.Namelen = l.toLen
		}
		k++
	}
	return k
}

// forgetNames makes o fit for connected sockets again.
func (o *outlet) forgetNames() {
	for i := range o.msgs {
		if o.msgs[i].hdr.Name == nil {
			return
		}
		o.msgs[i].hdr.Name, o.msgs[i].hdr.Namelen = nil, 0
	}
}

// netSource yields the link that was opened with it, and another if that should
// ever fail.
type netSource struct {
	dialer
	first atomic.Pointer[link.Link]
}

func newNetSource(spec netSpec, opt link.Options) (link.Source, error) {
	first, err := spec.open()
	if err != nil {
		return nil, err
	}
	s := &netSource{dialer: dialer{
		text: spec.text, to: spec.place(), opt: opt,
		dial: func(context.Context) (link.Link, error) { return spec.open() },
	}}
	s.first.Store(&first)
	return s, nil
}

// Accept implements link.Source.
func (s *netSource) Accept(ctx context.Context) (link.Link, error) {
	if l := s.first.Swap(nil); l != nil {
		return *l, nil
	}
	return s.dialer.Accept(ctx)
}

// Close implements link.Source.
func (s *netSource) Close() error {
	if l := s.first.Swap(nil); l != nil {
		return (*l).Close()
	}
	return nil
}

// open makes the sockets.
func (s netSpec) open() (link.Link, error) {
	l := &netLink{ready: -1, tunnel: s.tunnel, longest: s.longest, peer: link.Peer{UID: -1, Addr: s.peerName()}}
	if s.group {
		return s.openGroup(l)
	}
	fd, err := s.socket()
	if err != nil {
		return nil, err
	}
	l.in, l.out = newDgramLink(fd, -1, l.peer), socket{fd}
	l.to, l.toLen = rawAddr(s.remote)
	if err = onlyFrom(fd, s.remote); err == nil {
		err = unix.Bind(fd, sockaddr(s.local))
	}
	if err != nil {
		_ = l.Close()
		return nil, s.bindError(err)
	}
	if s.tunnel != nil {
		return tunnelLink{l}, nil
	}
	return l, nil
}

// openGroup makes two sockets: by the port of the one that sends, its own
// datagrams are told from those that others on this host send to the group.
func (s netSpec) openGroup(l *netLink) (_ link.Link, err error) {
	in, err := s.socket()
	if err != nil {
		return nil, err
	}
	l.in = newDgramLink(in, -1, l.peer)
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	out, err := s.socket()
	if err != nil {
		return nil, err
	}
	growSendBuffer(out)
	if l.ready, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		unix.Close(out)
		return nil, fmt.Errorf("open %s: %w", s.text, err)
	}
	l.out = socket{out}
	if err = unix.EpollCtl(l.ready, unix.EPOLL_CTL_ADD, out, &unix.EpollEvent{Events: unix.EPOLLOUT}); err != nil {
		return nil, fmt.Errorf("open %s: %w", s.text, err)
	}
	if err = s.join(in, out); err != nil {
		return nil, fmt.Errorf("join group %v: %w", s.remote.Addr(), err)
	}
	return groupLink{l}, nil
}

func (s netSpec) join(in, out int) error {
	where, err := s.membership()
	if err != nil {
		return err
	}
	if s.iface != "" {
		if err := unix.SetsockoptIPMreqn(out, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, where); err != nil {
			return fmt.Errorf("send by %s: %w", s.iface, err)
		}
	}
	if err := unix.SetsockoptInt(out, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, s.ttl); err != nil {
		return fmt.Errorf("set time to live: %w", err)
	}
	err = unix.Connect(out, sockaddr(s.remote))
	if errors.Is(err, unix.ENETUNREACH) {
		return fmt.Errorf("%w: no route leads there; add one (ip route add 224.0.0.0/4 dev eth0) or name an interface with if=", err)
	}
	if err != nil {
		return err
	}
	own, err := unix.Getsockname(out)
	if err != nil {
		return err
	}
	me := own.(*unix.SockaddrInet4)
	if err := notFrom(in, netip.AddrPortFrom(netip.AddrFrom4(me.Addr), uint16(me.Port))); err != nil {
		return err
	}
	for _, o := range []struct{ level, opt, value int }{
		{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}, // QEMUs of this host have the same address
		{unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
	} {
		if err := unix.SetsockoptInt(in, o.level, o.opt, o.value); err != nil {
			return err
		}
	}
	if err := unix.Bind(in, sockaddr(s.remote)); err != nil {
		return err
	}
	return unix.SetsockoptIPMreqn(in, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, where)
}

// membership names the group and the interface.
func (s netSpec) membership() (*unix.IPMreqn, error) {
	m := &unix.IPMreqn{Multiaddr: s.remote.Addr().As4()}
	if a, err := netip.ParseAddr(s.iface); err == nil {
		m.Address = a.As4()
	} else if s.iface != "" {
		ifc, err := net.InterfaceByName(s.iface)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", s.iface, err)
		}
		m.Ifindex = int32(ifc.Index)
	}
	return m, nil
}

// socket makes a socket with room for what comes while nobody reads.
func (s netSpec) socket() (int, error) {
	family, typ, proto := unix.AF_INET6, unix.SOCK_DGRAM, 0
	if s.remote.Addr().Is4() {
		family = unix.AF_INET
	}
	if s.remote.Port() == 0 {
		typ, proto = unix.SOCK_RAW, unix.IPPROTO_L2TP
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if errors.Is(err, unix.EPERM) {
		return -1, fmt.Errorf("open %s: %w: frames over IP itself take root or CAP_NET_RAW; over UDP (LADDR:LPORT) they do not", s.text, err)
	}
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", s.text, err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, dgramBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, dgramBuffer)
	}
	return fd, nil
}

// bindError adds the likely cause.
func (s netSpec) bindError(err error) error {
	err = fmt.Errorf("bind %v: %w", s.local, os.NewSyscallError("bind", err))
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: ss -ulnp sport = :%d says who has it", err, s.local.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no interface of this host has %v", err, s.local.Addr())
	}
	return err
}

// peerName is the other side for humans.
func (s netSpec) peerName() string {
	switch {
	case s.group:
		return "group " + s.remote.String()
	case s.remote.Port() == 0:
		return s.remote.Addr().String()
	}
	return s.remote.String()
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16(), ZoneId: zone(ap.Addr())}
}

func zone(a netip.Addr) uint32 {
	if ifc, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(ifc.Index)
	}
	return 0
}

// rawAddr is an address as the kernel takes it.
func rawAddr(ap netip.AddrPort) (raw unix.RawSockaddrAny, n uint32) {
	p := unsafe.Slice((*byte)(unsafe.Pointer(&raw)), unix.SizeofSockaddrAny)
	if ap.Addr().Is4() {
		a := ap.Addr().As4()
		binary.NativeEndian.PutUint16(p, unix.AF_INET)
		binary.BigEndian.PutUint16(p[2:], ap.Port())
		copy(p[4:], a[:])
		return raw, unix.SizeofSockaddrInet4
	}
	a := ap.Addr().As16()
	binary.NativeEndian.PutUint16(p, unix.AF_INET6)
	binary.BigEndian.PutUint16(p[2:], ap.Port())
	copy(p[8:], a[:])
	binary.NativeEndian.PutUint32(p[24:], zone(ap.Addr()))
	return raw, unix.SizeofSockaddrInet6
}
