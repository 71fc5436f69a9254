package vswitch

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/impair"
)

// A port's cable can be made bad on purpose (package impair), in each direction.
// The bad cable lies outside of the port: frames meet it before anything else
// on their way in, and after everything else on their way out. So a mirror and
// a capture show, of frames coming in, those that got through, when they did;
// and of frames going out, a mirror shows those that were sent, a capture those
// that got through. What gets lost a capture shows at once, with the reason.
//
//	in:   counted -> line -> decide, learn, forward      (worker.forward)
//	out:  gathered -> line -> link or ring               (worker.send)
//
// A port without such a cable pays one look at a nil pointer for each batch.
//
// The worker of the port's link lets frames out when it is time; it sleeps no
// longer than until then. Anyone may put frames in. A receiver behind a bad
// cable never holds a sender (pace.go): frames that it cannot take in time are
// dropped, by name.

// ParseImpair reads how bad a port's cable is to be: KEY:VALUE joined by plus
// signs, as in delay:20ms+in-loss:1%. "none" and nothing mean a good one.
func ParseImpair(text string) (impair.Cable, error) {
	c, err := impair.Parse(text)
	if err != nil {
		return c, fmt.Errorf("%w: impair %w", ErrInvalid, err)
	}
	return c, nil
}

// line is one direction of a port's bad cable. It lives as long as the port.
type line struct {
	port *Port
	dir  Direction

	mu     sync.Mutex
	cable  impair.Line // guarded by mu
	worker *worker     // guarded by mu: lets frames out; nil: no link, nothing is held
	told   int64       // guarded by mu: when the worker looks next; 0: it does not

	held atomic.Int64  // cable.Len(); changed under mu
	dups atomic.Uint64 // frames that were made twice
}

// lines are both directions; nil until a port has had a bad cable.
type lines [2]atomic.Pointer[line]

// nanos is the switch's fine clock. It is never 0.
func (s *Switch) nanos() int64 { return int64(time.Since(s.started)) + 1 }

// settings are those of one direction.
func (d Direction) settings(c impair.Cable) impair.Settings {
	if d == DirIn {
		return c.In
	}
	return c.Out
}

// badLine is p's line for what is set now, or nil if that direction is good.
// Called with Switch.mu held.
func (p *Port) badLine(d Direction) *line {
	if d.settings(p.cfg.Impair).Good() {
		return nil
	}
	l := p.lines[d].Load()
	if l == nil {
		l = &line{port: p, dir: d}
		if p.attached {
			l.worker = p.worker
		}
		p.lines[d].Store(l)
	}
	return l
}

// impair puts settings into force, when the topology has them. Frames on a
// cable that is good again arrive at once. Called with Switch.mu held.
func (p *Port) impair(c impair.Cable) {
	for d := range p.lines {
		l := p.lines[d].Load()
		if l == nil {
			continue
		}
		set := Direction(d).settings(c)
		l.mu.Lock()
		l.cable.Set(set, uint64(d))
		w := l.worker
		l.mu.Unlock()
		if set.Good() && w != nil {
			w.do(func() { w.flush(l) })
		}
	}
}

// plugLines has w serve p's lines. Called with Switch.mu held, before w attaches
// the link.
func (p *Port) plugLines(w *worker) {
	for d := range p.lines {
		if l := p.lines[d].Load(); l != nil {
			l.mu.Lock()
			l.worker = w
			l.mu.Unlock()
		}
	}
}

// unplugLines ends that: frames on their way in arrive now, the others have
// nowhere to go. Called on the worker's thread, when the link is gone.
func (w *worker) unplugLines(p *Port) {
	for d := range p.lines {
		l := p.lines[d].Load()
		if l == nil {
			continue
		}
		w.flush(l)
		l.mu.Lock()
		if l.worker == w {
			l.worker, l.told = nil, 0
		}
		l.mu.Unlock()
		w.lines = slices.DeleteFunc(w.lines, func(o *line) bool { return o == l })
	}
}

// reason is the name of a fate.
func reason(f impair.Fate) DropReason {
	switch f {
	case impair.TooLong:
		return DropImpairMTU
	case impair.Lost:
		return DropImpairLoss
	}
	return DropImpairFull
}

// push puts b's frames into l, and counts those that do not get through. It
// returns false if nobody would let them out. What travels on a cable are frames
// that need no more work: super-frames are cut before.
func (l *line) push(w *worker, b *frame.Batch) bool {
	b.Bring(b.Refs)
	if len(b.Offloads) == 0 {
		return l.pushReady(w, b)
	}
	l.mu.Lock()
	dead := l.worker == nil
	l.mu.Unlock()
	if dead {
		return false
	}
	u := unloaders.Get().(*unloader)
	defer unloaders.Put(u)
	for rest := b.Refs; len(rest) > 0; {
		whole := taken(b, rest[0], 0)
		n := 1
		for n < len(rest) && taken(b, rest[n], 0) == whole {
			n++
		}
		u.in = frame.Batch{Buf: b.Buf, Refs: rest[:n], Offloads: b.Offloads, Prefixed: b.Prefixed}
		rest = rest[n:]
		if whole {
			l.pushOrLose(w, &u.in)
			continue
		}
		l.pushCut(w, u)
	}
	u.in = frame.Batch{}
	return true
}

// pushCut is pushReady for frames of u.in, on which work is left.
func (l *line) pushCut(w *worker, u *unloader) {
	u.cutter.Start(&u.in)
	for u.cutter.Next(&u.out) {
		l.pushOrLose(w, &u.out)
	}
	l.port.cut.Add(u.cutter.Cut)
	l.port.segments.Add(u.cutter.Segments)
	l.port.completed.Add(u.cutter.Completed)
}

