package tap

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/offload"
)

// maxRead is the largest frame that a TAP hands over: 64 KiB of IP packet behind
// an Ethernet header and tags.
const maxRead = 1<<16 + frame.HeaderLen + 2*frame.TagLen

// Why a Link ends.
var (
	errDeleted = errors.New("the device was deleted")
	errDown    = errors.New("the device is down")
)

// queue is one descriptor of a device, from which frames can be read. It is all
// there is to a further queue of a Link.
type queue struct {
	fd     int
	header int // bytes before each frame: offload.HeaderLen or 0
	name   string
}

var _ link.Link = (*queue)(nil)

// FD implements link.Link.
func (q *queue) FD() int { return q.fd }

// Close implements link.Link.
func (q *queue) Close() error { return unix.Close(q.fd) }

// WriteBatch implements link.Link. Nobody calls it: a Link writes by itself.
func (q *queue) WriteBatch(*frame.Batch) (int, error) {
	return 0, fmt.Errorf("write to a further queue of tap %q: %w", q.name, errors.ErrUnsupported)
}

// ReadBatch implements link.Link. Each frame is a read of its own.
func (q *queue) ReadBatch(b *frame.Batch) error {
	for off := 0; ; {
		if len(b.Buf)-off < q.header+maxRead {
			b.More = true
			return nil
		}
		n, errno := call(unix.SYS_READ, q.fd, unsafe.Pointer(&b.Buf[off]), len(b.Buf)-off)
		switch errno {
		case 0:
		case unix.EAGAIN:
			return nil
		default:
			return q.failure("read", errno)
		}
		q.take(b, off, n)
		off += n
	}
}

// take appends to b the frame that was read into n bytes at off.
func (q *queue) take(b *frame.Batch, off, n int) {
	r := frame.Ref{Off: uint32(off + q.header), Len: uint32(max(n-q.header, 0))}
	if r.Len < frame.HeaderLen {
		b.Runts++
		return
	}
	if q.header > 0 {
		o, err := offload.Parse(b.Buf[off:off+q.header], b.Frame(r))
		if err != nil {
			b.Bad++
			return
		}
		if o != (frame.Offload{}) {
			i, ok := b.AddOffload(o)
			if !ok {
				b.Bad++ // cannot be: a buffer has no room for so many
				return
			}
			r.Edit = r.Edit.WithOffload(i)
		}
	}
	b.Refs = append(b.Refs, r)
}

// failure says why a call on the device failed.
func (q *queue) failure(verb string, errno unix.Errno) error {
	err := error(errno)
	switch errno {
	case unix.EBADFD:
		err = errDeleted
	case unix.EIO:
		err = fmt.Errorf("%w: ip link set %s up", errDown, q.name)
	}
	return fmt.Errorf("%s tap %s: %w", verb, q.name, err)
}

// call makes a system call that never waits on a descriptor, again if a signal
// came in between, and does not tell the scheduler.
func call(trap uintptr, fd int, p unsafe.Pointer, n int) (int, unix.Errno) {
	for {
		r, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(p), uintptr(n))
		if errno != unix.EINTR {
			return int(r), errno
		}
	}
}

// tapLink is a Link on a device.
type tapLink struct {
	queue
	takes  frame.OffloadSet
	more   []*queue // further queues
	src    *source
	writer writer
	failed atomic.Pointer[error] // set by the source before it says that the link is lost
}

var (
	_ link.Link      = (*tapLink)(nil)
	_ link.Peered    = (*tapLink)(nil)
	_ link.Offloader = (*tapLink)(nil)
	_ link.Sized     = (*tapLink)(nil)
	_ link.Queued    = (*tapLink)(nil)
)

// Peer implements link.Peered.
func (l *tapLink) Peer() link.Peer { return link.Peer{UID: -1, Addr: l.src.describe()} }

// Takes implements link.Offloader.
func (l *tapLink) Takes() frame.OffloadSet { return l.takes }

// MTU implements link.Sized.
func (l *tapLink) MTU() int { return int(l.src.mtu.Load()) }

// Close implements link.Link.
func (l *tapLink) Close() error {
	l.src.closed(l)
	return l.queue.Close()
}

// Queues implements link.Queued.
func (l *tapLink) Queues() []link.Link {
	list := make([]link.Link, len(l.more))
	for i, q := range l.more {
		list[i] = q
	}
	return list
}

// ReadBatch implements link.Link.
func (l *tapLink) ReadBatch(b *frame.Batch) error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return l.queue.ReadBatch(b)
}

// WriteBatch implements link.Link. Neighbouring TCP segments become one frame if
// the device takes that.
func (l *tapLink) WriteBatch(b *frame.Batch) (int, error) {
	merge := l.takes&(frame.CanTCP4|frame.CanTCP6) == frame.CanTCP4|frame.CanTCP6
	for i := 0; i < len(b.Refs); {
		n := l.writer.fill(b, b.Refs[i:], merge)
		switch errno := l.send(); errno {
		case 0:
			b.Merged += n - 1
		case unix.EAGAIN:
			return i, link.ErrFull
		case unix.EIO, unix.EBADFD:
			return i, l.failure("write to", errno)
		default: // too short, too long, no memory
			b.Refused += n
			for _, r := range b.Refs[i : i+n] {
				b.RefusedBytes += r.Edit.Len(int(r.Len))
			}
		}
		i += n
	}
	return len(b.Refs), nil
}

// send writes what the writer holds. With several queues the flow says which is
// used: the kernel then sends the flow's answers by the same queue, so that its
// frames stay in order and all queues have work. A queue that is full for the
// moment leaves it to the first one, which is the one that is polled.
func (l *tapLink) send() unix.Errno {
	if len(l.more) > 0 {
		if i := int(l.writer.flow) % (len(l.more) + 1); i > 0 {
			if errno := l.writer.send(l.more[i-1].fd); errno != unix.EAGAIN {
				return errno
			}
		}
	}
	return l.writer.send(l.fd)
}
