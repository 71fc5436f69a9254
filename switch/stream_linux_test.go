package vswitch

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
	sockets "vnetkit/switch/plug" // plug is a worker's word here
)

// streamDoor is a switch with a Unix door.
func streamDoor(t *testing.T) (sw *Switch, path string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "door")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if sw, err = New(Options{Kinds: []link.Kind{sockets.Stream()}, Workers: 2}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sw.Close() })
	path = filepath.Join(dir, "stream")
	if _, err := sw.Add(t.Context(), "stream:unix:"+path); err != nil {
		t.Fatal(err)
	}
	return sw, path
}

// vm is a client of a stream door.
type vm struct {
	net.Conn
	t *testing.T
}

// plugVM connects and waits until the switch has count ports up.
func plugVM(t *testing.T, sw *Switch, path string, count int) vm {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(linktest.Patience))
	until(t, func() bool {
		up := 0
		for _, p := range sw.Ports() {
			if p.State == StateUp {
				up++
			}
		}
		return up == count
	})
	return vm{conn, t}
}

func until(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(linktest.Patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

func (v vm) raw(b ...byte) {
	v.t.Helper()
	if _, err := v.Write(b); err != nil {
		v.t.Fatal(err)
	}
}

func (v vm) send(f []byte) {
	v.t.Helper()
	v.raw(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)...)
}

func (v vm) recv() []byte {
	v.t.Helper()
	var head [4]byte
	if _, err := io.ReadFull(v, head[:]); err != nil {
		v.t.Fatal(err)
	}
	f := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(v, f); err != nil {
		v.t.Fatal(err)
	}
	return f
}

// Whatever a client does to the stream ends its own port, says why, and
// disturbs nobody.
func TestStreamFaultsHurtOnlyTheirPort(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(v vm)
		says string
	}{
		{"garbage", func(v vm) { v.raw([]byte("GET / HTTP/1.1\r\n\r\n")...) }, "out of step: frame length 1195725856"},
		{"length 0", func(v vm) { v.raw(0, 0, 0, 0) }, "out of step: frame length 0"},
		{"length 69633", func(v vm) { v.raw(0, 1, 0x10, 1) }, "out of step: frame length 69633"},
		{"4 GiB", func(v vm) { v.raw(0xff, 0xff, 0xff, 0xff) }, "out of step: frame length 4294967295"},
		{"good frame, then garbage", func(v vm) { v.send(eth(nobody, mac(9))); v.raw(1, 2, 3, 4) }, "out of step: frame length 16909060"},
		{"dies in a header", func(v vm) { v.raw(0, 0); _ = v.Close() }, "in the middle of a frame"},
		{"dies in a frame", func(v vm) { v.raw(0, 0, 0, 60, 1, 2, 3); _ = v.Close() }, "in the middle of a frame"},
		{"leaves", func(v vm) { _ = v.Close() }, "closed by the other side"},
		{"shuts one way", func(v vm) { _ = v.Conn.(*net.UnixConn).CloseWrite() }, "closed by the other side"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sw, path := streamDoor(t)
			a, b := plugVM(t, sw, path, 1), plugVM(t, sw, path, 2)
			bad := plugVM(t, sw, path, 3)
			seq := sw.Info().EventSeq
			c.do(bad)
			until(t, func() bool { return len(sw.Ports()) == 2 })
			list, err := sw.Events(t.Context(), seq)
			if err != nil || list[0].Type != EventLinkDown || !strings.Contains(list[0].Text, c.says) {
				t.Errorf("events %+v, %v, want one that says %q", list, err, c.says)
			}
			if c.name == "good frame, then garbage" {
				a.recv()
				b.recv()
			}
			f := eth(frame.Broadcast, mac(1))
			a.send(f)
			if got := b.recv(); string(got) != string(f) {
				t.Errorf("between the others: % x", got)
			}
		})
	}
}

// Half a header, or half a frame, and then silence: the others go on.
func TestStreamSilenceHurtsNobody(t *testing.T) {
	sw, path := streamDoor(t)
	a, b := plugVM(t, sw, path, 1), plugVM(t, sw, path, 2)
	half := plugVM(t, sw, path, 3)
	half.raw(0, 0)
	f := eth(frame.Broadcast, mac(1))
	a.send(f)
	b.recv()
	half.recv()
	half.raw(0, 60)
	half.raw(f[:30]...)
	a.send(f)
	b.recv()
	half.raw(f[30:]...)
	if got := a.recv(); string(got) != string(f) {
		t.Errorf("what came in parts went out as % x", got)
	}
}

// A short frame is filled up with zeros, not with what lay there before.
func TestStreamPadsWithZeros(t *testing.T) {
	sw, path := streamDoor(t)
	a, b := plugVM(t, sw, path, 1), plugVM(t, sw, path, 2)
	long := ethLen(1000, frame.Broadcast, mac(1))
	for i := 14; i < len(long); i++ {
		long[i] = 0xa5
	}
	a.send(long)
	b.recv()
	for n := 14; n < 60; n++ {
		a.send(long[:n])
		want := append(append([]byte{}, long[:n]...), make([]byte, 60-n)...)
		if got := b.recv(); string(got) != string(want) {
			t.Fatalf("%d bytes went out as % x", n, got)
		}
	}
}

// Real clients come and go: no goroutine and no descriptor is left of them.
func TestStreamPlugCyclesLeaveNothing(t *testing.T) {
	cycles := 10_000
	if testing.Short() || raceEnabled {
		cycles = 500
	}
	sw, path := streamDoor(t)
	seq := uint64(0)
	ctx, cancel := context.WithTimeout(t.Context(), 10*linktest.Patience)
	defer cancel()
	gone := func() {
		for {
			list, err := sw.Events(ctx, seq)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list {
				seq = e.Seq
				if e.Type == EventPortRemoved {
					return
				}
			}
		}
	}
	msg := append([]byte{0, 0, 0, 60}, eth(frame.Broadcast, mac(1))...)
	cycle := func(i int) {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(msg[:[]int{0, len(msg), 10, 2}[i%4]])
		_ = conn.Close()
		gone()
	}
	for i := range 20 {
		cycle(i)
	}
	files, routines := descriptors(t), runtime.NumGoroutine()
	for i := range cycles {
		cycle(i)
	}
	until(t, func() bool { return runtime.NumGoroutine() <= routines })
	if now := descriptors(t); now > files {
		t.Errorf("%d descriptors after %d cycles, %d before", now, cycles, files)
	}
}
