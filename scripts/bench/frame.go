//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
)

// A test frame on the wire, without FCS:
//
//	0   destination MAC          52:54:00 + port (u16) + index (u8), or broadcast
//	6   source MAC               the same
//	12  [802.1Q tag]             only where a job says so
//	12  ethertype 0x88B5         "local experimental 1": no host stack answers it
//	14  word: stream (u16) + sequence number (48 bits), little endian
//	22  filling, the same in every frame of one size
//	-8  the word again, xor tailMask: a cut, shifted or mixed frame does not pass
//
// A stream is what one sender sends to one port (or to all, by broadcast); its sequence numbers count its frames, so every
// gap a receiver sees is a lost frame.
const (
	etherTest   = 0x88B5
	etherVLAN   = 0x8100
	tailMask    = 0x5ca1ab1e0ddba11
	seqMask     = 1<<48 - 1
	helloStream = 0xffff // teaches the switch a MAC; receivers skip it
	helloSize   = 60
	minSize     = 60
	fullCheck   = 1024 // one frame in this many has its filling compared as well
)

type mac [6]byte

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// portMAC is the index'th address behind a port of the test bed.
func portMAC(port, index int) mac {
	return mac{0x52, 0x54, 0x00, byte(port >> 8), byte(port), byte(index)}
}

// fill writes a whole frame into f. A vid above zero makes it a tagged one.
func fill(f []byte, dst, src mac, vid int) {
	copy(f, dst[:])
	copy(f[6:], src[:])
	off := payloadOffset(vid)
	if vid > 0 {
		binary.BigEndian.PutUint16(f[12:], etherVLAN)
		binary.BigEndian.PutUint16(f[14:], uint16(vid))
	}
	binary.BigEndian.PutUint16(f[off-2:], etherTest)
	for i := off; i < len(f); i++ {
		f[i] = byte(len(f) - i) // counted from the end: the same with and without a tag
	}
}

func payloadOffset(vid int) int {
	if vid > 0 {
		return 18
	}
	return 14
}

// stamp sets the two words of a filled frame.
func stamp(f []byte, off int, word uint64) {
	binary.LittleEndian.PutUint64(f[off:], word)
	binary.LittleEndian.PutUint64(f[len(f)-8:], word^tailMask)
}

func word(stream int, seq uint64) uint64 { return uint64(stream)<<48 | seq&seqMask }

// checker counts what arrives at one port. It looks at the ethertype and two words of each frame, and at every byte of
// one frame in fullCheck.
type checker struct {
	want int // length of a good frame
	off  int // where its word stands
	port int // whose frames these are; others' unicast is counted in other: the switch has flooded it

	frames, bytes, lost, dup, corrupt, other uint64

	stream  int // the stream of the last frame, and the number it should have next
	next    uint64
	streams map[int]uint64
	filling []byte
}

func newChecker(port, size, vid int) *checker {
	f := make([]byte, size)
	fill(f, mac{}, mac{}, vid)
	return &checker{want: size, off: payloadOffset(vid), port: port, stream: -1, streams: map[int]uint64{}, filling: f}
}

// take is called with every frame that arrives.
func (c *checker) take(f []byte) {
	if len(f) != c.want || binary.BigEndian.Uint16(f[c.off-2:]) != etherTest {
		c.strange(f)
		return
	}
	w := binary.LittleEndian.Uint64(f[c.off:])
	if w^binary.LittleEndian.Uint64(f[len(f)-8:]) != tailMask {
		c.corrupt++
		return
	}
	if f[0]&1 == 0 && int(binary.BigEndian.Uint16(f[3:])) != c.port {
		c.other++
		return
	}
	stream, seq := int(w>>48), w&seqMask
	if stream != c.stream || seq != c.next {
		c.jump(stream, seq)
	}
	c.next = max(c.next, seq+1)
	c.frames++
	c.bytes += uint64(len(f))
	if c.frames%fullCheck == 0 && !bytes.Equal(f[c.off+8:len(f)-8], c.filling[c.off+8:len(f)-8]) {
		c.corrupt++
	}
}

// jump handles the first frame of a stream, a change of stream and a number that is not the next one.
func (c *checker) jump(stream int, seq uint64) {
	if stream != c.stream {
		if c.stream >= 0 {
			c.streams[c.stream] = c.next
		}
		next, known := c.streams[stream]
		if !known {
			next = seq // the first frame of a stream sets its count
		}
		c.stream, c.next = stream, next
	}
	switch {
	case seq > c.next:
		c.lost += seq - c.next
	case seq < c.next:
		c.dup++
	}
}

// strange sorts what is not a frame of this test: hellos and the switch's own frames are other, the rest is damage.
func (c *checker) strange(f []byte) {
	if len(f) >= c.off+8 && binary.BigEndian.Uint16(f[c.off-2:]) == etherTest &&
		binary.LittleEndian.Uint64(f[c.off:])>>48 != helloStream {
		c.corrupt++
		return
	}
	c.other++
}

// train is what one send call carries: n frames back to back, each behind its u32 length as the stream door wants it.
type train struct {
	buf  []byte
	size int
	n    int
}

func newTrain(size, n int) *train {
	t := &train{buf: make([]byte, n*(4+size)), size: size, n: n}
	for i := range n {
		binary.BigEndian.PutUint32(t.buf[i*(4+size):], uint32(size))
	}
	return t
}

func (t *train) frame(i int) []byte {
	at := i*(4+t.size) + 4
	return t.buf[at : at+t.size : at+t.size]
}
