package plug

import (
	"encoding/binary"
	"fmt"
	"testing"

	"vnetkit/switch/frame"
)

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
