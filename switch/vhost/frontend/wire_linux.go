package frontend

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timing is until when a guest waits.
type timing struct{ until *atomic.Int64 }

func newTiming() timing {
	t := timing{new(atomic.Int64)}
	return t
}

// SetDeadline bounds how long SendFrame and RecvFrame wait.
func (g *Guest) SetDeadline(t time.Time) error {
	g.wait.until.Store(t.UnixNano())
	return nil
}

// junk is what a buffer of a guest's has in it before something is received.
var junk = bytes.Repeat([]byte{0xa5}, 128)

// fillUp makes all free buffers available for receiving.
func (r *Ring) fillUp() {
	lens := [1]uint32{uint32(r.g.opt.BufSize)}
	for _, id := range r.free {
		copy(r.Buffer(id), junk)
		r.add([]uint16{id}, lens[:], DescWrite)
	}
	r.free = r.free[:0]
	r.Show()
}

// reclaim takes back what the switch has sent.
func (r *Ring) reclaim() {
	for {
		id, _, ok := r.take()
		if !ok {
			return
		}
		r.release(id)
	}
}

// pause waits until the switch calls or hangs up, unless ready says that there is
// no need to.
func (r *Ring) pause(ready func() bool) error {
	r.wantCall(true)
	defer r.wantCall(false)
	if ready() {
		return nil
	}
	raw, err := r.g.Conn.SyscallConn()
	if err != nil {
		return err
	}
	left := time.Until(time.Unix(0, r.g.wait.until.Load()))
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	conn := -1
	if err := raw.Control(func(fd uintptr) { conn = int(fd) }); err != nil {
		return err
	}
	fds := []unix.PollFd{{Fd: int32(r.Call), Events: unix.POLLIN}, {Fd: int32(conn), Events: unix.POLLRDHUP}}
	if _, err := unix.Poll(fds, int(min(left, 100*time.Millisecond).Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	var b [8]byte
	_, _ = unix.Read(r.Call, b[:])
	if fds[1].Revents != 0 && !ready() {
		return io.EOF
	}
	return nil
}

// SendFrame sends one frame by the first pair, waiting for room.
func (g *Guest) SendFrame(f []byte) error { return g.TX[0].Send(f) }

// Send sends one frame, waiting for room.
func (r *Ring) Send(f []byte) error {
	size := r.g.opt.BufSize
	need := (r.g.headLen + len(f) + size - 1) / size
	if need > r.num || r.indirect != 0 && need > tableLen {
		return fmt.Errorf("a frame of %d bytes does not fit into the ring", len(f))
	}
	ready := func() bool {
		r.reclaim()
		return len(r.free) >= need
	}
	for !ready() {
		if err := r.pause(ready); err != nil {
			return err
		}
	}
	ids := make([]uint16, need)
	copy(ids, r.free)
	r.free = append(r.free[:0], r.free[need:]...)
	lens := make([]uint32, need)
	rest := append(make([]byte, r.g.headLen), f...)
	for i, id := range ids {
		n := copy(r.Buffer(id), rest)
		lens[i] = uint32(n)
		rest = rest[n:]
	}
	r.add(ids, lens, 0)
	r.Show()
	return nil
}

// RecvFrame waits for a frame by the first pair.
func (g *Guest) RecvFrame(buf []byte) (int, error) { return g.RX[0].Recv(buf) }

// Recv waits for a frame.
func (r *Ring) Recv(buf []byte) (int, error) {
	for {
		n, ok, err := r.poll(buf)
		if ok || err != nil {
			return n, err
		}
		// Nothing is used up by asking: it is looked at again above.
		if err := r.pause(r.arrived); err != nil {
			return 0, err
		}
	}
}

// arrived tells whether there is something to take.
func (r *Ring) arrived() bool {
	was := r.used
	_, _, ok := r.take()
	r.used = was
	return ok
}

// poll takes one frame, if there is one.
func (r *Ring) poll(buf []byte) (n int, ok bool, err error) {
	id, size, ok := r.take()
	if !ok {
		return 0, false, nil
	}
	count := 1
	head := r.Buffer(id)
	if r.g.headLen == 12 {
		count = int(*(*uint16)(unsafe.Pointer(&head[10])))
	}
	if count < 1 || r.g.opt.NoMerge && count != 1 {
		return 0, false, fmt.Errorf("a frame in %d buffers", count)
	}
	// Who takes no unfinished checksums is given nothing to do.
	if r.g.Features&featTakesCsum == 0 && !bytes.Equal(head[:10], make([]byte, 10)) {
		return 0, false, fmt.Errorf("a frame with the header %x", head[:r.g.headLen])
	}
	skip := r.g.headLen
	for i := 0; ; i++ {
		if int(size) > r.g.opt.BufSize || int(size) < skip {
			return 0, false, fmt.Errorf("%d bytes in a buffer of %d", size, r.g.opt.BufSize)
		}
		n += copy(buf[n:], r.Buffer(id)[skip:size])
		skip = 0
		r.release(id)
		if i+1 == count {
			break
		}
		if id, size, ok = r.take(); !ok {
			return 0, false, fmt.Errorf("buffer %d of %d was not shown with the first", i+1, count)
		}
	}
	r.fillUp()
	return n, true, nil
}
