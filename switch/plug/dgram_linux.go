package plug

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// dgramLink carries one frame in each datagram, many of them in one system call,
// and lives as long as a control connection beside it, if there is one.
//
// Where frames come in. The kernel writes the datagrams of one call into slots
// of equal size in the reader's buffer. A slot has room for a frame of the usual
// size, so that a call brings many; what is longer runs over into memory that
// nothing else uses (intake.spill). Such a frame, and what came behind it, is
// put together and handed over in the next calls, and from then on slots are
// larger for a while. So no length is ever cut, and the usual ones cost no copy.
type dgramLink struct {
	sock    socket
	control int // connection that ends with the link; its bytes mean nothing; -1: none
	peer    link.Peer

	// Owned by the reader.
	size  int      // index of the slot size in use
	full  bool     // the batch before had long frames
	quiet int      // batches in a row that would have fitted a smaller one
	late  [][]byte // frames that were put together and not handed over yet
}

var (
	_ link.Link       = (*dgramLink)(nil)
	_ link.Peered     = (*dgramLink)(nil)
	_ link.Controlled = (*dgramLink)(nil)
)

// maxMsgs is how many datagrams one system call moves at most: as many as the
// switch's buffer has slots. With 64, throughput was 5 to 10 % less at 64 bytes,
// since the sender and the receiver were woken more often. Where frames are
// longer than fullFrom, fullMsgs of them at a time take 9 % less CPU.
const (
	maxMsgs  = 93
	fullMsgs = 64
	fullFrom = 1024
)

// slotSizes are for Ethernet's usual frames, for libvdeplug's largest (9,234
// bytes) and for the largest there are. An odd number of cache lines keeps the
// heads of neighbouring slots from sharing a set of the processor's cache.
var slotSizes = [...]int{33 * 64, 147 * 64, frame.MaxLen}

// keepSize is how many batches have to fit a smaller slot before it is used.
const keepSize = 256

// mmsghdr is struct mmsghdr (recvmmsg(2)), which x/sys does not have.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// newDgramLink makes a Link of a connected, non-blocking datagram socket and a
// control connection, which it owns from then on.
func newDgramLink(fd, control int, peer link.Peer) *dgramLink {
	growSendBuffer(fd)
	return &dgramLink{sock: socket{fd}, control: control, peer: peer}
}

// growSendBuffer gives a socket room for what its receiver has not read. Without
// privilege the kernel gives less than is asked for, and that will do.
func growSendBuffer(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, dgramBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, dgramBuffer)
	}
}

// dgramBuffer is asked for in bytes; the kernel doubles it, and charges a frame of
// 1,514 bytes with 2,304. What does not fit is copied to the port's ring: with a
// quarter of this that cost 8 % of throughput.
const dgramBuffer = 2 << 20

// FD implements link.Link.
func (l *dgramLink) FD() int { return l.sock.fd }

// ControlFD implements link.Controlled.
func (l *dgramLink) ControlFD() int { return l.control }

// Peer implements link.Peered.
func (l *dgramLink) Peer() link.Peer { return l.peer }

// Close implements link.Link.
func (l *dgramLink) Close() error {
	err := l.sock.close()
	if l.control >= 0 {
		err = errors.Join(err, unix.Close(l.control))
	}
	return err
}

// ReadBatch implements link.Link.
func (l *dgramLink) ReadBatch(b *frame.Batch) error {
	if len(l.late) > 0 {
		l.readLate(b)
		return nil
	}
	in := intakes[l.size].Get().(*intake)
	in.aim(b.Buf)
	most := in.count
	if l.full {
		most = min(most, fullMsgs)
	}
	n, err := in.recv(&l.sock, most)
	switch {
	case err != nil:
		intakes[l.size].Put(in)
		return fmt.Errorf("read: %w", err)
	case n == notNow:
		intakes[l.size].Put(in)
		return l.lookAtControl()
	}
	b.More = n == most
	l.take(b, in, n)
	return nil
}

