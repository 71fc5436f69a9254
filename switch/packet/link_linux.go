package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/offload"
)

const (
	// A place holds room for a tag that is put back, a virtio_net_hdr, and the
	// largest super-frame. It is no power of two: the beginnings of all places
	// must not fall into the same lines of a cache.
	placeSize = 66<<10 + 192
	tagRoom   = frame.TagLen

	// copyMax is the longest frame that is copied to be sent in one piece with its
	// header. The kernel takes one piece without reading a list of them.
	copyMax = 256

	// countEvery is how often, in reads that took all they could, the kernel is
	// asked what it had no room for.
	countEvery = 4

	auxLen = 48 // a control message with a tpacket_auxdata: 16 + 20, aligned, and more
)

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// packetLink is a Link on an interface.
type packetLink struct {
	fd     int
	index  int
	name   string
	remark string // what was asked for and cannot be
	src    *source
	mtu    atomic.Int64
	failed atomic.Pointer[error] // set by the source before it says that the link is lost

	rx struct { // owned by the reader
		ring   *rxRing // nil: all that comes in is in the socket's queue
		full   uint    // reads that took as much as they could
		stats  unix.TpacketStats
		places []byte
		iov    [batchLen]unix.Iovec
		msgs   [batchLen]mmsghdr
		aux    [batchLen][auxLen]byte
	}
	tx struct { // owned by the writer
		ring  *txRing // nil: there is none
		heads [batchLen][offload.HeaderLen + copyMax]byte
		iov   [batchLen][2]unix.Iovec
		msgs  [batchLen]mmsghdr
	}
}

var (
	_ link.Link      = (*packetLink)(nil)
	_ link.Peered    = (*packetLink)(nil)
	_ link.Offloader = (*packetLink)(nil)
	_ link.Sized     = (*packetLink)(nil)
)

func newLink(sock *socket, ifc *net.Interface, s *source) *packetLink {
	l := &packetLink{fd: sock.fd, index: ifc.Index, name: ifc.Name, remark: sock.remark, src: s}
	l.rx.ring, l.tx.ring = sock.ring, sock.tx
	l.mtu.Store(int64(ifc.MTU))
	l.rx.places = make([]byte, batchLen*placeSize)
	for i := range l.rx.msgs {
		iov := &l.rx.iov[i]
		iov.Base = &l.rx.places[i*placeSize+tagRoom]
		iov.SetLen(placeSize - tagRoom)
		h := &l.rx.msgs[i].hdr
		h.Iov = iov
		h.SetIovlen(1)
		h.Control = &l.rx.aux[i][0]
	}
	for i := range l.tx.msgs {
		l.tx.msgs[i].hdr.Iov = &l.tx.iov[i][0]
	}
	return l
}

// FD implements link.Link.
func (l *packetLink) FD() int { return l.fd }

// Peer implements link.Peered.
func (l *packetLink) Peer() link.Peer {
	addr := "interface " + l.name
	if l.remark != "" {
		addr += ", " + l.remark
	}
	return link.Peer{UID: -1, Addr: addr}
}

// Takes implements link.Offloader. What the interface itself cannot do, its
// kernel does.
func (l *packetLink) Takes() frame.OffloadSet {
	return frame.CanCsum | frame.CanTCP4 | frame.CanTCP6 | frame.CanECN | frame.CanUDP
}

// MTU implements link.Sized.
func (l *packetLink) MTU() int { return int(l.mtu.Load()) }

// Close implements link.Link.
func (l *packetLink) Close() error {
	l.src.forget(l)
	return errors.Join(l.rx.ring.close(), l.tx.ring.close(), unix.Close(l.fd))
}

// ReadBatch implements link.Link. The frames lie in memory of the Link's own: in
// its ring, or where recvmmsg put them.
func (l *packetLink) ReadBatch(b *frame.Batch) error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	if l.rx.ring != nil {
		return l.readRing(b)
	}
	n, err := l.readQueue(b, batchLen)
	b.More = n == batchLen
	if b.More {
		if l.rx.full++; l.rx.full%countEvery == 0 {
			l.countMissed(b)
		}
	}
	return err
}

// readQueue reads up to most frames from the socket's queue, and returns how many
// it was.
func (l *packetLink) readQueue(b *frame.Batch, most int) (int, error) {
	for i := range l.rx.msgs[:most] {
		l.rx.msgs[i].hdr.SetControllen(auxLen)
	}
	n, errno := mmsg(unix.SYS_RECVMMSG, l.fd, &l.rx.msgs, most)
	switch errno {
	case 0:
	case unix.EAGAIN:
		return 0, nil
	default:
		return 0, l.failure("read", errno)
	}
	b.Buf = l.rx.places
	for i := range n {
		m := &l.rx.msgs[i]
		if m.hdr.Flags&unix.MSG_TRUNC != 0 {
			b.Bad++
			continue
		}
		r := received{at: i*placeSize + offload.HeaderLen + tagRoom, n: int(m.n) - offload.HeaderLen}
		r.typ, r.tci, r.tagged = tag(l.rx.aux[i][:m.hdr.Controllen])
		take(b, r)
	}
	return n, nil
}

// received is a frame as the kernel delivers it: in b.Buf from at on, behind its
// virtio_net_hdr and tagRoom, without its outer tag.
type received struct {
	at, n    int
	tagged   bool
	typ, tci uint16
}

