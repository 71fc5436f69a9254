package vswitch

import (
	"encoding/binary"
	"strings"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// superFrame is a broadcast that carries TCP over IPv4 with 3,000 bytes, whose
// checksum is left to be done and which is to be cut at 1,000.
func superFrame() ([]byte, frame.Offload) {
	f := ethLen(14+20+20+3000, frame.Broadcast, mac(1))
	copy(f[12:], []byte{8, 0, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
	f[34+12], f[34+13] = 0x50, 0x10
	return f, frame.Offload{Flags: frame.NeedsCsum, GSO: frame.GSOTCP4, HeadLen: 54, Size: 1000, CsumStart: 34, CsumOffset: 16}
}

func superBatch() *frame.Batch {
	f, o := superFrame()
	b := batchOf(f)
	i, _ := b.AddOffload(o)
	b.Refs[0].Edit = b.Refs[0].Edit.WithOffload(i)
	return b
}

// taker is a Link that takes offload and remembers what it was left.
type taker struct {
	recorder
	left []frame.Offload
}

func (k *taker) Takes() frame.OffloadSet { return frame.CanCsum | frame.CanTCP4 }

func (k *taker) WriteBatch(b *frame.Batch) (int, error) {
	for _, r := range b.Refs {
		if o := b.Offload(r); o != nil {
			k.left = append(k.left, *o)
		}
	}
	return k.recorder.WriteBatch(b)
}

// give plugs a Link into a port of a rig.
func (r *rig) give(i int, l link.Link) { r.ports[i].setLink(l) }

// A super-frame goes whole to whom it may, cut to the others, and the counters
// add up.
func TestSuperFrameToMixedLinks(t *testing.T) {
	r := newRig(t, "", "", "vlan=1", "mtu=600", "mtu=400")
	whole, cut, small, smaller := &taker{}, &recorder{}, &taker{}, &recorder{}
	for i, l := range []link.Link{whole, cut, small, smaller} {
		r.give(i+1, l)
	}
	b := superBatch()
	f := string(b.Frame(b.Refs[0]))
	r.w.forward(r.ports[0], b)
	if len(whole.got) != 1 || whole.got[0] != f || len(whole.left) != 1 || whole.left[0].Size != 1000 {
		t.Errorf("who takes super-frames got %d frames, %+v", len(whole.got), whole.left)
	}
	if len(cut.got) != 3 || len(cut.got[0]) != 1054 {
		t.Errorf("who takes none got %d frames", len(cut.got))
	}
	if len(small.got) != 1 || small.left[0].Size != 560 {
		t.Errorf("behind MTU 600: %d frames, %+v", len(small.got), small.left)
	}
	if len(smaller.got) != 9 || len(smaller.got[0]) != 414 {
		t.Errorf("behind MTU 400: %d frames, the first of %d bytes", len(smaller.got), len(smaller.got[0]))
	}
	if string(b.Frame(b.Refs[0])) != f {
		t.Error("a shared frame was changed")
	}
	for i, want := range []OffloadCount{{}, {}, {Cut: 1, Segments: 3}, {}, {Cut: 1, Segments: 9}} {
		p := r.ports[i].info()
		if p.Offload != want || i > 0 && p.Tx.Frames != max(want.Segments, 1) {
			t.Errorf("port %d counted %+v and %d frames out", i, p.Offload, p.Tx.Frames)
		}
	}
}

// What waits in a ring waits as its link takes it.
func TestSuperFrameInTheRing(t *testing.T) {
	r := newRig(t, "", "", "")
	whole, cut := &taker{}, &recorder{}
	r.give(1, whole)
	r.give(2, cut)
	for _, p := range r.ports[1:] {
		p.tx.full.Store(true)
	}
	r.w.forward(r.ports[0], superBatch())
	if a, b := r.ports[1].tx.len.Load(), r.ports[2].tx.len.Load(); a != 1 || b != 3 {
		t.Fatalf("%d and %d frames wait, want 1 and 3", a, b)
	}
	for _, p := range r.ports[1:] {
		p.tx.full.Store(false)
		p.drain()
	}
	if len(whole.got) != 1 || len(whole.left) != 1 || len(cut.got) != 3 {
		t.Errorf("%d frames with %d left to do, and %d", len(whole.got), len(whole.left), len(cut.got))
	}
	// Another link by now: it may not take what was made ready for the one before.
	b := superBatch()
	p := r.ports[1]
	r.give(1, &recorder{})
	p.queue(b, 0, frame.CanCsum|frame.CanTCP4)
	if p.tx.len.Load() != 0 || p.drops[DropLinkLost].Load() != 1 {
		t.Errorf("%d frames wait for a link that cannot take them", p.tx.len.Load())
	}
}

func TestUnloadDoesNotAllocate(t *testing.T) {
	r := newRig(t, "", "", "mtu=600")
	r.give(1, &quietTaker{})
	b := superBatch()
	run := func() {
		b.Offloads = b.Offloads[:1]
		r.w.forward(r.ports[0], b)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 && !raceEnabled { // which empties pools at will
		t.Errorf("%v allocations", n)
	}
}

type quietTaker struct{ sink }

func (quietTaker) Takes() frame.OffloadSet { return frame.CanCsum | frame.CanTCP4 }

// The trace says what holds for super-frames.
func TestTraceExplainsOffload(t *testing.T) {
	r := newRig(t, "", "", "")
	r.give(0, &taker{})
	r.give(1, &taker{})
	for _, p := range r.ports {
		if _, err := p.sw.SetPort(p.info().Config.Name, PortChange{}); err != nil { // shows it
			t.Fatal(err)
		}
	}
	tr, err := r.ports[0].sw.Trace("1", eth(frame.Broadcast, mac(1)))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, s := range tr.Steps {
		if s.Stage == "offload" {
			said = append(said, s.Text)
		}
	}
	if len(said) != 2 || !strings.Contains(said[0], "as they are") || !strings.Contains(said[1], "are cut") {
		t.Errorf("it says %q", said)
	}
}
