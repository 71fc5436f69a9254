package vswitch

import (
	"bytes"
	"fmt"

	"vnetkit/switch/frame"
)

// Trace is what becomes of a frame, and why.
type Trace struct {
	Steps     []TraceStep     // in the order in which the data path takes them
	Outcome   string          // drop, unicast, flood, or trap: for the switch itself
	Reason    DropReason      // of a drop
	VID       frame.VID       // VLAN that the frame belongs to; 0: not known before it was dropped
	Receivers []TraceReceiver // ports that it would leave by
}

// TraceStep is one decision in words. Stages: port, impair, vlan, source,
// destination, lookup, flood, mirror, egress, offload.
type TraceStep struct{ Stage, Text string }

// TraceReceiver is one port that the frame would leave by, or would have.
type TraceReceiver struct {
	Port    int
	Name    string
	Mirror  bool   // it gets a copy because it watches another port
	Tag     string // what happens to the tag, in words
	Bytes   int    // length of the frame there
	Dropped bool
	Reason  DropReason
}

// Trace says what would become of frame f if it came in by a port now. Nothing
// is learned and nothing is sent. It asks the same decide as the data path.
func (s *Switch) Trace(ref string, f frame.Frame) (Trace, error) {
	s.mu.Lock()
	p, err := s.find(ref)
	s.mu.Unlock()
	if err != nil {
		return Trace{}, err
	}
	if len(f) > frame.MaxLen {
		return Trace{}, fmt.Errorf("%w: frame of %d bytes: at most %d", ErrInvalid, len(f), frame.MaxLen)
	}
	tr := &tracer{s: s, top: s.top.Load(), f: f}
	tr.in = tr.top.get(p.id)
	if tr.in == nil {
		return Trace{}, fmt.Errorf("%w: %q", ErrNoPort, ref)
	}
	tr.run()
	return tr.Trace, nil
}

// tracer puts decide's answers into words.
type tracer struct {
	Trace
	s   *Switch
	top *topology
	in  *view
	f   frame.Frame
	v   verdict
}

func (t *tracer) say(stage, format string, args ...any) {
	t.Steps = append(t.Steps, TraceStep{stage, fmt.Sprintf(format, args...)})
}

func (t *tracer) run() {
	t.say("port", "comes in by %s (port %d), %d bytes", t.in.name, t.in.id, len(t.f))
	if len(t.f) < frame.HeaderLen {
		t.drop("port", DropRunt) // by the link already
		return
	}
	if t.in.badIn != nil && !t.explainLine(t.in.badIn) {
		return
	}
	for _, id := range t.in.mirrorIn {
		t.deliver(t.top.get(id), 0, true)
	}
	t.v.decide(t.top, t.s.fdb, t.in, t.f, t.s.seconds())
	if !t.explainVLAN() {
		return
	}
	if g := t.in.gate; g != nil {
		t.say("port", "the spanning tree lets it learn: %s, carry frames: %s", yesNo(g.learn.Has(t.VID)), yesNo(g.forward.Has(t.VID)))
	}
	switch {
	case t.v.reason == DropBadSource || t.v.reason == DropSpoofed:
		t.drop("source", t.v.reason)
		return
	case t.v.reason == DropReserved:
		t.drop("destination", DropReserved)
		return
	case t.v.reason == DropBlocked && t.v.to == nil:
		t.drop("port", DropBlocked)
		return
	case t.v.outcome == trap:
	case t.v.learn:
		t.say("source", "%v is learned (or refreshed) in VLAN %d behind %s", t.f.Src(), t.VID, t.in.name)
	case t.top.hub:
		t.say("source", "%v is not learned: the switch is a hub", t.f.Src())
	}
	switch t.v.outcome {
	case trap:
		t.Outcome = "trap"
		t.say("destination", "taken by the switch's spanning tree")
	case unicast:
		t.Outcome = "unicast"
		t.say("lookup", "%v in VLAN %d is behind %s (port %d)", t.f.Dst(), t.VID, t.v.to.name, t.v.to.id)
		t.deliver(t.v.to, t.v.edit, false)
	case flood:
		t.explainFlood()
	case drop:
		t.say("lookup", "%v in VLAN %d is in the forwarding table", t.f.Dst(), t.VID)
		t.drop("lookup", t.v.reason)
	}
}

// explainLine tells what the bad cable by which the frame comes in does to it;
// false if it is certain not to arrive.
func (t *tracer) explainLine(l *line) bool {
	text, why := l.explain(t.f)
	t.say("impair", "the cable of %s is bad on purpose (inward %s)", t.in.name, text)
	if why != notDropped {
		t.drop("impair", why)
		return false
	}
	return true
}

