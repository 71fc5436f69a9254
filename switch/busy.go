package vswitch

import (
	"slices"
	"time"

	"vnetkit/switch/link"
)

// A link that has something to read time after time is busy. As long as it is,
// the worker does not wait for news of it, but looks at it in each round. So
// what arrives makes no news, which spares the sender the way through epoll,
// and both of them the lock that they would meet at. When nothing has come for
// as long as a worker may spin, the link is waited for again.
//
// Some links are busy from their beginning to their end, because somebody has
// asked for it (link.Polled). Their worker never sleeps.

// busyAfter is how often in a row, in times of fast news, a link must have had
// something to read.
const busyAfter = 8

// found notes that pl had something to read.
func (w *worker) found(pl *plug) {
	w.idle = false
	pl.quiet = time.Time{}
	if pl.busy || w.poller.spin <= 0 {
		return
	}
	if !w.poller.spinning {
		pl.streak = 0
		return
	}
	if pl.streak++; pl.streak < busyAfter {
		return
	}
	if err := w.poller.remove(pl.link.FD()); err != nil {
		w.fail(pl, err)
		return
	}
	w.makeBusy(pl)
}

func (w *worker) makeBusy(pl *plug) {
	pl.busy = true
	w.busy = append(w.busy, pl)
}

// listen has the worker told when there is something to read on pl's link.
func (w *worker) listen(pl *plug) error {
	if l, ok := pl.link.(link.Polled); ok && l.Polled() {
		pl.polled = true
		w.polled++
		w.makeBusy(pl)
		return nil
	}
	return w.poller.add(pl.link.FD(), pl.token)
}

// foundNothing notes that pl had nothing to read.
func (w *worker) foundNothing(pl *plug) {
	pl.streak = 0
	if !pl.busy || pl.polled {
		return
	}
	now := time.Now()
	switch {
	case pl.quiet.IsZero():
		pl.quiet = now
	case now.Sub(pl.quiet) >= w.poller.spin:
		w.calm(pl)
	}
}

// calm has pl waited for again. What has come meanwhile is news.
func (w *worker) calm(pl *plug) {
	w.noLongerBusy(pl)
	if len(w.busy) == 0 {
		w.poller.spinning = false // the worker has spun already
	}
	if err := w.poller.add(pl.link.FD(), pl.token); err != nil {
		w.fail(pl, err)
	}
}

func (w *worker) noLongerBusy(pl *plug) {
	pl.busy = false
	w.busy = slices.DeleteFunc(w.busy, func(b *plug) bool { return b == pl })
}

// forget ends waiting for pl, or looking at it.
func (w *worker) forget(pl *plug) {
	if pl.busy {
		w.noLongerBusy(pl)
		if pl.polled {
			w.polled--
		}
		return
	}
	if err := w.poller.remove(pl.link.FD()); err != nil {
		w.sw.log.Debug("forget link", "port", pl.port.id, "error", err)
	}
}

// readBusy has those busy links read in this round that are not held. It tells
// whether there are any.
func (w *worker) readBusy() (any bool) {
	for _, pl := range w.busy {
		if len(pl.behind) == 0 {
			w.readOn(pl)
			any = true
		}
	}
	return any
}