// take appends Refs for n datagrams, and puts in back.
func (l *dgramLink) take(b *frame.Batch, in *intake, n int) {
	refs, longest := b.Refs, 0
	size := l.size
	for i := range n {
		have := int(in.msgs[i].n)
		longest = max(longest, have)
		switch {
		case have > in.slot:
			b.Refs = refs
			l.spilled(b, in, i, n)
			intakes[size].Put(in)
			return
		case have >= frame.HeaderLen:
			refs = append(refs, frame.Ref{Off: uint32(i * in.slot), Len: uint32(have)})
		case have > 0: // libvdeplug 2 says good-bye with nothing
			b.Runts++
		}
	}
	b.Refs = refs
	intakes[size].Put(in)
	l.full = longest > fullFrom
	if size > 0 {
		l.shrink(longest)
	}
}

// shrink goes back to smaller slots when they would have done for long.
func (l *dgramLink) shrink(longest int) {
	if longest > slotSizes[l.size-1] {
		l.quiet = 0
		return
	}
	if l.quiet++; l.quiet == keepSize {
		l.quiet = 0
		l.size--
	}
}

// spilled keeps the datagrams from number i on, the first of which is larger
// than a slot, for the next calls, and makes the slots larger.
func (l *dgramLink) spilled(b *frame.Batch, in *intake, i, n int) {
	for ; i < n; i++ {
		have := int(in.msgs[i].n)
		switch {
		case have > frame.MaxLen:
			b.Giants++
		case have >= frame.HeaderLen:
			l.late = append(l.late, in.whole(b.Buf, i))
		case have > 0:
			b.Runts++
		}
		for l.size < len(slotSizes)-1 && have > slotSizes[l.size] {
			l.size, l.quiet = l.size+1, 0
		}
	}
	b.More = true
}

// readLate hands over frames that were kept, as many as there is room for.
func (l *dgramLink) readLate(b *frame.Batch) {
	used, n := 0, 0
	for _, f := range l.late {
		if used+len(f) > len(b.Buf) {
			break
		}
		copy(b.Buf[used:], f)
		b.Refs = append(b.Refs, frame.Ref{Off: uint32(used), Len: uint32(len(f))})
		used += len(f)
		n++
	}
	clear(l.late[:n])
	if l.late = l.late[n:]; len(l.late) == 0 {
		l.late = nil
	}
	b.More = true // the socket may have more
}

// lookAtControl tells whether the control connection has ended, when there is
// nothing else to read.
func (l *dgramLink) lookAtControl() error {
	if l.control < 0 {
		return nil
	}
	var buf [1]byte
	c := socket{l.control}
	switch n, err := c.recv(buf[:]); {
	case err != nil:
		return fmt.Errorf("control connection: %w", err)
	case n == notNow:
		return nil
	case n == 0:
		return io.EOF
	}
	return errors.New("the other side sent more on its control connection than one request")
}

// WriteBatch implements link.Link.
func (l *dgramLink) WriteBatch(b *frame.Batch) (int, error) {
	o := outlets.Get().(*outlet)
	done, err := 0, error(nil)
	for done < len(b.Refs) && err == nil {
		k := min(len(b.Refs)-done, maxMsgs)
		for i, r := range b.Refs[done : done+k] {
			o.put(i, b, r, nil)
		}
		var n int
		n, err = o.send(&l.sock, k)
		done += n
		switch {
		case err == nil && n < k:
			err = link.ErrFull // or something worse: the next call will say
		case err == unix.ENOBUFS || err == unix.ENOMEM: //nolint:errorlint // a bare errno
			err = link.ErrFull
		case err == unix.ECONNREFUSED || err == unix.ENOTCONN: //nolint:errorlint // a bare errno
			err = fmt.Errorf("the other side closed its data socket: %w", err)
		case err != nil:
			err = fmt.Errorf("write: %w", err)
		}
	}
	outlets.Put(o)
	return done, err
}

// intake is what one system call reads into: headers, and memory for what does
// not fit into a slot. It is kept from one read to the next.
type intake struct {
	slot, count int
	buf         *byte // that the slots lie in
	msgs        [maxMsgs]mmsghdr
	pieces      [maxMsgs][2]unix.Iovec
	spill       []byte // count times what a frame can have beyond a slot
}

