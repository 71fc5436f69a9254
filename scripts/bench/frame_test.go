//go:build linux

package main

import (
	"bytes"
	"testing"
)

// made builds a stamped frame as a sender does.
func made(size, vid, stream int, seq uint64) []byte {
	f := make([]byte, size)
	fill(f, portMAC(2, 0), portMAC(1, 0), vid)
	stamp(f, payloadOffset(vid), word(stream, seq))
	return f
}

func TestCheckerCounts(t *testing.T) {
	good := func(seqs ...uint64) (out [][]byte) {
		for _, s := range seqs {
			out = append(out, made(64, 0, 1, s))
		}
		return out
	}
	flip := func(f []byte, at int) []byte {
		f[at] ^= 1
		return f
	}
	for _, c := range []struct {
		name   string
		frames [][]byte
		want   checker
	}{
		{"in order", good(0, 1, 2), checker{frames: 3, bytes: 192}},
		{"begins anywhere", good(7, 8), checker{frames: 2, bytes: 128}},
		{"a gap of three", good(0, 4), checker{frames: 2, bytes: 128, lost: 3}},
		{"twice", good(0, 1, 1, 2), checker{frames: 4, bytes: 256, dup: 1}},
		{"late", good(0, 2, 1, 3), checker{frames: 4, bytes: 256, lost: 1, dup: 1}},
		{"two streams mixed", [][]byte{made(64, 0, 1, 0), made(64, 0, 2, 5), made(64, 0, 1, 1), made(64, 0, 2, 7)},
			checker{frames: 4, bytes: 256, lost: 1}},
		{"sequence number damaged", [][]byte{flip(made(64, 0, 1, 0), 15)}, checker{corrupt: 1}},
		{"end damaged", [][]byte{flip(made(64, 0, 1, 0), 60)}, checker{corrupt: 1}},
		{"cut", [][]byte{made(64, 0, 1, 0)[:60]}, checker{corrupt: 1}},
		{"tag not removed", [][]byte{made(68, 10, 1, 0)}, checker{other: 1}},
		{"hello", [][]byte{made(helloSize, 0, helloStream, 0)}, checker{other: 1}},
		{"runt", [][]byte{{1, 2, 3}}, checker{other: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newChecker(2, 64, 0)
			for _, f := range c.frames {
				got.take(f)
			}
			if got.frames != c.want.frames || got.bytes != c.want.bytes || got.lost != c.want.lost ||
				got.dup != c.want.dup || got.corrupt != c.want.corrupt || got.other != c.want.other {
				t.Errorf("frames %d bytes %d lost %d dup %d corrupt %d other %d", got.frames, got.bytes, got.lost, got.dup, got.corrupt, got.other)
			}
		})
	}
}

func TestCheckerSeesDamagedFilling(t *testing.T) {
	c := newChecker(2, 512, 0)
	for seq := range uint64(fullCheck) {
		f := made(512, 0, 1, seq)
		f[200] ^= 1
		c.take(f)
	}
	if c.corrupt != 1 {
		t.Errorf("corrupt = %d, want 1", c.corrupt)
	}
}

func TestCheckerSetsStrayFramesApart(t *testing.T) {
	c, other := newChecker(2, 64, 0), newChecker(4, 64, 0)
	for seq := range uint64(3) {
		c.take(made(64, 0, 1, seq))
		other.take(made(64, 0, 1, seq))
	}
	if c.frames != 3 || c.other != 0 || other.frames != 0 || other.other != 3 {
		t.Errorf("own port %d and %d, another %d and %d", c.frames, c.other, other.frames, other.other)
	}
	all := made(64, 0, 1, 3)
	copy(all, broadcast[:])
	if other.take(all); other.frames != 1 {
		t.Error("a broadcast is for every port")
	}
}

func TestTaggedFrameIsTheUntaggedOneAndATag(t *testing.T) {
	plain, tagged := made(64, 0, 1, 9), made(68, accessVLAN, 1, 9)
	if !bytes.Equal(tagged[12:16], []byte{0x81, 0, 0, accessVLAN}) {
		t.Errorf("tag % x", tagged[12:16])
	}
	if !bytes.Equal(append(bytes.Clone(tagged[:12]), tagged[16:]...), plain) {
		t.Error("a switch that removes the tag would not make the frame that the receiver expects")
	}
}

func TestCheckerDoesNotAllocate(t *testing.T) {
	c := newChecker(2, 64, 0)
	f, seq := made(64, 0, 1, 0), uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		stamp(f, 14, word(1, seq))
		c.take(f)
		seq++
	}); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func TestTrainIsFramedForTheStreamDoor(t *testing.T) {
	tr := newTrain(60, 2)
	copy(tr.frame(1), "second")
	if !bytes.HasPrefix(tr.buf[64:], []byte("\x00\x00\x00\x3csecond")) || len(tr.buf) != 128 {
		t.Errorf("% x", tr.buf[64:80])
	}
}

func BenchmarkSendSide(b *testing.B) {
	tr := newTrain(64, 64)
	for i := range 64 {
		fill(tr.frame(i), portMAC(2, 0), portMAC(1, 0), 0)
	}
	seq := uint64(0)
	for b.Loop() {
		for i := range 64 {
			stamp(tr.frame(i), 14, word(1, seq))
			seq++
		}
	}
}

func BenchmarkReceiveSide(b *testing.B) {
	tr, c, seq := newTrain(64, 64), newChecker(2, 64, 0), uint64(0)
	for i := range 64 {
		fill(tr.frame(i), portMAC(2, 0), portMAC(1, 0), 0)
	}
	for b.Loop() {
		for i := range 64 {
			stamp(tr.frame(i), 14, word(1, seq))
			seq++
			c.take(tr.frame(i))
		}
	}
}
