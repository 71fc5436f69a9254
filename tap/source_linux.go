package tap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/link"
)

// How long a Source waits before it makes a device again that was deleted:
// doubling. Who deletes it all the time is not fought all the time.
const (
	againMin = 100 * time.Millisecond
	againMax = 5 * time.Second
)

// source yields one Link after another on one device.
type source struct {
	want wanted
	opt  link.Options
	mtu  atomic.Int64  // of the device
	news chan struct{} // holds a token when something has changed
	done chan struct{} // closed by Close

	mu     sync.Mutex
	dev    *device  // guarded by mu; nil: there is none now
	seen   state    // guarded by mu: what dev was when it was looked at last
	live   *tapLink // guarded by mu; nil: none
	stop   func()   // guarded by mu: ends the watching of dev
	shut   bool     // guarded by mu
	opened time.Time
	wait   time.Duration
}

func open(w wanted, opt link.Options) (link.Source, error) {
	s := &source{want: w, opt: opt, news: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.reopen(); err != nil {
		return nil, err
	}
	return s, nil
}

// reopen opens the device and watches it.
func (s *source) reopen() error {
	d, err := openDevice(s.want)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		d.close()
		return errClosed
	}
	s.dev, s.opened = d, time.Now()
	s.seen = d.state()
	s.mtu.Store(int64(s.seen.mtu))
	s.stop = d.watch(s.look)
	return nil
}

var errClosed = errors.New("the port was removed")

// Accept implements link.Source.
func (s *source) Accept(ctx context.Context) (link.Link, error) {
	var failed error // to make the device again
	for {
		s.look()
		l, err := s.next()
		if failed != nil && errors.Is(err, errDeleted) {
			err = failed
		}
		if s.opt.Retrying != nil {
			s.opt.Retrying(err)
		}
		if err == nil {
			return l, nil
		}
		if errors.Is(err, errDeleted) && s.want.fd >= 0 {
			return nil, fmt.Errorf("%w, and its descriptor is of no more use: remove the port", err)
		}
		if err := s.pause(ctx); err != nil {
			return nil, err
		}
		s.mu.Lock()
		gone := s.dev == nil
		s.mu.Unlock()
		if gone {
			failed = s.reopen()
		}
	}
}

// next makes a Link, if the device is as it must be.
func (s *source) next() (link.Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return nil, errClosed
	case s.dev == nil:
		return nil, fmt.Errorf("tap %s: %w", s.want.name, errDeleted)
	case !s.seen.up:
		return nil, s.downError()
	}
	l, err := s.dev.link(s)
	if err != nil {
		return nil, err
	}
	s.live = l
	return l, nil
}

// downError says that the device is down, and where. Called with mu held.
func (s *source) downError() error {
	if s.seen.moved {
		return fmt.Errorf("tap %s: %w, in another network namespace, where it was moved to", s.seen.name, errDown)
	}
	return fmt.Errorf("tap %s: %w: ip link set %s up", s.seen.name, errDown, s.seen.name)
}

// pause waits for news of the device, or until it is time to look again.
func (s *source) pause(ctx context.Context) error {
	s.mu.Lock()
	limit, news := againMax, s.news // news may be late, or not for us
	if s.dev == nil {
		news = nil
		if time.Since(s.opened) > 2*againMax {
			s.wait = 0
		}
		s.wait = min(max(2*s.wait, againMin), againMax)
		limit = s.wait
	}
	s.mu.Unlock()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-news:
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return errClosed
	}
	return nil
}

// look finds out what has become of the device, and tells those who must know.
func (s *source) look() {
	s.mu.Lock()
	if s.dev == nil || s.shut {
		s.mu.Unlock()
		return
	}
	old, now := s.seen, s.dev.state()
	s.seen = now
	s.mtu.Store(int64(now.mtu))
	l := s.live
	var lost error
	switch {
	case now.gone:
		lost = fmt.Errorf("tap %s: %w", old.name, errDeleted)
		s.forget()
	case !now.up:
		lost = s.downError()
	}
	if lost != nil && l != nil {
		l.failed.Store(&lost)
		s.live = nil
	}
	if now.moved != old.moved && !now.gone {
		s.stop()
		s.stop = s.dev.watch(s.look)
	}
	remark := s.remark()
	s.mu.Unlock()
	switch {
	case l == nil:
	case lost != nil && s.opt.Lost != nil:
		s.opt.Lost(l, lost)
	case lost == nil && now != old && s.opt.Changed != nil:
		s.opt.Changed(l, remark)
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// forget gives up a device that was deleted. Called with mu held.
func (s *source) forget() {
	s.stop()
	s.dev.close()
	s.dev, s.stop = nil, nil
}

// remark says what is not as it was asked for. Called with mu held.
func (s *source) remark() string {
	switch {
	case s.dev == nil:
		return ""
	case s.seen.moved:
		return fmt.Sprintf("device %s was moved to another network namespace", s.seen.name)
	case s.seen.name != s.dev.name:
		return fmt.Sprintf("device %s is called %s now", s.dev.name, s.seen.name)
	}
	return s.dev.remark
}

// describe says what the far end of a Link is.
func (s *source) describe() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.want.name
	if s.seen.name != "" {
		name = s.seen.name
	}
	if s.want.netns != "" && !s.seen.moved {
		name += " in " + s.want.netns
	}
	return "tap " + name
}

// closed is called by a Link that ends.
func (s *source) closed(l *tapLink) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == l {
		s.live = nil
	}
}

// Listening implements link.Source.
func (s *source) Listening() bool { return false }

// String implements link.Source.
func (s *source) String() string {
	if s.want.fd >= 0 {
		return fmt.Sprintf("tap:fd=%d", s.want.fd)
	}
	return "tap:" + s.want.name
}

// Cable implements link.Cabled: into a bridge, if the device is a port of one.
func (s *source) Cable() link.Cable {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen.in.index == 0 {
		return link.Cable{}
	}
	return link.Bridge(s.seen.in.netns, s.seen.in.index, s.seen.in.name, "")
}

// Close implements link.Source. A device that was made here goes when its last
// Link is closed, too.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return nil
	}
	s.shut = true
	close(s.done)
	if s.dev != nil {
		s.forget()
	}
	return nil
}
