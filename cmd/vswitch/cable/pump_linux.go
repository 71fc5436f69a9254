package cable

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

const (
	// bufSize bounds what a lane holds.
	bufSize = 256 << 10
	// lastWords is how long frames that were on their way when one end left
	// may take to reach the other.
	lastWords = 2 * time.Second
)

// end is one end of a cable.
type end struct {
	name    string // for people
	link    link.Link
	max     int  // longest frame that it takes
	deaf    bool // reads no more, but may still send
	command *command
}

// outFD is the descriptor to wait for when e takes no more.
func (e *end) outFD() int {
	if s, ok := e.link.(*stream); ok {
		return s.outFD()
	}
	return e.link.FD()
}

// controlled is a Link whose end shows on a connection beside it.
type controlled interface{ ControlFD() int }

// lane is one direction of a cable.
type lane struct {
	from, to *end
	batch    frame.Batch // batch.More: from may have more, whatever poll says
	next     int         // first of batch.Refs that to has not taken
	full     bool        // to has to become writable first
	ready    bool        // poll says that it can go on

	frames, bytes uint64 // that to took
	runts         uint64 // without a header
	long          uint64 // longer than to takes
	unread        uint64 // to read no more
	cut           uint64 // on the way when an end left
}

func newLane(from, to *end) *lane {
	return &lane{from: from, to: to, batch: frame.Batch{Buf: make([]byte, bufSize), Refs: make([]frame.Ref, 0, 4096)}}
}

// waiting tells whether frames are on their way in l.
func (l *lane) waiting() bool { return l.full || l.next < len(l.batch.Refs) }

// leftError says which end is gone, and why.
type leftError struct {
	end *end
	err error
}

func (e *leftError) Error() string {
	if errors.Is(e.err, io.EOF) {
		return e.end.name + ": closed by the other side"
	}
	return fmt.Sprintf("%s: %v", e.end.name, e.err)
}

func (e *leftError) Unwrap() error { return e.err }

// read takes what from has, once.
func (l *lane) read() error {
	l.batch.Reset()
	l.next = 0
	err := l.from.link.ReadBatch(&l.batch)
	l.runts += uint64(l.batch.Runts)
	refs := l.batch.Refs[:0]
	for _, r := range l.batch.Refs {
		if int(r.Len) > l.to.max {
			l.long++
			continue
		}
		refs = append(refs, r)
	}
	l.batch.Refs = refs
	if err != nil {
		return &leftError{l.from, err}
	}
	return nil
}

// write gives to what is on its way, as far as it takes it.
func (l *lane) write() error {
	b := frame.Batch{Buf: l.batch.Buf, Refs: l.batch.Refs[l.next:], Prefixed: l.batch.Prefixed}
	if l.to.deaf {
		l.unread += uint64(len(b.Refs))
		l.next, l.full = len(l.batch.Refs), false
		return nil
	}
	n, err := l.to.link.WriteBatch(&b)
	for _, r := range b.Refs[:n] {
		l.bytes += uint64(r.Len)
	}
	l.frames += uint64(n)
	l.next += n
	l.full = errors.Is(err, link.ErrFull)
	switch {
	case err == nil, l.full:
		return nil
	case errors.Is(err, unix.EPIPE) && l.to.outFD() != l.to.link.FD():
		l.unread += l.takeBack()
		l.to.deaf = true
		return l.write()
	}
	return &leftError{l.to, err}
}

// takeBack uncounts frames that a stream took and did not write, and returns
// how many.
func (l *lane) takeBack() uint64 {
	s, ok := l.to.link.(*stream)
	if !ok {
		return 0
	}
	frames, bytes := s.unwritten()
	s.rest, l.full = nil, false
	l.frames -= frames
	l.bytes -= bytes
	return frames
}

// step carries what can be carried now.
func (l *lane) step() error {
	if !l.waiting() {
		if err := l.read(); err != nil {
			return err // with what it brought before, which finish writes
		}
	}
	if l.waiting() {
		return l.write()
	}
	return nil
}

// pump is a cable that is plugged in.
type pump struct {
	lanes [2]*lane
	wake  int          // eventfd: look at news
	news  func() error // what came from elsewhere; an error ends the cable
	fds   []unix.PollFd
}

// run carries frames until an end leaves or news says so, and returns why.
func (p *pump) run() error {
	for {
		news, err := p.wait(-1, p.lanes[:]...)
		if err == nil && news {
			err = p.news()
		}
		for _, l := range p.lanes {
			if err == nil && l.ready {
				err = l.step()
			}
		}
		if err != nil {
			p.finish(err)
			return err
		}
	}
}

// wait waits until one of lanes is ready to go on, or there is news. With a
// limit it does not look for news.
func (p *pump) wait(limit time.Duration, lanes ...*lane) (news bool, err error) {
	p.fds = p.fds[:0]
	msec, wake := -1, p.wake
	if limit >= 0 {
		msec, wake = int(limit/time.Millisecond), -1
	}
	p.watch(wake, unix.POLLIN)
	for _, l := range lanes {
		control := -1
		if c, ok := l.from.link.(controlled); ok && !l.waiting() {
			control = c.ControlFD()
		}
		p.watch(control, unix.POLLRDHUP)
		if l.waiting() {
			p.watch(l.to.outFD(), unix.POLLOUT)
			continue
		}
		p.watch(l.from.link.FD(), unix.POLLIN)
		if l.batch.More {
			msec = 0
		}
	}
	if _, err := unix.Poll(p.fds, msec); err != nil && !errors.Is(err, unix.EINTR) {
		return false, fmt.Errorf("wait for frames: %w", err)
	}
	for i, l := range lanes {
		l.ready = p.fds[1+2*i].Revents|p.fds[2+2*i].Revents != 0 || l.batch.More && !l.waiting()
	}
	return p.fds[0].Revents != 0, nil
}

// watch has poll look at fd, unless it is negative.
func (p *pump) watch(fd int, events int16) {
	p.fds = append(p.fds, unix.PollFd{Fd: int32(fd), Events: events})
}

// finish brings the frames that the end which left has sent to the other end,
// and counts those that do not arrive.
func (p *pump) finish(why error) {
	var left *leftError
	known := errors.As(why, &left)
	until := time.Now().Add(lastWords)
	for _, l := range p.lanes {
		for known && l.from == left.end && l.waiting() && time.Now().Before(until) {
			if _, err := p.wait(time.Until(until), l); err != nil || l.ready && l.write() != nil {
				break
			}
		}
		l.cut += uint64(len(l.batch.Refs) - l.next)
		l.next = len(l.batch.Refs)
		l.cut += l.takeBack()
	}
}

// lost is how many frames l dropped.
func (l *lane) lost() uint64 { return l.runts + l.long + l.unread + l.cut }

// String says what l has carried and dropped.
func (l *lane) String() string {
	text := fmt.Sprintf("%s -> %s: %d frames, %d bytes", l.from.name, l.to.name, l.frames, l.bytes)
	var drops []string
	for _, d := range []struct {
		n   uint64
		why string
	}{
		{l.runts, "without a header"},
		{l.long, fmt.Sprintf("longer than %d bytes", l.to.max)},
		{l.unread, "that nobody read"},
		{l.cut, "on their way when an end left"},
	} {
		if d.n > 0 {
			drops = append(drops, fmt.Sprintf("%d %s", d.n, d.why))
		}
	}
	if drops == nil {
		return text
	}
	return text + "; dropped " + strings.Join(drops, ", ")
}
