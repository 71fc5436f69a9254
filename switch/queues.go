package vswitch

import (
	"slices"
	"sync/atomic"

	"vnetkit/switch/link"
)

// A link may bring frames in several places, its queues: the link itself is the
// first. Queues are spread over the workers, which treat each as a link that is
// only read. The port, what it sends and its life belong to the first.

// setLink gives p a link and notes what the link can do. Called with Switch.mu
// held.
func (p *Port) setLink(l link.Link) {
	t := &p.tx
	t.mu.Lock()
	t.qmu.Lock()
	t.link = l
	_, t.borrows = l.(link.Borrower)
	t.takes.Store(0)
	if o, ok := l.(link.Offloader); ok {
		t.takes.Store(uint32(o.Takes()))
	}
	t.patience.Store(0)
	if o, ok := l.(link.Patient); ok {
		t.patience.Store(int64(o.Patience()))
	}
	t.qmu.Unlock()
	t.mu.Unlock()
	p.linkMTU = 0
	if s, ok := l.(link.Sized); ok {
		p.linkMTU = s.MTU()
	}
}

// retake notes what link l of p's takes from now on.
func (p *Port) retake(l link.Link) {
	t := &p.tx
	t.mu.Lock()
	t.qmu.Lock()
	if o, ok := l.(link.Offloader); ok && t.link == l {
		t.takes.Store(uint32(o.Takes()))
	}
	t.qmu.Unlock()
	t.mu.Unlock()
}

// attachLink has l read, and its other queues. Called with Switch.mu held.
func (s *Switch) attachLink(p *Port, l link.Link) {
	s.makeQueues(p, l)
	p.worker.do(func() { p.worker.attach(p, l) })
	for _, pl := range p.queues {
		pl.worker.do(func() { pl.worker.attachQueue(pl) })
	}
}

func (s *Switch) makeQueues(p *Port, l link.Link) {
	p.queues = nil
	q, ok := l.(link.Queued)
	if !ok {
		return
	}
	at := slices.Index(s.workers, p.worker)
	for i, ql := range q.Queues() {
		w := s.workers[(at+1+i)%len(s.workers)]
		p.queues = append(p.queues, &plug{port: p, link: ql, worker: w, token: w.newToken(), queue: true})
	}
}

// attachQueue is attach for a queue. Called on the worker's thread.
func (w *worker) attachQueue(pl *plug) {
	w.plugs[pl.token] = pl
	if err := w.listen(pl); err != nil {
		w.fail(pl, err)
	}
}

// fail ends the life of the link that pl is, or is a queue of.
func (w *worker) fail(pl *plug, err error) {
	p := pl.port
	if !pl.queue {
		w.detach(pl.token, err)
		return
	}
	home, token := p.worker, p.token // they last as long as the queue
	home.do(func() { home.detach(token, err) })
}

// detachQueues has nobody read p's queues any more, closes them and calls then.
func (p *Port) detachQueues(then func()) {
	if len(p.queues) == 0 {
		then()
		return
	}
	var left atomic.Int64
	left.Store(int64(len(p.queues)))
	for _, pl := range p.queues {
		pl.worker.do(func() {
			pl.worker.detachQueue(pl)
			if left.Add(-1) == 0 {
				then()
			}
		})
	}
}

// detachQueue is called on the worker's thread.
func (w *worker) detachQueue(pl *plug) {
	delete(w.plugs, pl.token)
	w.held = slices.DeleteFunc(w.held, func(h *plug) bool { return h == pl })
	w.forget(pl)
	if err := pl.link.Close(); err != nil {
		w.sw.log.Debug("close queue", "port", pl.port.id, "error", err)
	}
}

// lost is called when a Source says that a Link is of no more use.
func (d *door) lost(l link.Link, err error) {
	s := d.sw
	s.mu.Lock()
	p := d.port
	s.mu.Unlock()
	if p == nil {
		return
	}
	p.tx.mu.Lock()
	defer p.tx.mu.Unlock()
	if p.tx.link == l {
		p.endLink(err)
	}
}

// changed is called when a Source says that something about a Link is not as it
// was.
func (d *door) changed(l link.Link, remark string) {
	_ = d.sw.change(func(c *change) error { // fails only if the switch is closed
		p := d.port
		if p == nil || p.removed || !p.attached || !p.holds(l) {
			return nil
		}
		if s, ok := l.(link.Sized); ok {
			p.linkMTU = s.MTU()
		}
		if pl, ok := l.(link.Peered); ok {
			p.peer = pl.Peer()
		}
		p.reason = remark
		c.show(p)
		c.event(EventPortChanged, p, remark)
		d.sw.log.Info("link changed", "port", p.id, "name", p.name(), "mtu", p.mtu(), "remark", remark)
		return nil
	})
}

// holds tells whether l is p's link now.
func (p *Port) holds(l link.Link) bool {
	p.tx.mu.Lock()
	defer p.tx.mu.Unlock()
	return p.tx.link == l
}