// pushOrLose is pushReady where the link may just have gone.
func (l *line) pushOrLose(w *worker, b *frame.Batch) {
	if !l.pushReady(w, b) {
		l.port.drops[DropLinkLost].Add(uint64(len(b.Refs)))
		l.port.note(b, b.Refs, l.dir, DropLinkLost)
	}
}

// pushReady is push for frames on which no work is left.
func (l *line) pushReady(w *worker, b *frame.Batch) bool {
	p := l.port
	now := p.sw.nanos()
	var drops [numDropReasons]uint64
	dups := uint64(0)
	l.mu.Lock()
	if l.worker == nil {
		l.mu.Unlock()
		return false
	}
	for i, r := range b.Refs {
		fate, dup := l.cable.Push(now, b, r)
		if dup {
			dups++
		}
		if fate != impair.Held {
			drops[reason(fate)]++
			p.note(b, b.Refs[i:i+1], l.dir, reason(fate))
		}
	}
	l.held.Store(int64(l.cable.Len()))
	l.arm(w)
	l.mu.Unlock()
	l.dups.Add(dups)
	p.countIn(0, 0, &drops)
	return true
}

// arm has l's worker look at it in time. Called on w's thread with mu held.
func (l *line) arm(w *worker) {
	due, ok := l.cable.Next()
	if !ok || l.told != 0 && l.told <= due {
		return
	}
	l.told = due
	if lw := l.worker; lw == w {
		w.watch(l, due)
	} else {
		lw.do(func() { lw.watch(l, due) })
	}
}

// watch has w look at l when it is due. Called on w's thread.
func (w *worker) watch(l *line, due int64) {
	if !slices.Contains(w.lines, l) {
		w.lines = append(w.lines, l)
	}
	if w.due == 0 || due < w.due {
		w.due = due
	}
}

// enter takes a batch that came in by p, whose cable is bad.
func (w *worker) enter(l *line, b *frame.Batch) bool {
	if !l.push(w, b) {
		return false
	}
	bytes := uint64(0)
	for _, r := range b.Refs {
		bytes += uint64(r.Len)
	}
	drops := skipped(b)
	l.port.countIn(uint64(len(b.Refs)+b.Skipped()), bytes, &drops)
	return true
}

// releaseDue lets out what has arrived.
func (w *worker) releaseDue() {
	now := w.sw.nanos()
	if now < w.due {
		return
	}
	w.due = 0
	// What is let out may enter other lines, which are watched then.
	w.served, w.lines = w.lines, w.served[:0]
	for i, l := range w.served {
		w.served[i] = nil
		if next := w.letOut(l, now); next != 0 {
			w.watch(l, next)
		}
	}
}

// letOut lets out what has arrived by now, at most a buffer full, and says when
// to look again; 0: not.
func (w *worker) letOut(l *line, now int64) (next int64) {
	if w.late.Buf == nil {
		w.late = frame.Batch{Buf: make([]byte, bufSize), Refs: make([]frame.Ref, 0, 1024)}
	}
	w.late.Reset()
	l.mu.Lock()
	if l.worker != w {
		l.mu.Unlock()
		return 0
	}
	bytes := l.cable.Pop(now, &w.late)
	l.told, _ = l.cable.Next()
	next = l.told
	l.held.Store(int64(l.cable.Len()))
	l.mu.Unlock()
	if len(w.late.Refs) == 0 {
		return next
	}
	if l.dir == DirOut {
		l.port.transmit(&w.late, bytes)
		return next
	}
	w.arrive(l.port)
	return next
}

// arrive forwards what w.late has, which came in by p a while ago.
func (w *worker) arrive(p *Port) {
	in := w.viewOf(p)
	if in == nil {
		p.drops[DropLinkLost].Add(uint64(len(w.late.Refs)))
		return
	}
	w.carry(in, &w.late, false)
	if pl := w.plugs[p.token]; pl != nil && pl.port == p && len(pl.behind) == 0 {
		w.hold(pl, w.behind)
	}
	w.behind = w.behind[:0]
}

// flush has all that l holds arrive now.
func (w *worker) flush(l *line) {
	l.mu.Lock()
	if l.worker == w {
		l.cable.Clear()
	}
	l.mu.Unlock()
	for w.letOut(l, math.MaxInt64) != 0 {
	}
}

// explain says in words what the cable does to frame f, and the reason if it is
// certain that f does not get through.
func (l *line) explain(f frame.Frame) (text string, why DropReason) {
	set := l.settings()
	switch {
	case set.MTU > 0 && f.Payload() > set.MTU:
		return set.String(), DropImpairMTU
	case set.Loss == 1:
		return set.String(), DropImpairLoss
	}
	return set.String(), notDropped
}

func (l *line) settings() impair.Settings {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cable.Settings()
}

// heldFrames is how many frames travel on p's bad cable now, each way.
func (p *Port) heldFrames() (n [2]int) {
	for d := range p.lines {
		if l := p.lines[d].Load(); l != nil {
			n[d] = int(l.held.Load())
		}
	}
	return n
}

// duplicates is how many frames p's bad cable has made twice, each way.
func (p *Port) duplicates() (n [2]uint64) {
	for d := range p.lines {
		if l := p.lines[d].Load(); l != nil {
			n[d] = l.dups.Load()
		}
	}
	return n
}
