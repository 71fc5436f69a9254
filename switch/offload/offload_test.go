package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/gopacket/layers"

	"vnetkit/switch/frame"
)

// slowSum is RFC 1071 word for word.
func slowSum(p []byte) uint16 {
	var s uint32
	for i := 0; i < len(p); i += 2 {
		w := uint32(p[i]) << 8
		if i+1 < len(p) {
			w |= uint32(p[i+1])
		}
		s += w
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSum(t *testing.T) {
	rnd := random(1)
	for n := range 700 {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rnd.IntN(256))
		}
		if n%3 == 0 {
			copy(p, bytes.Repeat([]byte{0xff}, n)) // carries all the way
		}
		var out [2]byte
		binary.NativeEndian.PutUint16(out[:], fold(sum(p, 0)))
		got, want := binary.BigEndian.Uint16(out[:]), slowSum(p)
		if got != want && got^want != 0xffff { // 0 has two forms
			t.Fatalf("sum of %d bytes is %04x, want %04x", n, got, want)
		}
	}
	if got := fold(sum(bytes.Repeat([]byte{0xff}, 64), 1<<64-1)); got != 0xffff {
		t.Errorf("sum of ones is %04x", got)
	}
}

// What a super-frame is cut into is what would have been sent without offload.
func TestCut(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.String(), func(t *testing.T) {
			for _, c := range []struct{ data, size int }{{2, 1}, {3000, 1448}, {2896, 1448}, {2897, 1448}, {64000, 1000}, {9000, 8999}, {1400, 48}} {
				for _, e := range []frame.Edit{0, frame.InsertTag(9), frame.RemoveTag()} {
					if e == frame.RemoveTag() && s.tags == 0 {
						continue
					}
					f, o := (&flow{shape: s, seq: 1<<32 - 2000, id: 65530}).super(t, payload(0, c.data), c.size)
					checked, err := Parse(header(o), f)
					if err != nil || checked != o {
						t.Fatalf("Parse says %+v, %v, want %+v", checked, err, o)
					}
					single := &flow{shape: s, seq: 1<<32 - 2000, id: 65530}
					var want [][]byte
					for from := 0; from < c.data; from += c.size {
						w := single.next(t, payload(from, min(c.size, c.data-from)))
						want = append(want, e.Append(nil, w))
					}
					got, cutter := cutAll(batchOf(e, [][]byte{f}, &checked), 10_000)
					compare(t, got, want)
					if cutter.Cut != 1 || cutter.Segments != uint64(len(want)) || cutter.Completed != 0 {
						t.Errorf("counted %d, %d and %d", cutter.Cut, cutter.Segments, cutter.Completed)
					}
				}
			}
		})
	}
}

func compare(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("frame %d is\n% x, want\n% x", i, got[i][:min(len(got[i]), 90)], want[i][:min(len(want[i]), 90)])
		}
	}
}

// FIN and PSH are the last segment's, CWR the first one's.
func TestCutFlags(t *testing.T) {
	f, o := (&flow{flags: func(h *layers.TCP) { h.FIN, h.PSH, h.CWR, h.ECE = true, true, true, true }}).super(t, payload(0, 250), 100)
	got, _ := cutAll(batchOf(0, [][]byte{f}, &o), 10_000)
	for i, want := range []uint8{tcpACK | tcpCWR | tcpECE, tcpACK | tcpECE, tcpACK | tcpECE | tcpFIN | tcpPSH} {
		if flags := got[i][14+20+13]; flags != want {
			t.Errorf("segment %d has flags %08b, want %08b", i, flags, want)
		}
	}
}

func TestCompleteChecksum(t *testing.T) {
	for _, s := range shapes() {
		for _, n := range []int{0, 1, 2, 1000, 1471} {
			f := (&flow{shape: s}).next(t, payload(3, n))
			half := bytes.Clone(f)
			o := partial(t, half)
			if bytes.Equal(half, f) {
				t.Fatal("nothing is left to be done")
			}
			for _, e := range []frame.Edit{0, frame.InsertTag(9)} {
				got, c := cutAll(batchOf(e, [][]byte{half, f}, &o), 4000)
				compare(t, got, [][]byte{e.Append(nil, f), e.Append(nil, f)})
				if c.Completed != 1 || c.Cut != 0 {
					t.Errorf("counted %d completed, %d cut", c.Completed, c.Cut)
				}
			}
		}
	}
}