// intakes keeps them, by slot size.
var intakes = [len(slotSizes)]sync.Pool{
	{New: func() any { return newIntake(slotSizes[0]) }},
	{New: func() any { return newIntake(slotSizes[1]) }},
	{New: func() any { return newIntake(slotSizes[2]) }},
}

// newIntake makes an intake. Its spill is address space that takes no memory
// until a long frame comes.
func newIntake(slot int) *intake {
	in := &intake{slot: slot}
	size := maxMsgs * in.beyond()
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		in.spill = make([]byte, size)
		return in
	}
	in.spill = mem
	runtime.AddCleanup(in, func(mem []byte) { _ = unix.Munmap(mem) }, mem)
	return in
}

// beyond is the room behind a slot: with one byte more than the longest frame
// has, so that a longer one shows.
func (in *intake) beyond() int { return max(frame.MaxLen+1-in.slot, 64) }

// aim makes slots in buf.
func (in *intake) aim(buf []byte) {
	if in.buf == unsafe.SliceData(buf) && in.count == min(len(buf)/in.slot, maxMsgs) {
		return
	}
	in.buf, in.count = unsafe.SliceData(buf), min(len(buf)/in.slot, maxMsgs)
	for i := range in.count {
		p := &in.pieces[i]
		p[0].Base = &buf[i*in.slot]
		p[0].SetLen(in.slot)
		p[1].Base = &in.spill[i*in.beyond()]
		p[1].SetLen(in.beyond())
		in.msgs[i].hdr.Iov = &p[0]
		in.msgs[i].hdr.SetIovlen(len(p))
	}
}

// recv fills at most this many slots and returns how many, or notNow.
func (in *intake) recv(s *socket, most int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&in.msgs[0])), uintptr(most), unix.MSG_DONTWAIT, 0, 0)
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

// whole is a copy of datagram i, whose beginning lies in buf.
func (in *intake) whole(buf []byte, i int) []byte {
	n := int(in.msgs[i].n)
	from := i * in.slot
	f := append(make([]byte, 0, n), buf[from:from+min(n, in.slot)]...)
	return append(f, in.spill[i*in.beyond():][:n-len(f)]...)
}

// outlet is what one system call writes from.
type outlet struct {
	msgs   [maxMsgs]mmsghdr
	pieces [maxMsgs][3]unix.Iovec // what stands before the frame and its changed head, frame, padding
	heads  [maxMsgs][64]byte
}

var outlets = sync.Pool{New: func() any {
	o := &outlet{}
	for i := range o.msgs {
		o.msgs[i].hdr.Iov = &o.pieces[i][0]
	}
	return o
}}

// padding is what fills short frames up.
var padding [frame.MinLen]byte

// put makes datagram i of a frame. lead stands before it; it is copied.
func (o *outlet) put(i int, b *frame.Batch, r frame.Ref, lead []byte) {
	p := &o.pieces[i]
	if r.Edit == 0 && r.Len >= frame.MinLen && len(lead) == 0 {
		p[0].Base = &b.Buf[r.Off]
		p[0].SetLen(int(r.Len))
		o.msgs[i].hdr.SetIovlen(1)
		return
	}
	f, n := b.Frame(r), 0
	head, skip := r.Edit.Head(append(o.heads[i][:0], lead...), f)
	if len(head) > 0 {
		p[n].Base = &head[0]
		p[n].SetLen(len(head))
		n++
	}
	if skip < len(f) {
		p[n].Base = &f[skip]
		p[n].SetLen(len(f) - skip)
		n++
	}
	if short := frame.MinLen - (len(head) - len(lead) + len(f) - skip); short > 0 {
		p[n].Base = &padding[0]
		p[n].SetLen(short)
		n++
	}
	o.msgs[i].hdr.SetIovlen(n)
}

// send sends the first k datagrams and returns how many the kernel took.
func (o *outlet) send(s *socket, k int) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&o.msgs[0])), uintptr(k), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}
