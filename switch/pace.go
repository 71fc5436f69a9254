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
const (
	maxHold     = time.Millisecond
	minPace     = 128 << 10 // bytes in maxHold: 1 Gbit/s
	creditAfter = 16 * maxHold
)

// hold stops reading pl until the receivers that are behind have caught up.
func (w *worker) hold(pl *plug, behind []*Port) {
	now := time.Now()
	if now.Before(pl.notBefore) {
		return
	}
	for _, p := range behind {
		if p.addWaiter(pl, now) {
			pl.behind = append(pl.behind, p)
		}
	}
	if len(pl.behind) == 0 {
		return
	}
	pl.until = now.Add(maxHold)
	w.held = append(w.held, pl)
}

// addWaiter notes that pl is held for p, unless p has caught up or has no credit.
func (p *Port) addWaiter(pl *plug, now time.Time) bool {
	t := &p.tx
	t.qmu.Lock()
	defer t.qmu.Unlock()
	if !t.full.Load() {
		return false
	}
	sent := t.bytes.Load()
	if now.Before(t.creditAt) || !t.creditAt.IsZero() && sent == t.mark {
		return false
	}
	if len(t.waiters) == 0 {
		t.mark = sent
	}
	t.waiters = append(t.waiters, pl)
	return true
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
	pl.behind = slices.Delete(pl.behind, i, i+1)
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
		for _, p := range pl.behind {
			if p.wasHeldFor(pl, now) {
				pl.notBefore = now.Add(creditAfter)
			}
		}
		pl.behind = pl.behind[:0]
		w.held = slices.Delete(w.held, i, i+1)
		i--
		w.readOn(pl)
	}
}

// wasHeldFor is called when pl was held for p as long as can be. It tells
// whether p has lost its credit.
func (p *Port) wasHeldFor(pl *plug, now time.Time) bool {
	t := &p.tx
	t.qmu.Lock()
	defer t.qmu.Unlock()
	t.waiters = slices.DeleteFunc(t.waiters, func(h *plug) bool { return h == pl })
	sent := t.bytes.Load()
	slow := sent-t.mark < minPace
	t.creditAt, t.mark = time.Time{}, sent
	if slow {
		t.creditAt = now.Add(creditAfter)
	}
	return slow
}