// A checksum of 0 would mean that there is none.
func TestCompleteChecksumOfZero(t *testing.T) {
	f := (&flow{shape: shape{udp: true}}).next(t, []byte{0, 0})
	sumNow := binary.BigEndian.Uint16(f[14+20+6:])
	binary.BigEndian.PutUint16(f[len(f)-2:], sumNow) // makes the whole come out as zero
	o := partial(t, f)
	got, _ := cutAll(batchOf(0, [][]byte{f}, &o), 4000)
	if got[0][40] != 0xff || got[0][41] != 0xff {
		t.Errorf("checksum % x, want ff ff", got[0][40:42])
	}
}

// What was cut can be merged, and what was merged cut, to the same frames.
func TestMerge(t *testing.T) {
	for _, s := range shapes() {
		for _, e := range []frame.Edit{0, frame.InsertTag(9)} {
			fl := &flow{shape: s, seq: 1<<32 - 900, id: 65534}
			var frames [][]byte
			for i := range 5 {
				frames = append(frames, fl.next(t, payload(i*400, 400)))
			}
			frames = append(frames, fl.next(t, payload(2000, 17)))
			frames = append(frames, fl.next(t, payload(2017, 400))) // behind a short one
			b := batchOf(e, frames)
			var m Merger
			n := run(&m, b, 0)
			if s.udp || s.options || s.tags == 2 && e != 0 {
				if n != 1 {
					t.Errorf("%v: %d frames were merged", s, n)
				}
				continue
			}
			if n != 6 {
				t.Fatalf("%v: %d frames were merged, want 6", s, n)
			}
			got, _ := cutAll(superOf(t, &m), 10_000)
			for i := range frames[:6] {
				frames[i] = e.Append(nil, frames[i])
			}
			compare(t, got, frames[:6])
		}
	}
}

// run merges from frame i of b on and returns how many there were.
func run(m *Merger, b *frame.Batch, i int) int {
	if !m.Start(b, b.Refs[i]) {
		return 1
	}
	n := 1
	for i+n < len(b.Refs) && m.Add(b, b.Refs[i+n]) {
		n++
	}
	return n
}

// superOf is what m has, checked as if it came in.
func superOf(t *testing.T, m *Merger) *frame.Batch {
	t.Helper()
	head, o := m.Finish()
	whole := append(bytes.Clone(head), bytes.Join(m.Pieces, nil)...)
	checked, err := Parse(header(o), whole)
	if err != nil || checked != o {
		t.Fatalf("the super-frame is not one: %+v, %v, made as %+v", checked, err, o)
	}
	return batchOf(0, [][]byte{whole}, &o)
}

