//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// caught keeps what a link delivers.
type caught [][]byte

func (c *caught) take(f []byte) { *c = append(*c, bytes.Clone(f)) }

func socketPair(t *testing.T, kind int) (int, int) {
	t.Helper()
	fd, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd[0]); unix.Close(fd[1]) })
	return fd[0], fd[1]
}

func TestStreamLinkPutsFramesTogether(t *testing.T) {
	a, b := socketPair(t, unix.SOCK_STREAM)
	l := &streamLink{fd: b, buf: make([]byte, 1<<10)}
	var wire []byte
	for _, size := range []int{14, 60, 500} {
		wire = binary.BigEndian.AppendUint32(wire, uint32(size))
		wire = append(wire, bytes.Repeat([]byte{byte(size)}, size)...)
	}
	var got caught
	for i := range wire { // the worst split there is
		if _, err := unix.Write(a, wire[i:i+1]); err != nil {
			t.Fatal(err)
		}
		if err := l.recv(&got); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 3 || len(got[0]) != 14 || len(got[1]) != 60 || len(got[2]) != 500 || got[2][499] != byte(500&0xff) {
		t.Errorf("got %d frames", len(got))
	}
	unix.Write(a, []byte{0xff, 0xff, 0xff, 0xff, 1})
	if err := l.recv(&got); err == nil {
		t.Error("a senseless length was taken")
	}
	unix.Close(a)
	l.have = 0
	if err := l.recv(&got); !errors.Is(err, errHungUp) {
		t.Errorf("at the end: %v", err)
	}
}

func TestLinksCarryTrains(t *testing.T) {
	for name, kind := range map[string]int{"stream": unix.SOCK_STREAM, "datagram": unix.SOCK_DGRAM} {
		for _, n := range []int{1, 5} {
			a, b := socketPair(t, kind)
			var from, to link = &streamLink{fd: a}, &streamLink{fd: b, buf: make([]byte, bufStream)}
			if kind == unix.SOCK_DGRAM {
				from, to = newDgramLink(a, 1), newDgramLink(b, 64)
			}
			tr, c := newTrain(64, n), newChecker(2, 64, 0)
			for turn := range uint64(3) {
				for i := range n {
					fill(tr.frame(i), portMAC(2, 0), portMAC(1, 0), 0)
					stamp(tr.frame(i), 14, word(1, turn*uint64(n)+uint64(i)))
				}
				if err := from.send(tr); err != nil {
					t.Fatal(err)
				}
				if err := to.recv(c); err != nil {
					t.Fatal(err)
				}
			}
			if c.frames != uint64(3*n) || c.lost+c.dup+c.corrupt+c.other != 0 {
				t.Errorf("%s, %d per call: frames %d lost %d dup %d corrupt %d other %d", name, n, c.frames, c.lost, c.dup, c.corrupt, c.other)
			}
			to.setNonblock()
			if err := to.recv(c); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("%s: empty and not blocking: %v", name, err)
			}
		}
	}
}

func TestReflectorAnswersOnlyWhatIsForIt(t *testing.T) {
	a, b := socketPair(t, unix.SOCK_STREAM)
	r := &reflector{l: &streamLink{fd: a}, t: newTrain(64, 1), own: portMAC(2, 0), off: 14}
	flood := made(64, 0, 1, 1)
	copy(flood, broadcast[:])
	r.take(flood)
	r.take(made(512, 0, 1, 1))
	r.take(made(64, 0, 1, 7))
	p := &pong{size: 64, off: 14, want: word(1, 7)}
	var got caught
	back := &streamLink{fd: b, buf: make([]byte, bufStream)}
	if err := back.recv(&got); err != nil || len(got) != 1 {
		t.Fatalf("%d answers, %v", len(got), err)
	}
	if p.take(got[0]); !p.got || mac(got[0][:6]) != portMAC(1, 0) || mac(got[0][6:12]) != portMAC(2, 0) {
		t.Errorf("answer % x", got[0][:22])
	}
}

func TestVDERequestAndReply(t *testing.T) {
	b := vdeRequest("/tmp/x", "bench:")
	if len(b) != 122+6 || !bytes.Equal(b[:12], []byte{0xce, 0xfa, 0xed, 0xfe, 3, 0, 0, 0, 0, 0, 0, 0}) ||
		!bytes.Equal(b[12:21], append([]byte{1, 0}, "/tmp/x\x00"...)) || string(b[122:]) != "bench:" {
		t.Errorf("request % x", b)
	}
	path, err := vdeReply(b[12:122])
	if err != nil || path != "/tmp/x" {
		t.Errorf("reply %q, %v", path, err)
	}
	for _, bad := range [][]byte{nil, b[12:121], make([]byte, 110)} {
		if _, err := vdeReply(bad); err == nil {
			t.Errorf("no error for a reply of %d bytes", len(bad))
		}
	}
}
