package plug

import (
	"encoding/binary"
	"fmt"
	"testing"

	"vnetkit/switch/frame"
)

// A wrong length ends the stream wherever it comes, the first time and behind
// frames of any length.
func TestParseOutOfStep(t *testing.T) {
	for _, before := range [][]uint32{{}, {1}, {60}, {60, 60}, {1, 60}} {
		for _, wrong := range []uint32{0, frame.MaxLen + 1, 1 << 31} {
			var data []byte
			frames, runts := 0, 0
			for _, n := range before {
				data = append(binary.BigEndian.AppendUint32(data, n), make([]byte, n)...)
				if n < frame.HeaderLen {
					runts++
				} else {
					frames++
				}
			}
			good := len(data)
			data = append(binary.BigEndian.AppendUint32(data, wrong), make([]byte, 100)...)
			b := frame.Batch{Buf: data}
			if used, err := parse(&b, data); err == nil || used != good || len(b.Refs) != frames || b.Runts != runts {
				t.Errorf("%d behind %d: used %d of %d, %d frames, %d runts, %v", wrong, before, used, good, len(b.Refs), b.Runts, err)
			}
		}
	}
}

// The figure is for one frame.
func BenchmarkParse(b *testing.B) {
	for _, sizes := range [][]int{{64}, {1514}, {64, 1514}, {64, 128, 90, 1514, 60, 1500, 70}} {
		b.Run(fmt.Sprint(sizes), func(b *testing.B) {
			var data []byte
			n := 0
			for ; len(data) < 190<<10; n++ {
				size := sizes[n%len(sizes)]
				data = binary.BigEndian.AppendUint32(data, uint32(size))
				data = append(data, make([]byte, size)...)
			}
			batch := frame.Batch{Refs: make([]frame.Ref, 0, 4096), Buf: data}
			for range b.N / n {
				batch.Reset()
				if used, err := parse(&batch, data); err != nil || used != len(data) {
					b.Fatal(used, err)
				}
			}
			b.ReportMetric(0, "allocs/op")
		})
	}
}
