package vswitch

import (
	"slices"
	"time"
)

// A sender that is faster than its receiver for a moment, because the receiver
// has not been given a CPU yet, is better held for that moment than read: what
// it would send now could only be dropped later. So when a receiver's link is
// full, the source that filled it is not read again until the receiver has
// caught up, but no longer than maxHold.
//
// A receiver that has not taken minPace in that time loses its credit: nobody
// is held for it until it has caught up, or until creditAfter has passed and it
// has moved at all; and a source that was held for such a receiver is not held
// for anyone in that time. So a stuck receiver costs each sender one maxHold,
// slow ones cost it a sixteenth of its time at most, however many they are, and
// all of them overflow their own rings.
//
// A link may ask for more patience (link.Patient) with those who send to it and
// not to everybody. Then they are held as long as it says, for it alone, and it
// keeps its credit if it takes anything in that time. What others send goes on,
// to this receiver, too, as far as its ring has room. Two receivers that wait for
// each other's senders, and take nothing before they are rid of something, do so
// once, and have no credit from then on until one of them moves.
const (
	maxHold     = time.Millisecond
	minPace     = 128 << 10 // bytes in maxHold: 1 Gbit/s
	creditAfter = 16 * maxHold
)

// hold stops reading pl until the receivers that are behind have caught up.
func (w *worker) hold(pl *plug, behind []*Port) {
	now := time.Now()
	limit := maxHold
	if pl.waits = len(w.patient) > 0; pl.waits {
		behind, limit = w.patient, patienceOf(w.patient)
	} else if now.Before(pl.notBefore) {
		return
	}
	pl.marks = pl.marks[:0]
	for _, p := range behind {
		if sent, ok := p.addWaiter(pl, now); ok {
			pl.behind, pl.marks = append(pl.behind, p), append(pl.marks, sent)
		}
	}
	if len(pl.behind) == 0 {
		return
	}
	pl.until = now.Add(limit)
	w.held = append(w.held, pl)
}

// patienceOf is how long one can wait for a list of receivers.
func patienceOf(list []*Port) (least time.Duration) {
	for i, p := range list {
		if d := time.Duration(p.tx.patience.Load()); i == 0 || d < least {
			least = d
		}
	}
	return least
}

// addWaiter notes that pl is held for p, unless p has caught up or has no credit.
func (p *Port) addWaiter(pl *plug, now time.Time) (sent uint64, ok bool) {
	t := &p.tx
	t.qmu.Lock()
	defer t.qmu.Unlock()
	if !t.full.Load() {
		return 0, false
	}
	sent = t.bytes.Load()
	if !pl.waits && now.Before(t.creditAt) || !t.creditAt.IsZero() && sent == t.mark {
		return 0, false
	}
	if pl.waits {
		t.creditAt = time.Time{} // it has moved
	}
	if len(t.waiters) == 0 {
		t.mark = sent
	}
	t.waiters = append(t.waiters, pl)
	return sent, true
}

// caughtUp is called when p may have caught up; if so, whoever is held for it
// goes on. Called on the thread of p's worker.
func (p *Port) caughtUp() {
	t := &p.tx
	t.qmu.Lock()
	if t.full.Load() || t.ring.Len() > 0 {
		t.qmu.Unlock()
		return
	}
	waiters := t.waiters
	t.waiters, t.creditAt = nil, time.Time{}
	t.qmu.Unlock()
	for _, pl := range waiters {
		if w := pl.worker; w == p.worker {
			w.release(pl, p)
		} else {
			w.do(func() { w.release(pl, p) })
		}
	}
}

// release goes on reading pl if p was the last receiver that it was held for.
func (w *worker) release(pl *plug, p *Port) {
	i := slices.Index(pl.behind, p)
	if i < 0 {
		return
	}
	pl.behind, pl.marks = slices.Delete(pl.behind, i, i+1), slices.Delete(pl.marks, i, i+1)
	if len(pl.behind) > 0 {
		return
	}
	w.held = slices.DeleteFunc(w.held, func(h *plug) bool { return h == pl })
	w.readOn(pl)
}

// releaseLate goes on reading those that were held long enough. Receivers that
// did not catch up lose their credit.
func (w *worker) releaseLate() {
	if len(w.held) == 0 {
		return
	}
	now := time.Now()
	for i := 0; i < len(w.held); i++ {
		pl := w.held[i]
		if now.Before(pl.until) {
			continue
		}
		for k, p := range pl.behind {
			if p.wasHeldFor(pl, pl.marks[k], now) {
				pl.notBefore = now.Add(creditAfter)
			}
		}
		pl.behind = pl.behind[:0]
		w.held = slices.Delete(w.held, i, i+1)
		i--
		w.readOn(pl)
	}
}

// wasHeldFor is called when pl was held for p as long as can be, from when p had
// sent as much as mark. It tells whether p has lost its credit.
func (p *Port) wasHeldFor(pl *plug, mark uint64, now time.Time) bool {
	t := &p.tx
	t.qmu.Lock()
	defer t.qmu.Unlock()
	t.waiters = slices.DeleteFunc(t.waiters, func(h *plug) bool { return h == pl })
	sent := t.bytes.Load()
	slow := sent-t.mark < minPace
	switch {
	case pl.waits:
		slow = sent == mark
	case t.patience.Load() > 0:
		return slow // those who wait longer for p are those to judge it
	}
	t.creditAt, t.mark = time.Time{}, sent
	if slow {
		t.creditAt = now.Add(creditAfter)
	}
	return slow
}
