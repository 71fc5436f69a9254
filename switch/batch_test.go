package vswitch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// recorder is a Link that remembers what it was given.
type recorder struct {
	sink
	got []string
}

func (r *recorder) WriteBatch(b *frame.Batch) (int, error) {
	for _, ref := range b.Refs {
		r.got = append(r.got, string(ref.Edit.Append(nil, b.Frame(ref))))
	}
	return len(b.Refs), nil
}

// Frames that come together are treated as if they had come one by one, however
// alike or different neighbours are.
func TestForwardBatchIsItsFrames(t *testing.T) {
	keys := []string{"", "vlan=10", "vlan=1,tagged=10+20", "isolated=on", "isolated=on", "mtu=100", "vlan=10,transparent=on", "mirror=1:in+3:out", "down=on",
		"native=none,tagged=10+20", "vlan=10,native=tagged,tagged=20"}
	record := func(t *testing.T) (*rig, []*recorder) {
		r := newRig(t, keys...)
		var links []*recorder
		for _, p := range r.ports {
			rec := &recorder{}
			p.tx.link = rec
			links = append(links, rec)
		}
		return r, links
	}
	seeds := uint64(100)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			whole, wholeGot := record(t)
			single, singleGot := record(t)
			for range 20 {
				in := rnd.IntN(len(keys))
				frames := trains(rnd)
				if len(frames) == 0 {
					continue
				}
				whole.w.forward(whole.ports[in], batchOf(frames...))
				for _, f := range frames {
					single.w.forward(single.ports[in], batchOf(f))
				}
			}
			for i := range keys {
				a, b := whole.ports[i].snapshot(), single.ports[i].snapshot()
				if a != b {
					t.Fatalf("port %d (%s) counts %s, want %s", i+1, keys[i], a, b)
				}
				// A mirror sees what came in before what went out, batch by batch.
				x, y := wholeGot[i].got, singleGot[i].got
				if keys[i] == "mirror=1:in+3:out" {
					slices.Sort(x)
					slices.Sort(y)
				}
				if !slices.Equal(x, y) {
					t.Fatalf("port %d (%s) received %d frames, want %d; or others", i+1, keys[i], len(x), len(y))
				}
			}
		})
	}
}

// trains makes frames of which neighbours are often alike, or nearly. None is
// sent to its own sender: one decision serves a train, and only there does the
// second frame depend on what was learned from the first.
func trains(rnd *rand.Rand) (frames [][]byte) {
	macs := []frame.MAC{mac(1), mac(2), mac(3), mac(4), mac(5), frame.Broadcast, {}, {0x01, 0x80, 0xc2, 0, 0, 0}, nobody}
	tags := [][]uint32{nil, nil, nil, {vlan(0, 3)}, {vlan(10, 0)}, {vlan(10, 1)}, {vlan(20, 0)}, {vlan(4095, 0)}, {service(10)}, {vlan(10, 0), vlan(10, 0)}}
	sizes := []int{14, 15, 60, 60, 60, 61, 114, 115, 1514}
	dst, src := macs[rnd.IntN(len(macs))], macs[rnd.IntN(len(macs))]
	for range 1 + rnd.IntN(12) {
		switch rnd.IntN(4) { // mostly only one thing changes
		case 0:
			dst = macs[rnd.IntN(len(macs))]
		case 1:
			src = macs[rnd.IntN(len(macs))]
		}
		if dst == src {
			continue
		}
		f := ethLen(sizes[rnd.IntN(len(sizes))], dst, src, tags[rnd.IntN(len(tags))]...)
		if rnd.IntN(8) == 0 {
			f = f[:min(len(f), 14+rnd.IntN(5))]
		}
		for range 1 + rnd.IntN(3) {
			f = bytes.Clone(f)
			for i := min(len(f), 18); i < len(f); i++ { // payload differs
				f[i] = byte(rnd.Uint32())
			}
			frames = append(frames, f)
		}
	}
	return frames
}

// snapshot is what p counts, as text.
func (p *Port) snapshot() string {
	p.sw.mu.Lock()
	defer p.sw.mu.Unlock()
	i := p.info()
	return fmt.Sprint(i.Rx, i.Tx, i.Drops, i.MACs)
}