// Only what cutting would give back is merged.
func TestMergeRefuses(t *testing.T) {
	second := func(change func(f []byte, l *layout)) func(*testing.T, shape) (a, b []byte) {
		return func(t *testing.T, s shape) (a, b []byte) {
			fl := &flow{shape: s}
			a, b = fl.next(t, payload(0, 100)), fl.next(t, payload(100, 100))
			var l layout
			l.find(b)
			change(b, &l)
			if !l.v6 {
				checksumIP4(b[l.l3:l.l4])
			}
			b[l.l4+16], b[l.l4+17] = 0, 0
			put(b[l.l4+16:], sum(b[l.l4:l.end], pseudo(l.addrs(b), l.proto, l.end-l.l4)))
			return a, b
		}
	}
	for _, c := range []struct {
		name  string
		merge bool
		make  func(*testing.T, shape) (a, b []byte)
	}{
		{"nothing changed", true, second(func([]byte, *layout) {})},
		{"PSH", true, second(func(f []byte, l *layout) { f[l.l4+13] |= tcpPSH })},
		{"gap", false, second(func(f []byte, l *layout) { f[l.l4+7]++ })},
		{"SYN", false, second(func(f []byte, l *layout) { f[l.l4+13] |= tcpSYN })},
		{"RST", false, second(func(f []byte, l *layout) { f[l.l4+13] |= tcpRST })},
		{"URG", false, second(func(f []byte, l *layout) { f[l.l4+13] |= tcpURG })},
		{"CWR", false, second(func(f []byte, l *layout) { f[l.l4+13] |= tcpCWR })},
		{"ECE", false, second(func(f []byte, l *layout) { f[l.l4+13] |= tcpECE })},
		{"no ACK", false, second(func(f []byte, l *layout) { f[l.l4+13] &^= tcpACK })},
		{"other acknowledgement", false, second(func(f []byte, l *layout) { f[l.l4+11]++ })},
		{"other window", false, second(func(f []byte, l *layout) { f[l.l4+15]++ })},
		{"other options", false, second(func(f []byte, l *layout) { f[l.head-1]++ })},
		{"other source port", false, second(func(f []byte, l *layout) { f[l.l4+1]++ })},
		{"other station", false, second(func(f []byte, _ *layout) { f[11]++ })},
		{"other address", false, second(func(f []byte, l *layout) { l.addrs(f)[3]++ })},
		{"other class", false, second(func(f []byte, l *layout) { f[l.l3+1] += 16 })},
		{"other hop limit", false, second(func(f []byte, l *layout) {
			if l.v6 {
				f[l.l3+7]++
			} else {
				f[l.l3+8]++
			}
		})},
		{"wrong checksum of the second", false, func(t *testing.T, s shape) (a, b []byte) {
			fl := &flow{shape: s}
			a, b = fl.next(t, payload(0, 100)), fl.next(t, payload(100, 100))
			b[len(b)-1]++
			return a, b
		}},
		{"wrong checksum of the first", false, func(t *testing.T, s shape) (a, b []byte) {
			fl := &flow{shape: s}
			a, b = fl.next(t, payload(0, 100)), fl.next(t, payload(100, 100))
			a[len(a)-1]++
			return a, b
		}},
		{"longer than the first", false, func(t *testing.T, s shape) (a, b []byte) {
			fl := &flow{shape: s}
			return fl.next(t, payload(0, 100)), fl.next(t, payload(100, 101))
		}},
		{"nothing in it", false, func(t *testing.T, s shape) (a, b []byte) {
			fl := &flow{shape: s}
			return fl.next(t, payload(0, 100)), fl.next(t, nil)
		}},
		{"first has PSH", false, func(t *testing.T, s shape) (a, b []byte) {
			fl := &flow{shape: s, flags: func(h *layers.TCP) { h.PSH = true }}
			return fl.next(t, payload(0, 100)), fl.next(t, payload(100, 100))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range []shape{{}, {v6: true}, {tags: 1}} {
				x, y := c.make(t, s)
				var m Merger
				n := run(&m, batchOf(0, [][]byte{x, y}), 0)
				if (n == 2) != c.merge {
					t.Errorf("%v: %d frames became one", s, n)
				}
			}
		})
	}
}

// Padding of a short frame is no payload.
func TestMergeLeavesPaddingOut(t *testing.T) {
	fl := &flow{}
	x, y := fl.next(t, payload(0, 3)), fl.next(t, payload(3, 2))
	want := bytes.Clone(x)
	var m Merger
	b := batchOf(0, [][]byte{append(x, 0, 0, 0), append(y, 0, 0)})
	if run(&m, b, 0) != 2 {
		t.Fatal("not merged")
	}
	got, _ := cutAll(superOf(t, &m), 1000)
	if len(got) != 2 || !bytes.Equal(got[0], want) {
		t.Errorf("%d frames, the first is\n% x, want\n% x", len(got), got[0], want)
	}
}

