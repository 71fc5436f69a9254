package tap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
	"vnetkit/switch/offload"
	"vnetkit/switch/plug"
)

// A message is sent in one super-frame, or in segments by who knows none, through
// a switch, to each kind by each kind. What arrives is taken apart by gopacket
// and by a checksum written for this test alone, and shown to tcpdump.

// host is a station and how it speaks.
type host struct {
	*linktest.Station
	header bool // frames are behind a virtio_net_hdr
}

// hostKinds open a port and plug a host into it.
var hostKinds = []struct {
	name string
	open func(t *testing.T, sw *vswitch.Switch, keys string) host
}{
	{"tap", func(t *testing.T, sw *vswitch.Switch, keys string) host { return tapHost(t, sw, keys) }},
	{"plain", func(t *testing.T, sw *vswitch.Switch, keys string) host { return tapHost(t, sw, ",offload=off"+keys) }},
	{"stream", streamHost},
	{"packet", packetHost},
	{"packet without rings", func(t *testing.T, sw *vswitch.Switch, keys string) host { return packetHost(t, sw, ",ring=off"+keys) }},
}

func newSwitch(t *testing.T) *vswitch.Switch {
	t.Helper()
	sw, err := vswitch.New(vswitch.Options{Kinds: []link.Kind{Kind(), plug.Stream(), packetThere()}, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sw.Close() })
	return sw
}

func addPort(t *testing.T, sw *vswitch.Switch, spec string) int {
	t.Helper()
	added, err := sw.Add(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if added.Port == nil {
		return 0
	}
	return added.Port.Config.ID
}

// awaitUp waits until a number of ports are up.
func awaitUp(t *testing.T, sw *vswitch.Switch, n int) {
	t.Helper()
	waitFor(t, fmt.Sprint(n, " ports are up"), func() bool {
		up := 0
		for _, p := range sw.Ports() {
			if p.State == vswitch.StateUp {
				up++
			}
		}
		return up == n
	})
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(linktest.Patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", linktest.Patience, what)
		}
	}
}

func tapHost(t *testing.T, sw *vswitch.Switch, keys string) host {
	t.Helper()
	ns := linktest.NewNamespace(t)
	addPort(t, sw, "tap:t0,netns="+ns.Path()+keys)
	return host{ns.Device("t0", true), true}
}

func streamHost(t *testing.T, sw *vswitch.Switch, keys string) host {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	addPort(t, sw, "stream:unix:"+path+keys)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	return host{linktest.NewStation(t, streamWire{conn}), false}
}

// streamWire speaks QEMU's protocol.
type streamWire struct{ net.Conn }

func (w streamWire) Send(f []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...))
	return err
}

func (w streamWire) Recv(buf []byte) (int, error) {
	var head [4]byte
	if _, err := readFull(w.Conn, head[:]); err != nil {
		return 0, err
	}
	return readFull(w.Conn, buf[:binary.BigEndian.Uint32(head[:])])
}

func readFull(c net.Conn, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = c.Read(b[n:])
		n += m
	}
	return n, err
}

// talk is one message.
type talk struct {
	v6, udp bool
	tag     bool // it is sent with VLAN 10's tag
	size    int  // bytes in it
}

const segment = 1400

func (m talk) String() string {
	return fmt.Sprintf("v6=%t udp=%t tag=%t %d bytes", m.v6, m.udp, m.tag, m.size)
}

// text is what the message says.
func (m talk) text() []byte {
	b := make([]byte, m.size)
	for i := range b {
		b[i] = byte(i*31 + i>>7 + m.size)
	}
	return b
}

