package linktest

import (
	"bytes"
	"testing"

	"vnetkit/switch/frame"
)

// edits writes frames whose tag is to be changed, among others that go as they
// are.
func edits(t *testing.T, open Opener) { editsOf(t, open, 0, maxLength) }

// editsOf is edits for frames of these lengths.
func editsOf(t *testing.T, open Opener, least, most int) {
	type job struct {
		in, out []byte
		edit    frame.Edit
	}
	var jobs []job
	for _, size := range []int{18, 19, 46, 55, 56, 57, 59, 60, 61, 63, 64, 65, 100, 1020, 1024, 1025, 1514, 1518, 9014, 65000, maxLength} {
		if size < least || size > most {
			continue
		}
		for i, c := range []struct {
			edit frame.Edit
			tag  []byte // between the addresses and the rest; nil: none
			skip int    // bytes of the frame that the tag takes the place of
		}{
			{0, nil, 0},
			{frame.InsertTag(0x0123), []byte{0x81, 0, 0x01, 0x23}, 0},
			{frame.RemoveTag(), nil, 4},
			{0, nil, 0},
			{frame.SetTag(0xefff), []byte{0x81, 0, 0xef, 0xff}, 4},
		} {
			in := bytes.Clone(content(size*8+i, size))
			copy(in[12:], []byte{0x81, 0, 0x2a, 0xbc})
			out := bytes.Clone(in[:12])
			out = append(append(out, c.tag...), in[12+c.skip:]...)
			jobs = append(jobs, job{in, out, c.edit})
		}
	}
	for _, prefixed := range []bool{false, true} {
		l, s := open(t)
		n := newNear(t, l)
		received := receive(s, len(jobs), func(i int) []byte { return jobs[i].out })
		b := newBatch(prefixed)
		for _, j := range jobs {
			if !b.fits(len(j.in)) {
				n.write(b)
				b = newBatch(prefixed)
			}
			b.add(j.in, j.edit)
		}
		n.write(b)
		if err := <-received; err != nil {
			t.Fatalf("prefixed %t: %v", prefixed, err)
		}
	}
}

// mixed is frame number i of a series with these sizes, of which every third
// gets a tag, as it is written and as it must arrive.
func mixed(i int, sizes []int) (in []byte, e frame.Edit, out []byte) {
	in = content(i, sizes[i%len(sizes)])
	if i%3 != 0 {
		return in, 0, in
	}
	tci := uint16(i)
	out = append(bytes.Clone(in[:12]), 0x81, 0, byte(tci>>8), byte(tci))
	return in, frame.InsertTag(tci), append(out, in[12:]...)
}

// manyInOneBatch writes more frames at once than a system call takes pieces.
func manyInOneBatch(t *testing.T, open Opener) {
	const count = 5000
	sizes := []int{60, 1514, 14, 100, 1025, 61, 46, 300, 2000}
	for _, prefixed := range []bool{false, true} {
		l, s := open(t)
		n := newNear(t, l)
		received := receive(s, count, func(i int) []byte {
			_, _, out := mixed(i, sizes)
			return out
		})
		b := newBatch(prefixed)
		for i := range count {
			in, edit, _ := mixed(i, sizes)
			b.add(in, edit)
		}
		n.write(b)
		if err := <-received; err != nil {
			t.Fatalf("prefixed %t: %v", prefixed, err)
		}
	}
}
