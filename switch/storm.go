package vswitch

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/frame"
)

// Storm bounds how many frames that come in by a port go to all others in a
// second. 0 is no bound.
type Storm struct {
	Broadcast int
	Multicast int
	Unknown   int // to stations that the switch does not know
}

// MaxStorm is the highest bound that means anything.
const MaxStorm = 1_000_000_000

// stormKinds are the words for the kinds of frames, in Storm's order.
var stormKinds = [3]string{"broadcast", "multicast", "unknown"}

func (s *Storm) fields() [3]*int { return [3]*int{&s.Broadcast, &s.Multicast, &s.Unknown} }

// ParseStorm reads one number for each kind of frame (1000), or kinds with
// numbers joined by plus signs (broadcast:1000+unknown:200). "off" and nothing
// mean no bounds.
func ParseStorm(text string) (Storm, error) {
	var s Storm
	if text == "" || text == "off" || text == "none" {
		return s, nil
	}
	for _, part := range strings.Split(text, "+") {
		kind, rate, one := strings.Cut(part, ":")
		if !one {
			kind, rate = "", part
		}
		n, err := number(rate, 1, MaxStorm)
		if err != nil {
			return Storm{}, fmt.Errorf("%w: storm guard %q: %w frames in a second", ErrInvalid, text, err)
		}
		found := false
		for i, f := range s.fields() {
			if kind == stormKinds[i] || !one {
				*f, found = n, true
			}
		}
		if !found {
			return Storm{}, fmt.Errorf("%w: storm guard %q: %q is not broadcast, multicast or unknown", ErrInvalid, text, kind)
		}
	}
	return s, nil
}

// String writes s as ParseStorm reads it.
func (s Storm) String() string {
	switch {
	case s == Storm{}:
		return "off"
	case s.Broadcast == s.Multicast && s.Broadcast == s.Unknown:
		return fmt.Sprint(s.Broadcast)
	}
	var parts []string
	for i, f := range s.fields() {
		if *f != 0 {
			parts = append(parts, fmt.Sprintf("%s:%d", stormKinds[i], *f))
		}
	}
	return strings.Join(parts, "+")
}

func (s Storm) validate() error {
	for i, f := range s.fields() {
		if *f < 0 || *f > MaxStorm {
			return fmt.Errorf("%w: storm guard: %d %s frames in a second: want 1 to %d, or 0 for no bound", ErrInvalid, *f, stormKinds[i], MaxStorm)
		}
	}
	return nil
}

func (s Storm) describe() string {
	if s == (Storm{}) {
		return ""
	}
	return ",storm=" + s.String()
}

// stormGuard is the buckets of a port. The workers that read the port use them,
// and who injects frames.
type stormGuard struct {
	buckets [3]bucket
}

// bucket lets rate frames through in a second, and a tenth of that at once.
type bucket struct {
	rate atomic.Int64 // frames in a second; 0: any number

	mu     sync.Mutex
	tokens int64 // in frames times nanoseconds
	filled int64 // when, in nanoseconds of the switch's life
}

// String says what is let through, as ParseStorm reads it.
func (g *stormGuard) String() string {
	var s Storm
	for i, f := range s.fields() {
		*f = int(g.buckets[i].rate.Load())
	}
	return s.String()
}

func (g *stormGuard) set(s Storm) {
	for i, f := range s.fields() {
		b := &g.buckets[i]
		if b.rate.Swap(int64(*f)) != int64(*f) {
			b.mu.Lock()
			b.tokens = b.depth()
			b.mu.Unlock()
		}
	}
}

// oneFrame is what one frame costs in tokens.
const oneFrame = int64(time.Second)

func (b *bucket) depth() int64 { return max(b.rate.Load()/10, 10) * oneFrame }

// take takes up to n frames' worth out at a time, and returns for how many there
// was enough.
func (b *bucket) take(n int, now int64) int {
	rate := b.rate.Load()
	if rate == 0 {
		return n
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	depth := b.depth()
	if passed := now - b.filled; passed >= depth/rate {
		b.tokens = depth
	} else if passed > 0 {
		b.tokens = min(b.tokens+passed*rate, depth)
	}
	took := min(int64(n), b.tokens/oneFrame)
	b.tokens -= took * oneFrame
	b.filled = max(b.filled, now) // another worker may have looked at the clock later
	return int(took)
}

// stormKind is which of a port's buckets a flood of frames to dst draws from.
func stormKind(dst frame.MAC) int {
	switch {
	case dst == frame.Broadcast:
		return 0
	case dst.IsGroup():
		return 1
	}
	return 2
}

// guard is the storm guard of p: it leaves in t what may go to all, and tells
// whether that is anything.
func (w *worker) guard(p *Port, b *frame.Batch, t *train, drops *[numDropReasons]uint64) bool {
	if w.guardAt == 0 {
		w.guardAt = int64(time.Since(w.sw.started)) // once a batch
	}
	n := p.storm.buckets[stormKind(b.Frame(t.refs[0]).Dst())].take(len(t.refs), w.guardAt)
	if n == len(t.refs) {
		return true
	}
	drops[DropStorm] += uint64(len(t.refs) - n)
	p.note(b, t.refs[n:], DirIn, DropStorm)
	t.refs = t.refs[:n]
	t.bytes, t.longest = 0, 0
	for _, r := range t.refs {
		t.bytes += uint64(r.Len)
		t.longest = max(t.longest, r.Len)
	}
	return n > 0
}