// frame makes the frame with data of the message from a place on, its checksum
// left to do.
func (m talk) frame(from int, data []byte) (f []byte, l4 int) {
	f = append(f, 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1)
	if m.tag {
		f = append(f, 0x81, 0, 0x60, 10)
	}
	head, proto := 32, byte(6)
	if m.udp {
		head, proto = 8, 17
	}
	n := head + len(data)
	var addrs []byte
	if m.v6 {
		f = append(f, 0x86, 0xdd, 0x60, 1, 2, 3, byte(n>>8), byte(n), proto, 64)
		addrs = append(bytes.Repeat([]byte{0xfd}, 16), bytes.Repeat([]byte{0xfe}, 16)...)
		f = append(f, addrs...)
	} else {
		ip := []byte{0x45, 0, byte((20 + n) >> 8), byte(20 + n), 0, byte(from / segment), 0x40, 0, 64, proto, 0, 0}
		addrs = []byte{10, 0, 0, 1, 10, 0, 0, 2}
		ip = append(ip, addrs...)
		binary.BigEndian.PutUint16(ip[10:], ^ones(ip))
		f = append(append(f, 8, 0), ip...)
	}
	l4 = len(f)
	pseudo := ones(append(bytes.Clone(addrs), 0, proto, byte(n>>8), byte(n)))
	f = append(f, 0x11, 0x11, 0x22, 0x22)
	if m.udp {
		f = binary.BigEndian.AppendUint16(f, uint16(n))
		f = binary.BigEndian.AppendUint16(f, pseudo)
	} else {
		f = binary.BigEndian.AppendUint32(f, uint32(1000+from))
		f = append(f, 0, 0, 0, 9, 0x80, 0x10, 1, 0)
		f = binary.BigEndian.AppendUint16(f, pseudo)
		f = append(f, 0, 0, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8)
	}
	return append(f, data...), l4
}