// explainVLAN tells the frame's VLAN; false if it was dropped for want of one.
func (t *tracer) explainVLAN() bool {
	switch t.v.reason {
	case DropPortDown, DropBPDUGuard, DropMirrorPort:
		t.drop("port", t.v.reason)
		return false
	case DropVLAN, DropUntagged, DropRunt:
		t.drop("vlan", t.v.reason)
		return false
	}
	c := t.v.class
	t.VID = c.vid
	switch {
	case t.in.transparent:
		t.say("vlan", "VLAN %d, the port's own: it is transparent, tags are payload", c.vid)
	case c.vid == 0:
		t.say("vlan", "none: the port has no native VLAN, and spanning tree frames need none")
	case c.tag == tagNone:
		t.say("vlan", "VLAN %d, the port's own, for a frame without a tag", c.vid)
	case c.tag == tagPriority:
		t.say("vlan", "VLAN %d, the port's own, for a priority tag (priority %d)", c.vid, c.tci>>13)
	default:
		t.say("vlan", "VLAN %d, from its tag (priority %d); the port is a member", c.vid, c.tci>>13)
	}
	return true
}

func (t *tracer) explainFlood() {
	t.Outcome = "flood"
	switch dst := t.f.Dst(); {
	case t.v.reserved:
		t.say("flood", "%v is a reserved link-local address: to transparent ports only", dst)
	case t.top.hub:
		t.say("flood", "to all: the switch is a hub")
	case dst == frame.Broadcast:
		t.say("flood", "to all of VLAN %d: broadcast", t.VID)
	case dst.IsGroup():
		t.say("flood", "to all of VLAN %d: multicast", t.VID)
	default:
		t.say("flood", "to all of VLAN %d: %v is not in the forwarding table", t.VID, dst)
	}
	if t.in.storm {
		t.say("flood", "if the storm guard has not seen too many (%v frames in a second)", &t.in.port.storm)
	}
	any := false
	for _, out := range t.top.receivers(t.v.class.vid) {
		if t.v.reaches(t.in, out) {
			t.deliver(out, out.edit(t.v.class), false)
			any = true
		}
	}
	if !any {
		t.drop("flood", DropNoReceiver)
	}
}

func (t *tracer) drop(stage string, reason DropReason) {
	t.Outcome, t.Reason = "drop", reason
	t.say(stage, "dropped (%v): %s", reason, reason.Sentence())
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// deliver is gather in words.
func (t *tracer) deliver(out *view, e frame.Edit, mirror bool) {
	if out == nil {
		return
	}
	r := TraceReceiver{Port: out.id, Name: out.name, Mirror: mirror, Bytes: e.Len(len(t.f)), Tag: e.String()}
	stage := "egress"
	if mirror {
		stage = "mirror"
	}
	if t.f.Payload() > out.mtu {
		r.Dropped, r.Reason = true, DropMTU
		t.say(stage, "%s (port %d): dropped (%v): %d bytes of payload, MTU %d", out.name, out.id, DropMTU, t.f.Payload(), out.mtu)
	} else {
		t.say(stage, "%s (port %d): %d bytes, %s", out.name, out.id, r.Bytes, r.Tag)
		if l := out.badOut; l != nil {
			text, why := l.explain(t.f)
			t.say("impair", "the cable of %s is bad on purpose (outward %s)", out.name, text)
			if why != notDropped {
				r.Dropped, r.Reason = true, why
				t.say("impair", "%s (port %d): dropped (%v): %s", out.name, out.id, why, why.Sentence())
			}
		}
	}
	t.explainOffload(out)
	t.Receivers = append(t.Receivers, r)
	if r.Dropped && r.Reason == DropMTU {
		return
	}
	for _, id := range out.mirrorOut {
		t.deliver(t.top.get(id), e, true)
	}
}

// Inject has a frame enter the switch as if the port's link had brought it: it
// is counted, learned from and sent on. It returns when that is done.
func (s *Switch) Inject(ref string, f frame.Frame) error {
	if len(f) > frame.MaxLen {
		return fmt.Errorf("%w: frame of %d bytes: at most %d", ErrInvalid, len(f), frame.MaxLen)
	}
	s.mu.Lock()
	p, err := s.find(ref)
	w := s.workers[0]
	if err == nil && p.worker != nil {
		w = p.worker
	}
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case err != nil:
		return err
	}
	b := frame.Batch{Buf: bytes.Clone(f), Refs: []frame.Ref{{Len: uint32(len(f))}}}
	if len(f) < frame.HeaderLen {
		b.Refs, b.Runts = nil, 1
	}
	done := make(chan struct{})
	w.do(func() {
		w.forward(p, &b)
		w.behind = w.behind[:0]
		close(done)
	})
	select {
	case <-done:
		return nil
	case <-s.done:
		return ErrClosed
	}
}