// A super-frame fits into an IP packet, and into what one system call writes.
func TestMergeBounds(t *testing.T) {
	for _, size := range []int{1, 1448, 8948, 32768} {
		fl := &flow{}
		var frames [][]byte
		for i := range 300 {
			frames = append(frames, fl.next(t, payload(i*size, size)))
		}
		b := batchOf(0, frames)
		var m Merger
		n := run(&m, b, 0)
		head, _ := m.Finish()
		if total := len(head) + n*size - 14; n == 300 || total > 65535 || n < maxPieces && total+size <= 65535 {
			t.Errorf("%d frames of %d bytes make %d", n, size, total)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good, o := (&flow{}).super(t, payload(0, 3000), 1000)
	edit := func(change func(h []byte)) []byte {
		h := header(o)
		change(h)
		return h
	}
	u16 := binary.NativeEndian.PutUint16
	for _, c := range []struct {
		name string
		h    []byte
		f    []byte
	}{
		{"no segment size", edit(func(h []byte) { u16(h[4:], 0) }), good},
		{"unknown type", edit(func(h []byte) { h[1] = 3 }), good},
		{"unknown type, high", edit(func(h []byte) { h[1] = 0x7f }), good},
		{"wrong family", edit(func(h []byte) { h[1] = gsoTCP6 }), good},
		{"wrong protocol", edit(func(h []byte) { h[1] = gsoUDP }), good},
		{"checksum elsewhere", edit(func(h []byte) { u16(h[6:], 20) }), good},
		{"checksum behind the end", edit(func(h []byte) { u16(h[6:], 60000) }), good},
		{"checksum just behind the end", edit(func(h []byte) { h[1] = 0; u16(h[6:], uint16(len(good)-17)) }), good},
		{"offset that wraps", edit(func(h []byte) { h[1] = 0; u16(h[6:], 0xffff); u16(h[8:], 0xffff) }), good},
		{"checksum in the Ethernet header", edit(func(h []byte) { h[1] = 0; u16(h[6:], 4) }), good},
		{"header cut off", header(o)[:9], good},
		{"frame cut off", header(o), good[:40]},
		{"longer than its IP packet", header(o), append(bytes.Clone(good), 0)},
		{"a fragment", header(o), func() []byte { f := bytes.Clone(good); f[14+6] |= 0x20; return f }()},
		{"no IP", header(o), func() []byte { f := bytes.Clone(good); f[12] = 0x88; return f }()},
		{"too many segments", edit(func(h []byte) { u16(h[4:], 1) }), good},
	} {
		if got, err := Parse(c.h, c.f); !errors.Is(err, ErrBad) || got != (frame.Offload{}) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// A header's own length means nothing: everybody lies about it.
func TestParseFindsTheHeadersItself(t *testing.T) {
	f, o := (&flow{shape: shape{tags: 2}}).super(t, payload(0, 3000), 1000)
	lie := o
	lie.HeadLen = 5
	if got, err := Parse(header(lie), f); err != nil || got != o {
		t.Errorf("%+v, %v, want %+v", got, err, o)
	}
	o.Size = 3000 // all of it
	if got, err := Parse(header(o), f); err != nil || got.GSO != frame.GSONone || got.Flags != frame.NeedsCsum {
		t.Errorf("one segment: %+v, %v", got, err)
	}
}

func TestLargestAndShrink(t *testing.T) {
	for _, s := range shapes() {
		f, o := (&flow{shape: s}).super(t, payload(0, 30000), 8000)
		segs, _ := cutAll(batchOf(0, [][]byte{f}, &o), 100_000)
		largest := 0
		for _, g := range segs {
			largest = max(largest, frame.Frame(g).Payload())
		}
		if got := Largest(f, &o); got != largest {
			t.Errorf("%v: largest segment has %d bytes, not %d", s, largest, got)
		}
		small, ok := Shrink(f, &o, 1500)
		if ok == s.udp {
			t.Errorf("%v: could be made smaller: %t", s, ok)
		}
		if !ok {
			continue
		}
		segs, _ = cutAll(batchOf(0, [][]byte{f}, &small), 100_000)
		for i, g := range segs {
			n := frame.Frame(g).Payload()
			if n > 1500 || n < 1500 && i < len(segs)-1 {
				t.Errorf("%v: segment %d has %d bytes", s, i, n)
			}
		}
	}
	f := (&flow{}).next(t, payload(0, 3000))
	if _, ok := Shrink(f, nil, 1500); ok {
		t.Error("what came with nothing left to do was made smaller")
	}
}

func TestFlow(t *testing.T) {
	a := (&flow{}).next(t, payload(0, 10))
	back := bytes.Clone(a)
	copy(back[26:30], a[30:34])
	copy(back[30:34], a[26:30])
	copy(back[34:36], a[36:38])
	copy(back[36:38], a[34:36])
	if Flow(a) != Flow(back) {
		t.Error("the way back is another flow")
	}
	b := bytes.Clone(a)
	b[35]++
	if Flow(a) == Flow(b) || Flow(a) == 0 {
		t.Error("two flows are one")
	}
	if Flow(a[:20]) != 0 || Flow(nil) != 0 {
		t.Error("no IP has a flow")
	}
}

// Nothing that anybody sends makes Parse, a Cutter or a Merger fail, or makes
// frames out of nothing.
func FuzzParse(f *testing.F) {
	for _, s := range shapes() {
		b, o := (&flow{shape: s}).super(f, payload(0, 3000), 1000)
		f.Add(header(o), b, uint32(0))
		f.Add(header(partial(f, b)), b, uint32(frame.InsertTag(3)))
	}
	f.Fuzz(func(t *testing.T, h, b []byte, e uint32) {
		if len(b) > frame.MaxLen || len(b) < frame.HeaderLen {
			return
		}
		o, err := Parse(h, b)
		if err != nil {
			return
		}
		edit := frame.Edit(e).WithoutOffload()
		if _, ok := frame.Frame(b).Tag(); !ok && edit.Len(0) <= 0 {
			edit = 0
		}
		batch := batchOf(edit, [][]byte{b, b, b}, &o, &o, &o)
		got, c := cutAll(batch, 2*frame.MaxLen)
		total := 0
		for _, g := range got {
			total += len(g)
		}
		if o.GSO == frame.GSONone && len(got) != 3 || uint64(len(got)) != c.Segments+3-c.Cut || total > 3*(len(b)+maxSegments*(int(o.HeadLen)+4)+4) {
			t.Fatalf("%d bytes became %d frames of %d bytes with %+v", len(b), len(got), total, o)
		}
		if s, ok := Shrink(b, &o, 100); ok {
			cutAll(batchOf(edit, [][]byte{b}, &s), 2*frame.MaxLen)
		}
		Largest(b, &o)
		Flow(b)
		plain := frame.Offload{Flags: o.Flags &^ frame.NeedsCsum}
		var m Merger
		run(&m, batchOf(edit, [][]byte{b, b}, &plain, &plain), 0)
	})
}

func TestNothingAllocates(t *testing.T) {
	f, o := (&flow{}).super(t, payload(0, 60000), 1448)
	b := batchOf(frame.InsertTag(7), [][]byte{f}, &o)
	out := frame.Batch{Buf: make([]byte, 0, 200_000), Refs: make([]frame.Ref, 0, 100)}
	segs, _ := cutAll(b, 100_000)
	plain := batchOf(0, segs)
	var c Cutter
	var m Merger
	run(&m, plain, 0)
	if n := testing.AllocsPerRun(20, func() {
		c.Start(b)
		for c.Next(&out) {
		}
		run(&m, plain, 0)
		m.Finish()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSum(b *testing.B) {
	p := payload(0, 1448)
	b.SetBytes(1448)
	for b.Loop() {
		sum(p, 0)
	}
}

func BenchmarkCut(b *testing.B) {
	f, o := (&flow{}).super(b, payload(0, 60000), 1448)
	in := batchOf(0, [][]byte{f}, &o)
	out := frame.Batch{Buf: make([]byte, 0, 200_000)}
	b.SetBytes(60000)
	var c Cutter
	for b.Loop() {
		c.Start(in)
		for c.Next(&out) {
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	f, o := (&flow{}).super(b, payload(0, 60000), 1448)
	segs, _ := cutAll(batchOf(0, [][]byte{f}, &o), 100_000)
	in := batchOf(0, segs)
	b.SetBytes(60000)
	var m Merger
	for b.Loop() {
		run(&m, in, 0)
		m.Finish()
	}
}