// ones is the one's complement sum of RFC 1071, by the book.
func ones(b []byte) uint16 {
	var s uint32
	for i := range b {
		s += uint32(b[i]) << (8 * (1 - i%2))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// csumAt is where a frame's checksum is.
func (m talk) csumAt(l4 int) int {
	if m.udp {
		return l4 + 6
	}
	return l4 + 16
}

// send sends the message as h does.
func (m talk) send(h host) {
	text := m.text()
	if h.header {
		f, l4 := m.frame(0, text)
		o := frame.Offload{Flags: frame.NeedsCsum, CsumStart: uint16(l4), CsumOffset: uint16(m.csumAt(l4) - l4)}
		if m.size > segment {
			o.Size, o.HeadLen = segment, uint16(len(f)-m.size)
			o.GSO = map[[2]bool]frame.GSO{{false, false}: frame.GSOTCP4, {true, false}: frame.GSOTCP6, {false, true}: frame.GSOUDP, {true, true}: frame.GSOUDP}[[2]bool{m.v6, m.udp}]
		}
		head := make([]byte, offload.HeaderLen)
		offload.Put(head, o, 0)
		h.Send(append(head, f...))
		return
	}
	for from := 0; from < len(text); from += segment {
		f, l4 := m.frame(from, text[from:min(from+segment, len(text))])
		c := ^ones(f[l4:])
		if c == 0 {
			c = 0xffff
		}
		binary.BigEndian.PutUint16(f[m.csumAt(l4):], c)
		h.Send(f)
	}
}

// receive takes frames until the message is there, and checks each.
func (m talk) receive(t *testing.T, h host, tagged bool, j *judge) {
	t.Helper()
	var got []byte
	for len(got) < m.size {
		f := h.Recv()
		var header []byte
		if h.header {
			header, f = f[:offload.HeaderLen], f[offload.HeaderLen:]
		}
		partial := h.header && header[0]&1 != 0
		at, data := m.check(t, f, partial, tagged)
		if !m.udp && at != len(got) {
			t.Fatalf("%v: bytes from %d on arrived where %d was to come", m, at, len(got))
		}
		j.add(t, f, header)
		got = append(got, data...)
	}
	if !bytes.Equal(got, m.text()) {
		t.Fatalf("%v: arrived wrong", m)
	}
}

// check checks one frame and returns its data and where in the message it is.
func (m talk) check(t *testing.T, f []byte, partial, tagged bool) (from int, data []byte) {
	t.Helper()
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
	if e := p.ErrorLayer(); e != nil {
		t.Fatalf("%v: %v\n% x", m, e.Error(), f[:min(len(f), 100)])
	}
	if got := p.Layer(layers.LayerTypeDot1Q) != nil; got != tagged {
		t.Fatalf("%v: arrived with a tag: %t", m, got)
	}
	var addrs []byte
	n := 0
	switch ip := p.NetworkLayer().(type) {
	case *layers.IPv4:
		if ones(ip.Contents) != 0xffff {
			t.Fatalf("%v: wrong IPv4 checksum\n% x", m, ip.Contents)
		}
		addrs, n = append(append(addrs, ip.SrcIP...), ip.DstIP...), int(ip.Length)-len(ip.Contents)
	case *layers.IPv6:
		addrs, n = append(append(addrs, ip.SrcIP...), ip.DstIP...), int(ip.Length)
	default:
		t.Fatalf("%v: no IP arrived\n% x", m, f[:min(len(f), 100)])
	}
	l4 := len(p.LinkLayer().LayerContents()) + len(p.NetworkLayer().LayerContents())
	if tagged {
		l4 += frame.TagLen
	}
	whole := f[l4 : l4+n]
	proto := byte(6)
	if m.udp {
		proto = 17
	}
	pseudo := append(addrs, 0, proto, byte(n>>8), byte(n))
	if partial {
		field := binary.BigEndian.Uint16(f[m.csumAt(l4):])
		if want := ones(pseudo); field != want {
			t.Fatalf("%v: the part of the checksum that must be there is %04x, want %04x", m, field, want)
		}
	} else if sum := ones(append(pseudo, whole...)); sum != 0xffff {
		t.Fatalf("%v: wrong checksum, in sum %04x\n% x", m, sum, f[:min(len(f), 100)])
	}
	if m.udp {
		return 0, whole[8:]
	}
	return int(binary.BigEndian.Uint32(whole[4:])) - 1000, whole[whole[12]>>4*4:]
}

func TestNothingIsCorrupted(t *testing.T) {
	for _, vlans := range []struct {
		name, from, to string
		tag, tagged    bool
	}{
		{"untagged", "", "", false, false},
		{"tagged", "", "", true, true},
		{"tag added", ",vlan=10", ",vlan=1,tagged=10", false, true},
		{"tag removed", ",vlan=1,tagged=10", ",vlan=10", true, false},
	} {
		j := newJudge(t)
		for _, from := range hostKinds {
			for _, to := range hostKinds {
				t.Run(fmt.Sprintf("%s/%s to %s", vlans.name, from.name, to.name), func(t *testing.T) {
					sw := newSwitch(t)
					a, b := from.open(t, sw, vlans.from), to.open(t, sw, vlans.to)
					awaitUp(t, sw, 2)
					for i := range 4 {
						m := talk{v6: i&1 != 0, udp: i&2 != 0, tag: vlans.tag}
						for _, m.size = range []int{1, 2, 3, 17, 100, 1000, 1399, 1400, 1401, 2800, 2801, 5003, 16000, 40001, 65000} {
							m.send(a)
							m.receive(t, b, vlans.tagged, j)
						}
					}
					checkSums(t, sw)
				})
			}
		}
		j.verdict(t)
	}
}

// checkSums checks that what came in, and what was made by cutting, is what went
// out.
func checkSums(t *testing.T, sw *vswitch.Switch) {
	t.Helper()
	var in, out, made, drops uint64
	sum := func() bool {
		in, out, made, drops = 0, 0, 0, 0
		for _, p := range sw.Ports() {
			in, out = in+p.Rx.Frames, out+p.Tx.Frames
			made += p.Offload.Segments - p.Offload.Cut
			for _, n := range p.Drops {
				drops += n
			}
		}
		return in+made == out && drops == 0
	}
	for end := time.Now().Add(linktest.Patience); !sum() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if !sum() {
		t.Errorf("%d came in, %d more were made by cutting, %d went out, %d were dropped", in, made, out, drops)
	}
}
