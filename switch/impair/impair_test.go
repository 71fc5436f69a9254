package impair

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetkit/switch/frame"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		text, want string
		c          Cable
	}{
		{"", "none", Cable{}},
		{"none", "none", Cable{}},
		{"delay:20ms", "delay:20ms", both(Settings{Delay: 20 * time.Millisecond})},
		{"in-delay:20ms+out-delay:20ms", "delay:20ms", both(Settings{Delay: 20 * time.Millisecond})},
		{"loss:1%+delay:1.5s+jitter:500us", "delay:1.5s+jitter:500us+loss:1%", both(Settings{Delay: 1500 * time.Millisecond, Jitter: 500 * time.Microsecond, Loss: 0.01})},
		{"out-rate:10Mbit", "out-rate:10M", Cable{Out: Settings{Rate: 10_000_000}}},
		{"rate:1.5M+queue:1s", "rate:1.5M+queue:1s", both(Settings{Rate: 1_500_000, Queue: time.Second})},
		{"rate:64k", "rate:64k", both(Settings{Rate: 64000})},
		{"rate:1234567", "rate:1234567", both(Settings{Rate: 1234567})},
		{"in-loss:33.3%+in-burst:4+dup:0.1%", "in-loss:33.3%+in-burst:4+dup:0.1%", Cable{In: Settings{Loss: 0.333, Burst: 4, Dup: 0.001}, Out: Settings{Dup: 0.001}}},
		{"mtu:1400+reorder:on+seed:7", "mtu:1400+reorder:on+seed:7", both(Settings{MTU: 1400, Reorder: true, Seed: 7})},
		{"in-mtu:68+out-mtu:65535", "in-mtu:68+out-mtu:65535", Cable{In: Settings{MTU: 68}, Out: Settings{MTU: 65535}}},
	} {
		c, err := Parse(tc.text)
		if err != nil || !near(c, tc.c) || c.String() != tc.want {
			t.Errorf("%q: %+v (%v), %v; want %+v (%s)", tc.text, c, c, err, tc.c, tc.want)
		}
	}
	for _, tc := range []struct{ text, words string }{
		{"delay", "want a time"},
		{"delay:", "want a time"},
		{"delay:5", "want a time"},
		{"delay:-5ms", "want a time"},
		{"delay:61s", "want a time"},
		{"delay:1ms+delay:2ms", "twice"},
		{"delay:1ms+in-delay:2ms", "twice"},
		{"lag:1ms", `unknown word "lag"`},
		{"up-delay:1ms", "unknown word"},
		{"loss:5", "percentage"},
		{"loss:101%", "percentage"},
		{"loss:NaN%", "percentage"},
		{"loss:-1%", "percentage"},
		{"rate:0", "bits per second"},
		{"rate:10X", "bits per second"},
		{"rate:1e300G", "bits per second"},
		{"mtu:67", "68"},
		{"burst:0.5+loss:1%", "frames"},
		{"burst:3", "without a loss"},
		{"burst:1+loss:60%", "cannot make"},
		{"queue:1s", "without a rate"},
		{"reorder:maybe", "on or off"},
		{"seed:x", "whole number"},
		{"+", "unknown word"},
	} {
		if c, err := Parse(tc.text); err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%q: %v, %v; want an error with %q", tc.text, c, err, tc.words)
		}
	}
}

func both(s Settings) Cable { return Cable{s, s} }

// near is equality but for what a percentage does to the last digits.
func near(a, b Cable) bool {
	round := func(c Cable) Cable {
		for _, s := range []*Settings{&c.In, &c.Out} {
			s.Loss, s.Dup = math.Round(s.Loss*1e9), math.Round(s.Dup*1e9)
		}
		return c
	}
	return round(a) == round(b)
}

// What String writes means the same to Parse.
func FuzzParse(f *testing.F) {
	f.Add("in-delay:20ms+loss:1%+rate:10M")
	f.Add("burst:3+loss:12.5%+seed:1+reorder:off")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		d, err := Parse(c.String())
		if err != nil || c.String() != d.String() || !near(c, d) {
			t.Fatalf("%q is %v, which is %v, %v", text, c, d, err)
		}
	})
}

// way is a Line with a clock of its own.
type way struct {
	t    *testing.T
	line Line
	now  int64
	sent int
	fate [4]int
	dups int
	out  frame.Batch
}

func newWay(t *testing.T, text string) *way {
	t.Helper()
	c, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	w := &way{t: t, out: frame.Batch{Buf: make([]byte, 192<<10)}}
	w.line.Set(c.In, 0)
	return w
}

// send pushes a frame of n bytes, numbered.
func (w *way) send(n int) {
	f := make([]byte, n)
	binary.BigEndian.PutUint32(f[14:], uint32(w.sent))
	w.sent++
	b := &frame.Batch{Buf: f, Refs: []frame.Ref{{Len: uint32(n)}}}
	fate, dup := w.line.Push(w.now, b, b.Refs[0])
	w.fate[fate]++
	if dup {
		w.dups++
	}
}

