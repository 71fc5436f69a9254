package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestFloodOfSmallFrames sends a guest for six seconds many more small frames than
// it can take. QEMU reads without regard to what its guest takes, and keeps the
// rest in a queue that has no end (switch/plug/credit_linux.go): its memory
// must not grow, and the guest must be as quick to answer afterwards as before.
func TestFloodOfSmallFrames(t *testing.T) {
	needGuests(t)
	v := startSwitch(t)
	g := boot(t, 1, streamUnix(v.door(), false))
	ready(g)
	h := newHand(t, v)
	g.sh("arp -s " + h.ip + " " + h.mac.String())
	h.catchesUp(g)

	small := bytes.Repeat(h.frame(g, 0x88b5, make([]byte, 50)), 64)
	received := g.counter("rx_packets")
	before, sent := rssMiB(t, g), 0
	for began := time.Now(); time.Since(began) < 6*time.Second; sent += 64 {
		if _, err := h.conn.Write(small); err != nil {
			t.Fatal(err)
		}
	}
	grown := rssMiB(t, g) - before
	stale := h.catchesUp(g)
	took := g.counter("rx_packets") - received
	t.Logf("%d frames sent, %d came to the guest; QEMU has grown by %d MiB; the guest is back %v after the flood", sent, took, grown, stale)
	if took < 1000 {
		t.Errorf("only %d frames came to the guest", took)
	}
	if grown > 50 {
		t.Errorf("QEMU has grown by %d MiB, want 50 at most", grown)
	}
	if stale > 5*time.Second { // 0.1 s on a quiet machine; without the limit 19 s
		t.Errorf("the guest was busy with stale frames for %v", stale)
	}
}

// rssMiB is the resident memory of g's QEMU.
func rssMiB(t *testing.T, g *guest) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.pid()))
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return resident * os.Getpagesize() >> 20
}

// A hand is a client at the stream door that this test plays itself.
type hand struct {
	t       *testing.T
	conn    net.Conn
	mac     net.HardwareAddr
	ip      string
	sent    []time.Time // its pings, by sequence number
	answers chan uint16 // sequence numbers of what was answered
}

// newHand plugs a hand in.
func newHand(t *testing.T, v *vswitch) *hand {
	t.Helper()
	conn, err := net.Dial("unix", v.door())
	if err != nil {
		t.Fatal(err)
	}
	h := &hand{t: t, conn: conn, mac: net.HardwareAddr{0x52, 0x54, 0, 0, 1, 1}, ip: "10.0.0.101", answers: make(chan uint16, 2000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.read()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return h
}

// read takes all that comes, until the connection ends.
func (h *hand) read() {
	in := make([]byte, 4+1<<16)
	for {
		if _, err := io.ReadFull(h.conn, in[:4]); err != nil {
			return
		}
		f := in[4 : 4+min(binary.BigEndian.Uint32(in), 1<<16)]
		if _, err := io.ReadFull(h.conn, f); err != nil {
			return
		}
		// IPv4 without options, ICMP, echo reply
		if len(f) >= 42 && bytes.Equal(f[:6], h.mac) && bytes.Equal(f[12:15], []byte{8, 0, 0x45}) && f[23] == 1 && f[34] == 0 {
			h.answers <- binary.BigEndian.Uint16(f[40:])
		}
	}
}

// frame makes a frame to g, as it is on the stream.
func (h *hand) frame(g *guest, ethertype uint16, payload []byte) []byte {
	h.t.Helper()
	to, err := net.ParseMAC(g.mac)
	if err != nil {
		h.t.Fatal(err)
	}
	f := binary.BigEndian.AppendUint32(nil, uint32(14+len(payload)))
	f = append(append(f, to...), h.mac...)
	return append(binary.BigEndian.AppendUint16(f, ethertype), payload...)
}

// catchesUp pings g until an answer comes within half a second, and returns how
// much later than the first ping that one was sent.
func (h *hand) catchesUp(g *guest) time.Duration {
	h.t.Helper()
	began, every := time.Now(), time.NewTicker(50*time.Millisecond)
	defer every.Stop()
	for time.Since(began) < patience {
		h.ping(g)
		for waiting := true; waiting; {
			select {
			case seq := <-h.answers:
				if int(seq) >= len(h.sent) {
					break // not ours
				}
				if at := h.sent[seq]; at.After(began) && time.Since(at) < 500*time.Millisecond {
					return at.Sub(began)
				}
			case <-every.C:
				waiting = false
			}
		}
	}
	h.t.Fatalf("%s answers no ping in half a second", g.name)
	return 0
}

// ping sends g a ping.
func (h *hand) ping(g *guest) {
	h.t.Helper()
	seq := uint16(len(h.sent))
	h.sent = append(h.sent, time.Now())
	icmp := make([]byte, 48)
	icmp[0] = 8
	binary.BigEndian.PutUint16(icmp[6:], seq)
	binary.BigEndian.PutUint16(icmp[2:], internetChecksum(icmp))
	ip := append([]byte{0x45, 0, 0, byte(20 + len(icmp)), 0, 0, 0, 0, 64, 1, 0, 0}, net.ParseIP(h.ip).To4()...)
	ip = append(ip, net.ParseIP(g.ip).To4()...)
	binary.BigEndian.PutUint16(ip[10:], internetChecksum(ip))
	if _, err := h.conn.Write(h.frame(g, 0x0800, append(ip, icmp...))); err != nil {
		h.t.Fatal(err)
	}
}

func internetChecksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
