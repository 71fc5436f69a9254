package vswitch

import (
	"context"
	"slices"
	"sync"
	"time"

	"vnetkit/switch/frame"
)

// Direction is a frame's, as seen from the switch.
type Direction uint8

// Directions.
const (
	DirIn  Direction = iota // from the link
	DirOut                  // to the link
)

// CaptureOptions says what to capture.
type CaptureOptions struct {
	Ports  []string               // numbers or names; none: all, those that come later too
	Match  func(frame.Frame) bool // nil: all frames. Runs in the data path, for one frame at a time
	InOnly bool                   // only frames that come in
	Snap   int                    // bytes kept of each frame; 0: all
	Buffer int                    // bytes that may wait to be read; 0: 4 MiB
}

// Captured is a frame as it was on a port's link.
type Captured struct {
	Time    time.Time
	Port    int
	Name    string
	Dir     Direction
	Dropped bool       // it was: on its way in, or on its way out
	Reason  DropReason // if Dropped
	Len     int        // of the frame, bytes
	Data    []byte     // its beginning
}

// Capture copies frames of ports into a buffer until it is closed. It never
// waits for its reader: what does not fit is counted as lost. A port that is
// not captured pays one look at a pointer for each batch.
type Capture struct {
	s     *Switch
	opt   CaptureOptions
	ports []*Port // nil: all

	mu     sync.Mutex
	frames []Captured
	data   []byte // of frames
	lost   uint64 // since the last Read
	signal chan struct{}
	closed bool
}

const (
	defaultCaptureBuffer = 4 << 20
	captureOverhead      = 96 // bytes that a frame takes in the buffer besides its own
)

// Capture starts to capture.
func (s *Switch) Capture(opt CaptureOptions) (*Capture, error) {
	if opt.Buffer <= 0 {
		opt.Buffer = defaultCaptureBuffer
	}
	if opt.Snap <= 0 {
		opt.Snap = frame.MaxLen
	}
	c := &Capture{s: s, opt: opt, signal: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	for _, ref := range opt.Ports {
		p, err := s.find(ref)
		if err != nil {
			return nil, err
		}
		c.ports = append(c.ports, p)
	}
	s.captures = append(s.captures, c)
	for _, p := range s.ports {
		s.tapPort(p)
	}
	return c, nil
}

// tapPort tells p who captures it. Called with mu held.
func (s *Switch) tapPort(p *Port) {
	var taps []*Capture
	for _, c := range s.captures {
		if c.ports == nil || slices.Contains(c.ports, p) {
			taps = append(taps, c)
		}
	}
	if taps == nil {
		p.taps.Store(nil)
		return
	}
	p.taps.Store(&taps)
}

// Close ends the capture. What was captured can still be read.
func (c *Capture) Close() error {
	c.s.mu.Lock()
	c.s.captures = slices.DeleteFunc(c.s.captures, func(o *Capture) bool { return o == c })
	for _, p := range c.s.ports {
		c.s.tapPort(p)
	}
	c.s.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.wake()
	return nil
}

// Read returns what was captured since the last Read, which is the caller's,
// and how many frames were lost in that time. It waits for at least one. It
// fails when the capture or the switch is closed and nothing is left.
func (c *Capture) Read(ctx context.Context) (frames []Captured, lost uint64, err error) {
	for {
		c.mu.Lock()
		frames, lost = c.frames, c.lost
		c.frames, c.data, c.lost = nil, nil, 0
		closed := c.closed
		c.mu.Unlock()
		if len(frames) > 0 || lost > 0 {
			c.nameAll(frames)
			return frames, lost, nil
		}
		if closed {
			return nil, 0, ErrClosed
		}
		select {
		case <-c.signal:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-c.s.done:
			return nil, 0, ErrClosed
		}
	}
}

// nameAll fills in what the data path does not know.
func (c *Capture) nameAll(frames []Captured) {
	t := c.s.top.Load()
	for i := range frames {
		f := &frames[i]
		f.Name = defaultName(f.Port)
		if v := t.get(f.Port); v != nil {
			f.Name = v.name
		}
	}
}

// wake tells the reader that there is something. Called with mu held.
func (c *Capture) wake() {
	select {
	case c.signal <- struct{}{}:
	default:
	}
}

// note shows frames of p to those who capture it.
func (p *Port) note(b *frame.Batch, refs []frame.Ref, dir Direction, reason DropReason) {
	taps := p.whole.taps.Load()
	if taps == nil || len(refs) == 0 {
		return
	}
	b.Bring(refs)
	now := time.Now()
	for _, c := range *taps {
		if c.opt.InOnly && dir == DirOut {
			continue
		}
		c.record(b, refs, Captured{Time: now, Port: p.id, Dir: dir, Dropped: reason != notDropped, Reason: reason})
	}
}

// record copies what matches.
func (c *Capture) record(b *frame.Batch, refs []frame.Ref, as Captured) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for _, r := range refs {
		from := len(c.data)
		c.data = r.Edit.Append(c.data, b.Frame(r))
		f := frame.Frame(c.data[from:])
		as.Len = len(f)
		if c.opt.Match != nil && !c.opt.Match(f) {
			c.data = c.data[:from]
			continue
		}
		end := from + min(len(f), c.opt.Snap)
		if end+(len(c.frames)+1)*captureOverhead > c.opt.Buffer {
			c.data = c.data[:from]
			c.lost++
			continue
		}
		c.data = c.data[:end]
		as.Data = c.data[from:end:end]
		c.frames = append(c.frames, as)
	}
	c.wake()
}