// arrival is one frame that came out.
type arrival struct{ at, number, size int }

// rest has all that is held arrive, and tells when each did.
func (w *way) rest() (list []arrival) {
	b := &w.out
	for {
		due, ok := w.line.Next()
		if !ok {
			return list
		}
		w.now = max(w.now, due)
		b.Reset()
		w.line.Pop(w.now, b)
		if len(b.Refs) == 0 {
			w.t.Fatal("Next says that a frame has arrived and Pop has none")
		}
		for _, r := range b.Refs {
			if said := binary.BigEndian.Uint32(b.Buf[r.Off-4:]); !b.Prefixed || said != r.Len {
				w.t.Fatalf("a length of %d before a frame of %d", said, r.Len)
			}
			list = append(list, arrival{int(w.now), int(binary.BigEndian.Uint32(b.Frame(r)[14:])), int(r.Len)})
		}
	}
}

// check is the law: what was sent has arrived or met a fate with a name.
func (w *way) check(arrived int) {
	w.t.Helper()
	if w.sent+w.dups != arrived+w.fate[Lost]+w.fate[Full]+w.fate[TooLong] || w.line.Len() != 0 || w.line.bytes != 0 {
		w.t.Errorf("sent %d, twice %d, arrived %d, fates %v, held %d (%d bytes)", w.sent, w.dups, arrived, w.fate, w.line.Len(), w.line.bytes)
	}
}

func numbers(list []arrival) (n []int) {
	for _, a := range list {
		n = append(n, a.number)
	}
	return n
}

func TestDelay(t *testing.T) {
	w := newWay(t, "delay:10ms")
	for range 100 {
		w.send(60)
		w.now += 1000
	}
	list := w.rest()
	for i, a := range list {
		if want := i*1000 + 10_000_000; a.number != i || a.at != want {
			t.Fatalf("frame %d arrived as number %d at %d ns, want %d", a.number, i, a.at, want)
		}
	}
	w.check(len(list))
}

func TestJitterKeepsOrder(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		w := newWay(t, fmt.Sprintf("delay:10ms+jitter:5ms+seed:1+reorder:%s", map[bool]string{true: "on", false: "off"}[reorder]))
		const gap = 100_000
		for range 2000 {
			w.send(60)
			w.now += gap
		}
		w.now = 0 // they arrive when they are due, not when we look
		list := w.rest()
		low, high := math.MaxInt, 0
		for _, a := range list {
			took := a.at - a.number*gap
			low, high = min(low, took), max(high, took)
			if took < 5_000_000 {
				t.Fatalf("frame %d took %d ns", a.number, took)
			}
		}
		// In order, a frame waits for the one before, and they are dense.
		if reorder && low > 6_000_000 || high < 14_000_000 || high > 15_000_001 {
			t.Errorf("frames took %d to %d ns", low, high)
		}
		if sorted := slices.IsSorted(numbers(list)); sorted == reorder {
			t.Errorf("reorder %t: in order %t", reorder, sorted)
		}
		w.check(len(list))
	}
}

func TestLossAndDup(t *testing.T) {
	const n = 100_000
	for _, tc := range []struct {
		text      string
		loss, dup float64
	}{
		{"loss:10%+seed:1", 0.1, 0},
		{"loss:1%+dup:5%+seed:2", 0.01, 0.05},
		{"loss:100%", 1, 0},
		{"dup:100%", 0, 1},
		{"loss:20%+burst:5+seed:3", 0.2, 0},
		{"loss:60%+burst:10+seed:4", 0.6, 0},
	} {
		w := newWay(t, tc.text)
		arrived, runs, losses := 0, 0, 0
		lost := false
		for range n {
			before := w.fate[Lost]
			w.send(60)
			if w.fate[Lost] > before {
				losses++
				if !lost {
					runs++
				}
			}
			lost = w.fate[Lost] > before
			arrived += len(w.rest())
		}
		w.check(arrived)
		// With a fixed seed these are facts; the bounds say what they mean.
		if got := float64(w.fate[Lost]) / n; math.Abs(got-tc.loss) > 0.02 {
			t.Errorf("%s: lost %.4f", tc.text, got)
		}
		if got := float64(w.dups) / float64(max(1, n-w.fate[Lost])); math.Abs(got-tc.dup) > 0.01 {
			t.Errorf("%s: twice %.4f", tc.text, got)
		}
		if c, _ := Parse(tc.text); c.In.Burst > 0 {
			if got := float64(losses) / float64(runs); math.Abs(got-c.In.Burst) > c.In.Burst/10 {
				t.Errorf("%s: %.2f in a row", tc.text, got)
			}
		}
	}
}

