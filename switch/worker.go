package vswitch

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

const (
	// bufSize is a worker's receive buffer: it bounds how much one read can
	// take, and fits into a core's second-level cache.
	bufSize = 192 << 10
)

// errUrgent ends a link at once: nothing that speaks to a switch sends
// out-of-band data, and it would hide what lies behind it in the stream.
var errUrgent = errors.New("out-of-band data in the stream")

// worker is a thread that carries frames.
type worker struct {
	sw     *Switch
	poller *poller
	ports  atomic.Int64 // links here; for choosing a worker
	buf    []byte       // what links read into
	done   chan struct{}

	mu    sync.Mutex
	todo  []func() // guarded by mu: what others want done on this thread
	token uint64   // guarded by mu: the latest one given out

	// What follows is used by the worker's own thread only.
	plugs   map[uint64]*plug // by token
	ready   []ready
	batch   frame.Batch  // what ReadBatch fills
	tx      frame.Batch  // what transmit is given
	one     [1]frame.Ref // what alone consists of
	alone   train        // a frame that is looked at by itself
	now     uint32       // second of the switch's life
	guardAt int64        // time of the present batch for storm guards; 0: not read yet
	top     *topology
	out     []outbox // by port number; empty between batches
	dirty   []*outbox
	// floods keeps flood lists for as long as top lasts.
	floods map[frame.VID][]*view
	behind []*Port // receivers that did not take all of the present batch
	held   []*plug
	// unread lists links that have, or may have, something to read; reading
	// is the list that is being worked off.
	unread, reading []*plug
	quit            bool

	busy   []*plug // links that are looked at in each round (busy.go)
	polled int     // how many of them are for ever
	idle   bool    // the latest round found nothing at all

	patient []*Port // those of behind that the sender is to wait for longer (pace.go)

	lines, served []*line // bad cables with frames on them (impaired.go)
	due           int64   // when the first of those frames arrives; 0: none
	late          frame.Batch
}

// plug is a link in a worker's care. The worker's thread owns it.
type plug struct {
	port   *Port
	link   link.Link
	worker *worker // static
	token  uint64  // static
	queue  bool    // static: is one of the queues of a Link that is in care elsewhere

	unread bool    // is in worker.unread
	ended  bool    // will yield nothing new: is read to its end
	behind []*Port // receivers it is held for: it is not read
	until  time.Time
	waits  bool      // they are patient ones
	marks  []uint64  // what each of them had sent when it was held
	busy   bool      // is in worker.busy, and not in its poller
	polled bool      // is busy for ever
	streak int       // how often in a row it had something to read, until it is busy
	quiet  time.Time // since when it is busy for nothing; zero: it had something to read
	// notBefore is when it may be held again, after it was held in vain.
	notBefore time.Time
}

func newWorker(s *Switch) (*worker, error) {
	p, err := newPoller(s.opt.Spin)
	if err != nil {
		return nil, err
	}
	return &worker{
		sw:     s,
		poller: p,
		done:   make(chan struct{}),
		plugs:  map[uint64]*plug{},
		buf:    make([]byte, bufSize),
		batch:  frame.Batch{Refs: make([]frame.Ref, 0, 4096)},
		top:    &topology{},
		floods: map[frame.VID][]*view{},
	}, nil
}

// run carries frames until stop.
func (w *worker) run() {
	defer close(w.done)
	defer w.poller.close()
	for !w.quit {
		var woken bool
		var err error
		if (w.readBusy() || w.polled > 0) && w.idle {
			w.poller.yield()
		}
		w.ready, woken, err = w.poller.wait(w.ready[:0], w.timeout())
		if err != nil {
			w.sw.log.Error("worker cannot wait for links, its ports are dead", "error", err)
			return
		}
		w.now = w.sw.seconds()
		w.idle = len(w.ready) == 0
		for _, r := range w.ready {
			pl := w.plugs[r.token]
			if pl == nil {
				continue // unplugged a moment ago
			}
			if r.writable {
				pl.port.writable()
			}
			if r.urgent {
				w.fail(pl, errUrgent)
				continue
			}
			if r.readable {
				pl.ended = pl.ended || r.ended
				w.readOn(pl)
			}
		}
		if woken {
			w.work()
		}
		w.releaseLate()
		if w.due != 0 {
			w.releaseDue()
		}
		w.reading, w.unread = w.unread, w.reading[:0]
		for _, pl := range w.reading {
			pl.unread = false
			w.receive(pl)
		}
	}
}

