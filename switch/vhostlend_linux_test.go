package vswitch

import (
	"bytes"
	"testing"
	"time"

	"vnetkit/switch/vhost/frontend"
)

// TestVhostLends: long frames of a guest reach all who should have them whole:
// guests, which are given them straight from its memory, ports that cannot, VLANs
// that change them, captures.
func TestVhostLends(t *testing.T) {
	sw, guests := vhostDoor(t, 3, frontend.Options{})
	for _, g := range guests {
		if err := g.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	capture, err := sw.Capture(CaptureOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Close()
	buf := make([]byte, 1<<16)
	for _, size := range []int{60, 511, 512, 1514, 9014, 60000} {
		f := unicastFrame(0, 99, size) // nobody's: to all
		for i := 14; i < size; i++ {
			f[i] = byte(i * 11)
		}
		if err := guests[0].SendFrame(f); err != nil {
			t.Fatal(err)
		}
		for i, g := range guests[1:] {
			n, err := g.RecvFrame(buf)
			if err != nil || !bytes.Equal(buf[:n], f) {
				t.Fatalf("%d bytes: guest %d received %d bytes, %v", size, i+1, n, err)
			}
		}
		for seen := 0; seen < 3; { // in once, out twice
			frames, lost, err := capture.Read(t.Context())
			if err != nil || lost > 0 {
				t.Fatalf("lost %d, %v", lost, err)
			}
			for _, c := range frames {
				if c.Len != size || !bytes.HasPrefix(f, c.Data) {
					t.Fatalf("%d bytes: captured %d bytes, %v", size, c.Len, c.Dir)
				}
			}
			seen += len(frames)
		}
	}
}

// TestVhostQueuesLent: what a guest has no room for now waits in the switch's own
// memory, whole: its sender may use its buffers again.
func TestVhostQueuesLent(t *testing.T) {
	_, guests := vhostDoor(t, 2, frontend.Options{})
	for _, g := range guests {
		if err := g.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	introduce(t, guests)
	const count = 600 // more than twice what a ring takes
	f := unicastFrame(0, 1, 1514)
	for i := range count {
		f[14], f[15], f[1512], f[1513] = byte(i), byte(i>>8), byte(i), byte(i>>8)
		if err := guests[0].SendFrame(f); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 2048)
	for i := range count {
		f[14], f[15], f[1512], f[1513] = byte(i), byte(i>>8), byte(i), byte(i>>8)
		n, err := guests[1].RecvFrame(buf)
		if err != nil || !bytes.Equal(buf[:n], f) {
			t.Fatalf("frame %d: %d bytes, number %x %x, %v", i, n, buf[14:16], buf[1512:1514], err)
		}
	}
}