// The same seed, the same luck; another direction, another.
func TestSeed(t *testing.T) {
	luck := func(seed, number uint64) (fates []Fate) {
		var l Line
		l.Set(Settings{Loss: 0.5, Seed: seed}, number)
		b := &frame.Batch{Buf: make([]byte, 60), Refs: []frame.Ref{{Len: 60}}}
		for range 64 {
			f, _ := l.Push(0, b, b.Refs[0])
			fates = append(fates, f)
		}
		return fates
	}
	if !slices.Equal(luck(1, 0), luck(1, 0)) {
		t.Error("the same seed, and other luck")
	}
	if slices.Equal(luck(1, 0), luck(1, 1)) || slices.Equal(luck(1, 0), luck(2, 0)) || slices.Equal(luck(0, 0), luck(0, 0)) {
		t.Error("the same luck where it should differ")
	}
}

func TestRate(t *testing.T) {
	w := newWay(t, "rate:8M+queue:20ms") // a byte takes 1 us
	for range 100 {
		w.send(1000)
	}
	list := w.rest()
	for i, a := range list {
		if want := (i + 1) * 1_000_000; a.at != want {
			t.Fatalf("frame %d arrived at %d ns, want %d", i, a.at, want)
		}
	}
	// One begins at once, twenty may wait up to 20 ms for their turn.
	if len(list) != 21 || w.fate[Full] != 79 {
		t.Errorf("%d arrived, %v", len(list), w.fate)
	}
	w.check(len(list))
	// A line that was idle has no debt and no credit.
	w.now += 1_000_000_000
	start := int(w.now)
	w.send(1000)
	if list := w.rest(); len(list) != 1 || list[0].at != start+1_000_000 {
		t.Errorf("later: %v, from %d", list, start)
	}
}

func TestMTU(t *testing.T) {
	w := newWay(t, "mtu:1400")
	for _, n := range []int{60, 1414, 1415, 9000} {
		w.send(n)
	}
	list := w.rest()
	if !slices.Equal(numbers(list), []int{0, 1}) || w.fate[TooLong] != 2 {
		t.Errorf("%v arrived, %v", numbers(list), w.fate)
	}
	w.check(len(list))
}

// Memory is bounded by bytes and by frames.
func TestBounds(t *testing.T) {
	for _, size := range []int{60, 1514, 9014, frame.MaxLen} {
		w := newWay(t, "delay:1m")
		for range MaxFrames + 10 {
			w.send(size)
			if w.fate[Full] > 0 {
				break
			}
		}
		if w.fate[Full] == 0 || w.line.Len() > MaxFrames || w.line.bytes > MaxBytes || w.line.bytes < MaxBytes/4 && w.line.Len() < MaxFrames {
			t.Errorf("frames of %d bytes: %d held in %d bytes, %v", size, w.line.Len(), w.line.bytes, w.fate)
		}
		w.check(len(w.rest()))
	}
}

// Frames leave with their tags as they should be, and as long as they are.
func TestEdits(t *testing.T) {
	var l Line
	f := make([]byte, 64)
	for i := range f {
		f[i] = byte(i)
	}
	copy(f[12:], []byte{0x81, 0, 0, 5})
	b := &frame.Batch{Buf: f}
	edits := []frame.Edit{0, frame.RemoveTag(), frame.SetTag(9), frame.InsertTag(7)}
	for _, e := range edits {
		l.Push(0, b, frame.Ref{Len: 64, Edit: e})
	}
	out := &frame.Batch{Buf: make([]byte, 192<<10)}
	total := l.Pop(0, out)
	if len(out.Refs) != len(edits) || total != 64+60+64+68 {
		t.Fatalf("%d frames, %d bytes", len(out.Refs), total)
	}
	for i, e := range edits {
		if want := e.Append(nil, f); !bytes.Equal(out.Frame(out.Refs[i]), want) {
			t.Errorf("%v: % x", e, out.Frame(out.Refs[i]))
		}
	}
}

// A change keeps order; Clear has everything arrive at once, in order.
func TestSetAndClear(t *testing.T) {
	w := newWay(t, "delay:1s+jitter:500ms+seed:5+reorder:on")
	for range 50 {
		w.send(60)
	}
	w.line.Set(Settings{Delay: time.Millisecond}, 0)
	w.send(60)
	if due, _ := w.line.Next(); due < 500_000_000 {
		t.Errorf("a frame overtakes after a change: the next arrives at %d", due)
	}
	w.line.Clear()
	list := w.rest()
	if !slices.IsSorted(numbers(list)) || len(list) != 51 || list[50].at != 0 {
		t.Errorf("%v", list)
	}
	w.check(51)
}

func BenchmarkPushPop(b *testing.B) {
	var l Line
	l.Set(Settings{Delay: time.Millisecond, Seed: 1}, 0)
	in := &frame.Batch{Buf: make([]byte, 1514), Refs: []frame.Ref{{Len: 1514}}}
	out := &frame.Batch{Buf: make([]byte, 192<<10), Refs: make([]frame.Ref, 0, 4096)}
	now := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 1000
		l.Push(now, in, in.Refs[0])
		if l.Len() > 2000 {
			b.Fatal("held for too long")
		}
		if now%64000 == 0 {
			out.Reset()
			l.Pop(now, out)
		}
	}
}
