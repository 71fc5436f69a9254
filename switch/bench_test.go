package vswitch

import (
	"encoding/binary"
	"fmt"
	"testing"

	"vnetkit/switch/frame"
)

// sink is a Link that takes everything at once.
type sink struct{}

func (sink) FD() int                                { return -1 }
func (sink) ReadBatch(*frame.Batch) error           { return nil }
func (sink) WriteBatch(b *frame.Batch) (int, error) { return len(b.Refs), nil }
func (sink) Close() error                           { return nil }

// rig is a worker that is driven by hand, between ports that cost nothing.
type rig struct {
	w     *worker
	ports []*Port
}

func newRig(t testing.TB, keys ...string) *rig {
	t.Helper()
	l := newLab(t, Options{Workers: 1})
	w, err := newWorker(l.sw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.poller.close)
	r := &rig{w: w}
	for i, k := range keys {
		added, err := l.sw.Add(t.Context(), join(fmt.Sprintf("pipe:rig%d,single=on", i), k))
		if err != nil {
			t.Fatal(err)
		}
		l.sw.mu.Lock()
		p := l.sw.ports[added.Port.Config.ID]
		p.worker, p.attached, p.tx.link = w, true, sink{}
		l.sw.mu.Unlock()
		if _, err := l.sw.SetPort(fmt.Sprint(p.id), PortChange{}); err != nil { // shows it
			t.Fatal(err)
		}
		r.ports = append(r.ports, p)
	}
	return r
}

// batchOf lays frames out as a stream brings them.
func batchOf(frames ...[]byte) *frame.Batch {
	b := &frame.Batch{Prefixed: true}
	for _, f := range frames {
		b.Buf = binary.BigEndian.AppendUint32(b.Buf, uint32(len(f)))
		b.Refs = append(b.Refs, frame.Ref{Off: uint32(len(b.Buf)), Len: uint32(len(f))})
		b.Buf = append(b.Buf, f...)
	}
	return b
}

// train is count copies of f.
func trainOf(count int, f []byte) *frame.Batch {
	list := make([][]byte, count)
	for i := range list {
		list[i] = f
	}
	return batchOf(list...)
}

// run forwards batches in turn, in by the first port.
func (r *rig) run(b *testing.B, batches ...*frame.Batch) {
	b.Helper()
	for range 3 { // learn, and let outboxes grow
		for _, batch := range batches {
			r.w.forward(r.ports[0], batch)
		}
	}
	b.ReportAllocs()
	count := 0
	for i := 0; b.Loop(); i++ {
		batch := batches[i%len(batches)]
		r.w.forward(r.ports[0], batch)
		count += len(batch.Refs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(count), "ns/frame")
}

// meet has each port's station be known.
func (r *rig) meet(vid frame.VID) {
	for _, p := range r.ports {
		f := eth(frame.Broadcast, mac(p.id))
		if p.cfg.Bare() != vid {
			f = retag(f, vlan(vid, 0))
		}
		r.w.forward(p, batchOf(f))
	}
}

// One flow, 64 frames a batch: what a busy pair of VMs costs.
func BenchmarkForwardUnicast(b *testing.B) {
	r := newRig(b, "", "")
	r.meet(1)
	r.run(b, trainOf(64, eth(mac(2), mac(1))))
}

// No two neighbours alike: 64 stations behind one port talk to 64 behind another.
func BenchmarkForwardManyFlows(b *testing.B) {
	r := newRig(b, "", "")
	var batches []*frame.Batch
	for i := range 64 {
		r.w.forward(r.ports[1], batchOf(eth(frame.Broadcast, mac(2000+i))))
		var list [][]byte
		for j := range 64 {
			list = append(list, eth(mac(2000+(i+j)%64), mac(1000+j)))
		}
		batches = append(batches, batchOf(list...))
	}
	r.run(b, batches...)
}

// An access port to a trunk: each frame gets a tag.
func BenchmarkForwardTagged(b *testing.B) {
	r := newRig(b, "vlan=10", "vlan=1,tagged=10")
	r.meet(10)
	r.run(b, trainOf(64, eth(mac(2), mac(1))))
}

// Broadcast to eight others.
func BenchmarkFlood8(b *testing.B) {
	r := newRig(b, make([]string, 9)...)
	r.run(b, trainOf(64, eth(frame.Broadcast, mac(1))))
}

// Nothing that a frame can meet allocates memory.
func TestForwardDoesNotAllocate(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		f    func() []byte
	}{
		{"unicast", []string{"", ""}, func() []byte { return eth(mac(2), mac(1)) }},
		{"insert tag", []string{"vlan=10", "vlan=1,tagged=10"}, func() []byte { return eth(mac(2), mac(1)) }},
		{"remove tag", []string{"vlan=1,tagged=10", "vlan=10"}, func() []byte { return eth(mac(2), mac(1), vlan(10, 1)) }},
		{"set tag", []string{"vlan=10", "vlan=1,tagged=10"}, func() []byte { return eth(mac(2), mac(1), vlan(0, 5)) }},
		{"native tagged", []string{"vlan=10,native=tagged", "native=none,tagged=10"}, func() []byte { return eth(mac(2), mac(1)) }},
		{"drop untagged", []string{"native=none,tagged=10", "vlan=10"}, func() []byte { return eth(mac(2), mac(1)) }},
		{"flood", make([]string, 9), func() []byte { return eth(frame.Broadcast, mac(1)) }},
		{"unknown unicast", make([]string, 9), func() []byte { return eth(nobody, mac(1)) }},
		{"mirror", []string{"", "", "mirror=all"}, func() []byte { return eth(mac(2), mac(1)) }},
		{"drop by VLAN", []string{"vlan=10", "vlan=10"}, func() []byte { return eth(mac(2), mac(1), vlan(9, 0)) }},
		{"drop by MTU", []string{"", "mtu=68"}, func() []byte { return ethLen(1000, mac(2), mac(1)) }},
		{"drop bad source", []string{"", ""}, func() []byte { return eth(mac(2), frame.Broadcast) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.keys...)
			r.meet(10)
			r.meet(1)
			batch := trainOf(64, c.f())
			if n := testing.AllocsPerRun(100, func() { r.w.forward(r.ports[0], batch) }); n != 0 {
				t.Errorf("%v allocations a batch", n)
			}
			for i := range 64 { // no two alike
				copy(batch.Frame(batch.Refs[i])[6:], fmt.Sprintf("\x52\x54%04d", i))
			}
			if n := testing.AllocsPerRun(100, func() { r.w.forward(r.ports[0], batch) }); n != 0 {
				t.Errorf("%v allocations a batch of many flows", n)
			}
		})
	}
}
