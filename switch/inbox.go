package vswitch

import (
	"sync"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// inbox takes BPDUs from workers to the spanning tree's goroutine. It is small
// and of fixed size: who sends a flood of them loses most of it, and nobody
// else's, as each port has only so much room.
type inbox struct {
	news chan struct{} // has a token while there is something

	mu   sync.Mutex
	list [inboxLen]heard
	n    int
}

const (
	inboxLen  = 256
	inboxPort = 8 // of one port
)

// heard is a BPDU that came in.
type heard struct {
	port   *Port
	vid    frame.VID
	tagged bool
	len    int
	bytes  [stp.MaxFrame]byte
}

// put copies a BPDU in. It returns false if there is no room.
func (x *inbox) put(p *Port, vid frame.VID, tagged bool, f frame.Frame) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	mine := 0
	for i := range x.n {
		if x.list[i].port == p {
			mine++
		}
	}
	if x.n == inboxLen || mine >= inboxPort {
		return false
	}
	h := &x.list[x.n]
	x.n++
	h.port, h.vid, h.tagged = p, vid, tagged
	h.len = copy(h.bytes[:], f)
	select {
	case x.news <- struct{}{}:
	default:
	}
	return true
}

// take empties the inbox.
func (x *inbox) take() []heard {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := append([]heard(nil), x.list[:x.n]...)
	clear(x.list[:x.n])
	x.n = 0
	return list
}

// trap takes the BPDUs of a train to the spanning tree, and returns how many
// there was no room for.
func (w *worker) trap(p *Port, b *frame.Batch, t *train, c class) (lost int) {
	b.Bring(t.refs)
	for _, r := range t.refs {
		if !w.sw.span.inbox.put(p, c.vid, c.tag == tagVLAN, b.Frame(r)) {
			lost++
		}
	}
	return lost
}

// hearsBPDU tells whether f is for the spanning tree of this switch. A
// transparent port takes tagged ones through as payload.
func (v *view) hearsBPDU(f frame.Frame) bool {
	return v.hears && stp.IsFrame(f) && !(v.transparent && f.Type() == frame.TypeVLAN)
}

// letters is what waits to be sent until Switch.mu is free.
type letters struct {
	sending sync.Mutex // held while sending, which keeps BPDUs in order

	mu   sync.Mutex
	list []letter // guarded by mu
}

type letter struct {
	port *Port
	f    []byte
}

func (x *letters) put(p *Port, f []byte) {
	x.mu.Lock()
	x.list = append(x.list, letter{p, f})
	x.mu.Unlock()
}

func (x *letters) send() {
	x.sending.Lock()
	defer x.sending.Unlock()
	x.mu.Lock()
	list := x.list
	x.list = nil
	x.mu.Unlock()
	for _, l := range list {
		l.port.say(l.f)
	}
}

// sayRoom is how many BPDUs may wait for a receiver when its ring is full of
// other frames: losing them to those would tear the tree just when there is most
// traffic.
const sayRoom = 64

// say sends a frame of the switch's own by p. It takes the port's bad cable, as
// every other frame does.
func (p *Port) say(f []byte) {
	b := frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}
	if l := p.lines[DirOut].Load(); l != nil && !l.settings().Good() && l.pushReady(nil, &b) {
		return
	}
	if list := p.shared.Load(); list != nil {
		for _, e := range *list {
			e.sayOne(f)
		}
		return
	}
	p.sayOne(f)
}

// sayOne is say to one endpoint.
func (p *Port) sayOne(f []byte) {
	b := frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(len(f))}}}
	t := &p.tx
	t.qmu.Lock()
	limits := t.ring.Limits
	t.ring.Limits.Frames += sayRoom
	t.ring.Limits.Bytes += sayRoom * stp.MaxFrame
	took := t.ring.Push(&b)
	t.ring.Limits = limits
	t.len.Store(int64(t.ring.Len()))
	t.qmu.Unlock()
	if took == 0 {
		p.drops[DropRingFull].Add(1)
		p.note(&b, b.Refs, DirOut, DropRingFull)
	}
	p.drain()
}
