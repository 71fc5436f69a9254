package vswitch

import (
	"encoding/binary"
	"math/bits"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// outbox gathers what one batch has for one receiver. Its Refs point into the
// batch's buffer.
type outbox struct {
	to    *view
	refs  []frame.Ref
	bytes uint64
	alone bool // some of them are for nobody else
}

// train is a run of neighbouring frames in a batch that have the same addresses
// and tag, so that one decision serves them all. Traffic comes in trains: what
// one system call brings is mostly one flow.
type train struct {
	refs    []frame.Ref
	bytes   uint64
	longest uint32 // frame, in bytes
}

// forward finds receivers, or a reason to drop, for the frames of a batch that
// came in by p, and sends what it gathered.
func (w *worker) forward(p *Port, b *frame.Batch) {
	in := w.viewOf(p)
	if in == nil {
		return // removed, and this is the last batch
	}
	if in.badIn != nil && w.enter(in.badIn, b) {
		return // it goes on when it has arrived
	}
	w.carry(in, b, true)
}

// viewOf brings w's topology up to date and finds p in it.
func (w *worker) viewOf(p *Port) *view {
	top := w.sw.top.Load()
	if top != w.top {
		w.useTopology(top)
	}
	p = p.whole
	if in := top.get(p.id); in != nil && in.port == p {
		return in
	}
	return nil
}

// carry is forward for frames that are there; fresh tells that they were not
// counted before.
func (w *worker) carry(in *view, b *frame.Batch, fresh bool) {
	top, p := w.top, in.port
	var bytes uint64
	drops := skipped(b)
	// Trains and verdicts go by pointer: passing them by value costs a stall
	// of the processor's store buffer each time, a third of all in traffic of
	// many flows.
	var t train
	var v verdict
	w.guardAt, w.patient = 0, w.patient[:0]
	for rest := b.Refs; len(rest) > 0; {
		t.take(b.Buf, rest)
		rest = rest[len(t.refs):]
		bytes += t.bytes
		for _, id := range in.mirrorIn {
			if m := top.get(id); m != nil {
				w.gather(m, b, &t, 0)
			}
		}
		w.judge(&v, top, in, b.Frame(t.refs[0]))
		switch v.outcome {
		case unicast:
			w.gather(v.to, b, &t, v.edit)
			if o := &w.out[v.to.id]; len(o.refs) > 0 {
				o.alone = true
			}
		case flood:
			w.sw.ips.look(p, v.class.vid, b.Own(t.refs[0]), w.now)
			if in.storm && !w.guard(p, b, &t, &drops) {
				break
			}
			if !w.flood(in, b, &t, &v) {
				v.reason = DropNoReceiver
				drops[v.reason] += uint64(len(t.refs))
			}
		case trap:
			drops[DropBPDUFlood] += uint64(w.trap(p, b, &t, v.class))
		case drop:
			drops[v.reason] += uint64(len(t.refs))
		}
		p.note(b, t.refs, DirIn, v.reason)
	}
	if fresh {
		p.countIn(uint64(len(b.Refs)+b.Skipped()), bytes, &drops)
	} else {
		p.countIn(0, 0, &drops)
	}
	w.send(b)
}

// take makes t the train at the front of refs.
func (t *train) take(buf []byte, refs []frame.Ref) {
	first := refs[0]
	n, bytes, longest := 1, uint64(first.Len), first.Len
	if first.Len >= frame.HeaderLen+frame.TagLen {
		head := buf[first.Off : first.Off+16 : first.Off+16]
		x0, y0 := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint64(head[8:])
		mask := uint64(1<<48 - 1) // source and type; what follows is payload
		if frame.Frame(head).Type() == frame.TypeVLAN {
			mask = 1<<64 - 1
		}
		y0 &= mask
		for ; n < len(refs); n++ {
			r := refs[n]
			if r.Len < frame.HeaderLen+frame.TagLen {
				break
			}
			head := buf[r.Off : r.Off+16 : r.Off+16]
			x, y := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint64(head[8:])
			if x != x0 || y&mask != y0 {
				break
			}
			bytes += uint64(r.Len)
			longest = max(longest, r.Len)
		}
	}
	t.refs, t.bytes, t.longest = refs[:n], bytes, longest
}

// judge decides on f and learns its source.
func (w *worker) judge(v *verdict, top *topology, in *view, f frame.Frame) {
	if len(f) < frame.HeaderLen {
		*v = verdict{outcome: drop, reason: DropRunt}
		return
	}
	v.decide(top, w.sw.fdb, in, f, w.now)
	if v.learn {
		w.sw.fdb.Learn(fdb.MakeKey(v.class.vid, f.Src().Uint64()), in.id, w.now)
	}
}

// flood gathers t for all receivers of its VLAN but the one it came from, and
// tells whether there were any.
func (w *worker) flood(in *view, b *frame.Batch, t *train, v *verdict) bool {
	any := false
	for _, out := range w.receivers(v.class.vid) {
		if v.reaches(in, out) {
			w.gather(out, b, t, out.edit(v.class))
			any = true
		}
	}
	return any
}

// reaches tells whether a flood from in goes to out, a receiver of its VLAN.
func (v *verdict) reaches(in, out *view) bool {
	return out != in && !(out.isolated && in.isolated) && (!v.reserved || out.transparent)
}

// receivers is the flood list of a VLAN in the current topology.
func (w *worker) receivers(vid frame.VID) []*view {
	list, ok := w.floods[vid]
	if !ok {
		list = w.top.receivers(vid)
		w.floods[vid] = list
	}
	return list
}

// gather puts t into the outbox of a receiver and of those who watch it.
func (w *worker) gather(to *view, b *frame.Batch, t *train, e frame.Edit) {
	if int(t.longest) > to.mtu+frame.HeaderLen {
		w.gatherFitting(to, b, t, e)
		return
	}
	o := &w.out[to.id]
	n := len(o.refs)
	if n == 0 {
		o.to = to
		w.dirty = append(w.dirty, o)
	}
	o.refs = append(o.refs, t.refs...)
	if e != 0 {
		for i := range o.refs[n:] {
			o.refs[n+i].Edit |= e
		}
	}
	o.bytes += t.bytes + uint64(len(t.refs)*e.Len(0))
	for _, id := range to.mirrorOut {
		if m := w.top.get(id); m != nil {
			w.gather(m, b, t, e)
		}
	}
}

// gatherFitting is gather where some frame is long: what exceeds the receiver's
// MTU, tags not counted, is dropped. Of a super-frame its segments count.
func (w *worker) gatherFitting(to *view, b *frame.Batch, t *train, e frame.Edit) {
	for _, r := range t.refs {
		if !fit(b, &r, to.mtu) {
			to.port.drops[DropMTU].Add(1)
			w.one[0] = r
			w.one[0].Edit |= e
			to.port.note(b, w.one[:], DirOut, DropMTU)
			continue
		}
		w.one[0] = r
		w.alone = train{refs: w.one[:], bytes: uint64(r.Len)}
		w.gather(to, b, &w.alone, e)
	}
}

// send hands each receiver its outbox.
func (w *worker) send(b *frame.Batch) {
	for i, o := range w.dirty {
		w.dirty[i] = nil
		w.tx = frame.Batch{Buf: b.Buf, Refs: o.refs, Offloads: b.Offloads, Prefixed: b.Prefixed, Lender: b.Lender, Rests: b.Rests}
		if bad := o.to.badOut; bad != nil && bad.push(w, &w.tx) {
			// it is sent when it has arrived
		} else if p := o.to.port; !p.transmit(&w.tx, o.bytes) {
			w.behind = append(w.behind, p)
			if o.alone && p.tx.patience.Load() > 0 {
				w.patient = append(w.patient, p)
			}
		}
		if cap(o.refs) > keepRefs && len(o.refs) < cap(o.refs)/8 {
			o.refs = make([]frame.Ref, 0, cap(o.refs)/2)
		}
		o.refs, o.bytes, o.alone = o.refs[:0], 0, false
	}
	w.dirty = w.dirty[:0]
}

// keepRefs is the room that an outbox keeps however little is sent to it.
const keepRefs = 64

// useTopology makes t the topology of what follows. Outboxes are empty between
// batches, so they can move.
func (w *worker) useTopology(t *topology) {
	w.top = t
	clear(w.floods)
	if n := len(t.views); n > len(w.out) {
		w.out = append(w.out, make([]outbox, 1<<bits.Len(uint(n))-len(w.out))...)
	}
}