// take appends to b a frame that was received.
func take(b *frame.Batch, in received) {
	at, n := in.at, in.n
	if n < frame.HeaderLen {
		b.Runts++
		return
	}
	head := [offload.HeaderLen]byte(b.Buf[at-offload.HeaderLen:])
	if in.tagged {
		at, n = at-tagRoom, n+tagRoom // over the end of the header
		shift(head[:], tagRoom)
		f := b.Buf[at : at+n]
		copy(f[:12], f[tagRoom:])
		binary.BigEndian.PutUint16(f[12:], in.typ)
		binary.BigEndian.PutUint16(f[14:], in.tci)
	}
	r := frame.Ref{Off: uint32(at), Len: uint32(n)}
	if head != ([offload.HeaderLen]byte{}) {
		o, err := offload.Parse(head[:], b.Frame(r))
		if err != nil {
			b.Bad++
			return
		}
		if o != (frame.Offload{}) {
			no, _ := b.AddOffload(o) // there is room: a batch is short
			r.Edit = r.Edit.WithOffload(no)
		}
	}
	b.Refs = append(b.Refs, r)
}

// shift makes a header's checksum start right for a frame that has become n
// bytes longer.
func shift(head []byte, n int) {
	if head[0] != 0 {
		binary.NativeEndian.PutUint16(head[6:], binary.NativeEndian.Uint16(head[6:])+uint16(n))
	}
}

// tag finds the tag that the kernel took off a frame, in the control messages
// that came with it (struct tpacket_auxdata).
func tag(aux []byte) (typ, tci uint16, ok bool) {
	const (
		head    = 16 // of a control message: length, level, type
		hasTag  = 1 << 4
		hasType = 1 << 6
	)
	if len(aux) < head+20 || binary.NativeEndian.Uint32(aux[8:]) != unix.SOL_PACKET || binary.NativeEndian.Uint32(aux[12:]) != unix.PACKET_AUXDATA {
		return 0, 0, false
	}
	aux = aux[head:]
	status := binary.NativeEndian.Uint32(aux)
	if status&hasTag == 0 {
		return 0, 0, false
	}
	typ = frame.TypeVLAN
	if status&hasType != 0 {
		typ = binary.NativeEndian.Uint16(aux[18:])
	}
	return typ, binary.NativeEndian.Uint16(aux[16:]), true
}

// WriteBatch implements link.Link.
func (l *packetLink) WriteBatch(b *frame.Batch) (int, error) {
	mtu := l.MTU()
	for done := 0; done < len(b.Refs); {
		some := min(len(b.Refs)-done, batchLen)
		if l.tx.ring != nil {
			if n := l.tx.ring.send(b, b.Refs[done:done+some], mtu); n > 0 {
				done += n
				continue
			}
		}
		for i, r := range b.Refs[done : done+some] {
			l.fill(i, b, r)
		}
		n, errno := mmsg(unix.SYS_SENDMMSG, l.fd, &l.tx.msgs, some)
		switch {
		case errno == 0:
			done += n
			continue
		case errno == unix.EAGAIN:
			return done, link.ErrFull
		case errno == unix.ENXIO || errno == unix.ENETDOWN || errno == unix.ENODEV:
			return done, l.failure("write", errno)
		}
		// Too long, or no room in the interface's queue: this one is lost.
		r := b.Refs[done]
		b.Refused++
		b.RefusedBytes += r.Edit.Len(int(r.Len))
		done++
	}
	return len(b.Refs), nil
}

// fill prepares message i: a header, what of the frame is not as in the batch,
// and the rest of it.
func (l *packetLink) fill(i int, b *frame.Batch, r frame.Ref) {
	f, head := b.Frame(r), l.tx.heads[i][:offload.HeaderLen]
	clear(head)
	if o := b.Offload(r); o != nil {
		offload.Put(head, *o, r.Edit.Len(0))
	}
	iov, h := &l.tx.iov[i], &l.tx.msgs[i].hdr
	iov[0].Base = unsafe.SliceData(head)
	if r.Edit.Len(len(f)) <= copyMax {
		iov[0].SetLen(len(r.Edit.Append(head, f)))
		h.SetIovlen(1)
		return
	}
	head, skip := r.Edit.Head(head, f)
	if skip == 0 { // the kernel wants a whole Ethernet header in one piece
		head, skip = append(head, f[:frame.HeaderLen]...), frame.HeaderLen
	}
	iov[0].SetLen(len(head))
	iov[1].Base = unsafe.SliceData(f[skip:])
	iov[1].SetLen(len(f) - skip)
	h.SetIovlen(2)
}

// failure says why a call on the socket failed.
func (l *packetLink) failure(verb string, errno unix.Errno) error {
	err := error(errno)
	switch errno {
	case unix.ENETDOWN:
		err = fmt.Errorf("the interface is down: ip link set %s up", l.name)
	case unix.ENXIO, unix.ENODEV:
		err = errors.New("the interface is gone")
	}
	return fmt.Errorf("%s packet %s: %w", verb, l.name, err)
}

// mmsg sends or receives n messages and never waits.
func mmsg(trap uintptr, fd int, msgs *[batchLen]mmsghdr, n int) (int, unix.Errno) {
	for {
		r, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(msgs)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(r), errno
		}
	}
}