// Many send to one at once, through all workers: what arrives of each is in
// order, and what does not is counted.
func TestManySendersKeepOrder(t *testing.T) {
	l := newLab(t, Options{Workers: 3})
	to := l.plug("")
	const senders = 6
	each := 5000
	if testing.Short() {
		each = 1000
	}
	l.introduce(to)
	var from []*station
	for range senders {
		from = append(from, l.plug(""))
	}
	var sending sync.WaitGroup
	for i, s := range from {
		sending.Go(func() {
			for n := range each {
				f := numbered(s.mac, n)
				copy(f, to.mac[:])
				f[20] = byte(i)
				if err := s.TrySend(f); err != nil {
					t.Error(err)
					return
				}
				s.sent.Add(1)
			}
		})
	}
	last := slices.Repeat([]int{-1}, senders)
	got := uint64(0)
	receive := func() bool {
		f, ok := to.Poll()
		if !ok {
			return false
		}
		got++
		if i := f[20]; serial(f) <= last[i] {
			t.Fatalf("sender %d: frame %d came after %d", i, serial(f), last[i])
		} else {
			last[i] = serial(f)
		}
		return true
	}
	l.waitFor("all is received or dropped", func() bool {
		for receive() {
		}
		return got+l.port(to.ref).Drops[DropRingFull] == uint64(senders*each)
	})
	sending.Wait()
	l.settle()
	if p := l.port(to.ref); p.Tx.Frames != got {
		t.Errorf("%d went out, %d were received", p.Tx.Frames, got)
	}
}

// half is a Link that can be made to fail on one side only.
type half struct {
	link.Link
	broken *sync.Map // "read", "write"
}

var errBroken = errors.New("broken on purpose")

func (h half) ReadBatch(b *frame.Batch) error {
	if _, bad := h.broken.Load("read"); bad {
		return errBroken
	}
	return h.Link.ReadBatch(b)
}

func (h half) WriteBatch(b *frame.Batch) (int, error) {
	if _, bad := h.broken.Load("write"); bad {
		return 0, errBroken
	}
	return h.Link.WriteBatch(b)
}

// given is a port kind whose Source yields the Links that a test puts in.
type given chan link.Link

func (g given) kind() link.Kind {
	return link.Kind{Name: "given", Open: func(context.Context, link.Spec, link.Options) (link.Source, error) { return g, nil }}
}

func (g given) Accept(ctx context.Context) (link.Link, error) {
	select {
	case l := <-g:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (g given) Listening() bool { return false }
func (g given) String() string  { return "given:" }
func (g given) Close() error    { return nil }

// A link that fails in writing only, or in reading only, ends all the same.
func TestLinkFailsOnOneSide(t *testing.T) {
	for _, side := range []string{"read", "write"} {
		t.Run(side, func(t *testing.T) {
			links := make(given)
			l := newLab(t, Options{Kinds: []link.Kind{links.kind()}})
			a := l.plug("")
			inner, far := linktest.Pipe(t)
			h := half{inner, &sync.Map{}}
			if _, err := l.sw.Add(t.Context(), "given:"); err != nil {
				t.Fatal(err)
			}
			links <- h
			l.await(func(e Event) bool { return e.Type == EventLinkUp && e.Port != a.id })
			h.broken.Store(side, true)
			err := far.TrySend(eth(frame.Broadcast, nobody))
			if side == "write" { // in reading it may have failed already
				if err != nil {
					t.Fatal(err)
				}
				a.Recv()
				a.Send(eth(frame.Broadcast, a.mac))
			}
			e := l.await(func(e Event) bool { return e.Type == EventLinkDown })
			if e.Text != errBroken.Error() {
				t.Errorf("the link ended because: %s", e.Text)
			}
			far.ExpectEnd()
		})
	}
}

// What waits in the ring goes out before what comes later, also in the moment
// in which nobody has begun to write it.
func TestTransmitGoesBehindTheRing(t *testing.T) {
	r := newRig(t, "")
	p, got := r.ports[0], &recorder{}
	p.tx.link = got
	want := []string{string(numbered(mac(1), 1)), string(numbered(mac(1), 2)), string(numbered(mac(1), 3))}
	p.queue(batchOf([]byte(want[0]), []byte(want[1])), 0, 0)
	last := batchOf([]byte(want[2]))
	p.transmit(last, uint64(len(want[2])))
	if !slices.Equal(got.got, want) {
		t.Errorf("%d frames went out, or in another order", len(got.got))
	}
	if n := p.tx.len.Load(); n != 0 {
		t.Errorf("%d frames are left", n)
	}
}
