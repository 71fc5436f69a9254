package linktest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// poison is what memory is filled with that nobody may look at: where it shows
// up in a frame, a Link has sent old bytes or kept a buffer that was only
// borrowed.
const poison = 0xa5

var slab = bytes.Repeat([]byte{poison}, 1<<16)

// fill poisons b.
func fill(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, slab):]
	}
}

// near drives a Link as a worker of the switch does: it is told once of each
// arrival, and reads on by itself only where the Link said that there is More.
type near struct {
	t     testing.TB
	link  link.Link
	epfd  int
	buf   []byte
	more  bool
	ended bool
	open  bool
}

func newNear(t testing.TB, l link.Link) *near {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET}
		err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, l.FD(), &ev)
	}
	if c, ok := l.(link.Controlled); ok && err == nil {
		ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: controlEvent}
		err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, c.ControlFD(), &ev)
	}
	if err != nil {
		t.Fatalf("poll link: %v", err)
	}
	n := &near{t: t, link: l, epfd: epfd, buf: make([]byte, link.MinBuf), open: true}
	t.Cleanup(n.close)
	return n
}

// controlEvent marks what epoll says of a control connection.
const controlEvent = 1

// close closes the Link, once.
func (n *near) close() {
	if !n.open {
		return
	}
	n.open = false
	unix.Close(n.epfd)
	if err := n.link.Close(); err != nil {
		n.t.Errorf("close link: %v", err)
	}
}

// awaitReadable waits until there is something to read.
func (n *near) awaitReadable() {
	for end := time.Now().Add(Patience); !n.more && !n.ended; {
		events := make([]unix.EpollEvent, 1)
		ready, err := unix.EpollWait(n.epfd, events, int(time.Until(end).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			n.t.Fatalf("poll link: %v", err)
		case ready == 0:
			n.t.Fatalf("nothing to read for %v; did the link leave something unread without setting More?", Patience)
		}
		n.ended = events[0].Fd == controlEvent || events[0].Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
		return
	}
}

// awaitWritable waits until the Link's descriptor is writable.
func (n *near) awaitWritable() error {
	for end := time.Now().Add(Patience); ; {
		fds := []unix.PollFd{{Fd: int32(n.link.FD()), Events: unix.POLLOUT}}
		if g, ok := n.link.(link.Gated); ok {
			fds[0] = unix.PollFd{Fd: int32(g.WriteFD()), Events: unix.POLLIN}
		}
		ready, err := unix.Poll(fds, int(time.Until(end).Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("poll link: %w", err)
		case ready == 0:
			return fmt.Errorf("the link was not writable for %v", Patience)
		}
		return nil
	}
}

// readOnce is one ReadBatch into a buffer full of poison.
func (n *near) readOnce() ([]frame.Frame, error) {
	fill(n.buf)
	b := frame.Batch{Buf: n.buf}
	err := n.link.ReadBatch(&b)
	n.more = b.More
	var frames []frame.Frame
	for _, r := range b.Refs {
		f := b.Frame(r)
		if b.Prefixed {
			if said := binary.BigEndian.Uint32(b.Buf[r.Off-frame.PrefixLen:]); said != r.Len {
				n.t.Fatalf("the length before a frame of %d bytes says %d", r.Len, said)
			}
		}
		frames = append(frames, f)
	}
	return frames, err
}

// read waits for frames and returns them; they are good until the next read.
func (n *near) read() []frame.Frame {
	for {
		n.awaitReadable()
		frames, err := n.readOnce()
		if err != nil {
			n.t.Fatalf("read: %v", err)
		}
		if len(frames) > 0 {
			return frames
		}
	}
}

// writeOnce is one WriteBatch of a copy of b that is poisoned afterwards: the
// Link must have kept nothing of it.
func (n *near) writeOnce(b *batch) (int, error) {
	c := frame.Batch{Buf: bytes.Clone(b.Buf), Refs: slices.Clone(b.Refs), Prefixed: b.Prefixed}
	took, err := n.link.WriteBatch(&c)
	if !bytes.Equal(c.Buf, b.Buf) {
		n.t.Fatal("a borrowed buffer was changed")
	}
	fill(c.Buf)
	clear(c.Refs)
	if took < 0 || took > len(b.Refs) || err == nil && took < len(b.Refs) {
		n.t.Fatalf("wrote %d of %d frames and said: %v", took, len(b.Refs), err)
	}
	return took, err
}

// write writes all of b, waiting where the Link does not.
func (n *near) write(b *batch) {
	if err := n.tryWrite(b); err != nil {
		n.t.Fatal(err)
	}
}

func (n *near) tryWrite(b *batch) error {
	for {
		took, err := n.writeOnce(b)
		if err == nil {
			return nil
		}
		if !errors.Is(err, link.ErrFull) {
			return fmt.Errorf("write: %w", err)
		}
		if err := n.awaitWritable(); err != nil {
			return err
		}
		b = b.from(took) // if that is none, the end of the last frame is due
	}
}

// batch is a Batch to be written, with poison around every frame.
type batch struct{ frame.Batch }

const batchSize = 128 << 10

func newBatch(prefixed bool) *batch {
	return &batch{frame.Batch{Prefixed: prefixed}}
}

func (b *batch) fits(n int) bool { return len(b.Buf)+n+16 <= batchSize }

// add puts a frame in: mostly right behind the one before if they are prefixed,
// so that both can go out in one piece, else with a gap. Now and then there is
// one between them that is for somebody else.
func (b *batch) add(f []byte, e frame.Edit) {
	if b.Prefixed {
		if len(b.Refs)%5 == 4 {
			b.Buf = append(binary.BigEndian.AppendUint32(b.Buf, 60), slab[:60]...)
		}
		b.Buf = binary.BigEndian.AppendUint32(b.Buf, uint32(len(f)))
	} else {
		b.Buf = append(b.Buf, bytes.Repeat([]byte{poison}, 1+len(f)%7)...)
	}
	b.Refs = append(b.Refs, frame.Ref{Off: uint32(len(b.Buf)), Len: uint32(len(f)), Edit: e})
	b.Buf = append(b.Buf, f...)
	if !b.Prefixed {
		b.Buf = append(b.Buf, poison, poison, poison, poison, poison, poison, poison, poison)
	}
}

// from is what is left of b when n frames are written, elsewhere in memory.
func (b *batch) from(n int) *batch {
	rest := newBatch(b.Prefixed)
	for _, r := range b.Refs[n:] {
		rest.add(b.Frame(r), r.Edit)
	}
	return rest
}
