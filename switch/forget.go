package vswitch

import (
	"sync/atomic"

	"vnetkit/switch/fdb"
)

// forget has what was learned behind p be forgotten, as it was learned by rules
// that hold no longer. A worker may learn by them for the rest of its batch: when
// each has come round, what it learned so is forgotten, too.
func (c *change) forget(p *Port, static bool) {
	s := c.s
	c.then = append(c.then, func() {
		s.fdb.FlushPort(p.id, static)
		left := new(atomic.Int32)
		left.Store(int32(len(s.workers)))
		for _, w := range s.workers {
			w.do(func() {
				if left.Add(-1) == 0 {
					s.forgetStrangers(p)
				}
			})
		}
	})
}

// forgetStrangers forgets what could not be learned behind p now. It runs on a
// worker's thread, which has nothing to do there but in the rare case.
func (s *Switch) forgetStrangers(p *Port) {
	v := s.top.Load().get(p.id)
	if v != nil && v.port != p {
		return // the number is another port's by now, and what it learned cannot be told from this
	}
	s.fdb.FlushPortIf(p.id, func(e fdb.Entry) bool { return !e.Static && (v == nil || !v.learns(e)) })
}

// learns tells whether e can be learned behind v.
func (v *view) learns(e fdb.Entry) bool {
	return !v.down && !v.monitor && v.member(e.VID) && (v.sources == nil || v.sources.allow(e.MAC))
}