// timeout is how long the worker may wait for news: not at all, until it has to
// look after those it holds, until a frame arrives from a bad cable, or for ever.
func (w *worker) timeout() time.Duration {
	limit := time.Duration(-1)
	switch {
	case len(w.unread) > 0 || w.polled > 0:
		return 0
	case len(w.held) > 0:
		limit = maxHold
	}
	if w.due != 0 {
		soon := max(0, time.Duration(w.due-w.sw.nanos()))
		if limit < 0 || soon < limit {
			limit = soon
		}
	}
	return limit
}

// readOn has pl read in this round.
func (w *worker) readOn(pl *plug) {
	if !pl.unread {
		pl.unread = true
		w.unread = append(w.unread, pl)
	}
}

// receive takes what a link has, once. If there may be more, it goes on in the
// next round, after the others.
func (w *worker) receive(pl *plug) {
	if len(pl.behind) > 0 || w.plugs[pl.token] != pl {
		return // held: release goes on
	}
	w.batch.Reset()
	w.batch.Buf, w.batch.Lend = w.buf, true
	err := pl.link.ReadBatch(&w.batch)
	if w.batch.Changed {
		pl.port.retake(pl.link)
	}
	got := len(w.batch.Refs)+w.batch.Skipped() > 0
	if got {
		w.forward(pl.port, &w.batch)
	}
	if w.batch.Lender != nil {
		w.batch.Lender.Return()
	}
	if err != nil {
		w.behind = w.behind[:0]
		w.fail(pl, err)
		return
	}
	if len(w.behind) > 0 {
		w.hold(pl, w.behind)
		w.behind = w.behind[:0]
	}
	if len(pl.behind) == 0 && (w.batch.More || pl.ended) {
		w.readOn(pl)
	}
	if got {
		w.found(pl)
	} else {
		w.foundNothing(pl)
	}
}

// newToken returns a name for a link that no other link of this worker has had.
func (w *worker) newToken() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.token++
	return w.token
}

// do has f called on the worker's thread, soon.
func (w *worker) do(f func()) {
	w.mu.Lock()
	w.todo = append(w.todo, f)
	w.mu.Unlock()
	w.poller.wake()
}

func (w *worker) work() {
	w.mu.Lock()
	todo := w.todo
	w.todo = nil
	w.mu.Unlock()
	for _, f := range todo {
		f()
	}
}

// attach takes a link into care. Called on the worker's thread.
func (w *worker) attach(p *Port, l link.Link) {
	pl := &plug{port: p, link: l, worker: w, token: p.token}
	w.plugs[p.token] = pl
	if err := w.listen(pl); err != nil {
		w.detach(pl.token, err)
		return
	}
	if c, ok := l.(link.Controlled); ok {
		if err := w.poller.addControl(c.ControlFD(), p.token); err != nil {
			w.detach(pl.token, err)
			return
		}
	}
	p.writable() // others may have filled it, and the news came too early
	w.readOn(pl) // and if it has failed already, reading tells
}

// detach ends the life of a port's link, for the reason err, unless it has ended
// already. From here on nobody uses the link, and none of the port's addresses
// is learned any more. Called on the worker's thread; by now the port may have
// another link, even in the care of another worker.
func (w *worker) detach(token uint64, err error) {
	pl := w.plugs[token]
	if pl == nil {
		return
	}
	p, l := pl.port, pl.link
	delete(w.plugs, token)
	w.held = slices.DeleteFunc(w.held, func(h *plug) bool { return h == pl })
	w.forget(pl)
	p.tx.mu.Lock()
	p.tx.link = nil
	p.tx.full.Store(false)
	p.tx.watch.close(w.poller)
	p.tx.mu.Unlock()
	w.unplugLines(p)
	p.abandon()
	p.caughtUp()
	w.ports.Add(-1)
	p.detachQueues(func() {
		if e := l.Close(); e != nil {
			w.sw.log.Debug("close link", "port", p.id, "error", e)
		}
		w.sw.fdb.FlushPort(p.id, false)
		p.lost <- err // has room: a port has one link at a time
	})
}

// stop ends the thread; links must be detached before.
func (w *worker) stop() {
	w.do(func() { w.quit = true })
	<-w.done
}

// seconds is the switch's coarse clock: its age.
func (s *Switch) seconds() uint32 { return uint32(time.Since(s.started) / time.Second) }
