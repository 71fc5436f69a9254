package frame_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"vnetkit/switch/frame"
)

var (
	dst = frame.MAC{0x52, 0x54, 0, 0, 0, 2}
	src = frame.MAC{0x52, 0x54, 0, 0, 0, 1}
)

// build has gopacket make a frame, with these tags from the outside in.
func build(t testing.TB, payload int, tags ...*layers.Dot1Q) frame.Frame {
	t.Helper()
	const inner = layers.EthernetType(0x88b5) // local experimental
	eth := &layers.Ethernet{DstMAC: net.HardwareAddr(dst[:]), SrcMAC: net.HardwareAddr(src[:]), EthernetType: inner}
	stack := []gopacket.SerializableLayer{eth}
	next := &eth.EthernetType
	for _, tag := range tags {
		c := *tag
		if *next == inner {
			*next = layers.EthernetTypeDot1Q
		}
		if c.Type == layers.EthernetTypeQinQ { // the caller wants an 802.1ad tag here
			*next = layers.EthernetTypeQinQ
		}
		c.Type = inner
		stack = append(stack, &c)
		next = &c.Type
	}
	data := make([]byte, payload)
	for i := range data {
		data[i] = byte(i*7 + 1)
	}
	stack = append(stack, gopacket.Payload(data))
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{}, stack...); err != nil {
		t.Fatal(err)
	}
	// gopacket pads short frames; the switch does that elsewhere.
	return frame.Frame(buf.Bytes())[:frame.HeaderLen+frame.TagLen*len(tags)+payload]
}

func tag(vid uint16, prio uint8, dei bool) *layers.Dot1Q {
	return &layers.Dot1Q{VLANIdentifier: vid, Priority: prio, DropEligible: dei}
}

func service(vid uint16) *layers.Dot1Q {
	return &layers.Dot1Q{VLANIdentifier: vid, Type: layers.EthernetTypeQinQ}
}

func TestFrameFields(t *testing.T) {
	f := build(t, 50)
	if f.Dst() != dst || f.Src() != src || f.Type() != 0x88b5 {
		t.Errorf("%v to %v type %04x", f.Src(), f.Dst(), f.Type())
	}
}

func TestFrameTag(t *testing.T) {
	for _, c := range []struct {
		name string
		f    frame.Frame
		tci  uint16
		ok   bool
	}{
		{"none", build(t, 50), 0, false},
		{"header only", build(t, 0), 0, false},
		{"plain", build(t, 50, tag(100, 0, false)), 100, true},
		{"priority and DEI", build(t, 50, tag(0xabc, 5, true)), 0xbabc, true},
		{"priority tag", build(t, 50, tag(0, 7, false)), 0xe000, true},
		{"outer of two", build(t, 50, tag(7, 0, false), tag(8, 0, false)), 7, true},
		{"service tag is payload", build(t, 50, service(7), tag(8, 0, false)), 0, false},
		{"ends inside the tag", build(t, 50, tag(7, 0, false))[:17], 0, false},
		{"ends behind the tag", build(t, 50, tag(7, 0, false))[:18], 7, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if tci, ok := c.f.Tag(); tci != c.tci || ok != c.ok {
				t.Errorf("Tag() = %04x, %t, want %04x, %t", tci, ok, c.tci, c.ok)
			}
		})
	}
}

func TestFramePayload(t *testing.T) {
	for _, c := range []struct {
		name string
		f    frame.Frame
		want int
	}{
		{"untagged", build(t, 1500), 1500},
		{"empty", build(t, 0), 0},
		{"one tag", build(t, 1500, tag(5, 0, false)), 1500},
		{"two tags", build(t, 1500, tag(5, 0, false), tag(6, 0, false)), 1500},
		{"service and customer tag", build(t, 1500, service(5), tag(6, 0, false)), 1500},
		{"three tags", build(t, 1500, tag(5, 0, false), tag(6, 0, false), tag(7, 0, false)), 1504},
		{"ends inside the first tag", build(t, 0, tag(5, 0, false))[:16], 2},
		{"ends inside the second tag", build(t, 0, tag(5, 0, false), tag(6, 0, false))[:20], 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.f.Payload(); got != c.want {
				t.Errorf("Payload() = %d, want %d", got, c.want)
			}
		})
	}
}

func TestNetwork(t *testing.T) {
	body := bytes.Repeat([]byte{7}, 46)
	for name, tags := range map[string][]byte{"untagged": nil, "one tag": {0x81, 0, 0, 5}, "service and customer tag": {0x88, 0xa8, 0, 5, 0x81, 0, 0, 6}} {
		f := frame.Frame(slices.Concat(make([]byte, 12), tags, []byte{0x08, 0x06}, body))
		if typ, packet := f.Network(); typ != frame.TypeARP || !bytes.Equal(packet, body) {
			t.Errorf("%s: type %04x, % x", name, typ, packet)
		}
	}
	if typ, packet := make(frame.Frame, frame.HeaderLen-1).Network(); typ != 0 || packet != nil {
		t.Errorf("too short: type %04x, % x", typ, packet)
	}
	cut := frame.Frame(append(make([]byte, 12), 0x81, 0, 0))
	if typ, packet := cut.Network(); typ != frame.TypeVLAN || !bytes.Equal(packet, []byte{0}) {
		t.Errorf("cut in the tag: type %04x, % x", typ, packet)
	}
}

func TestEditAgainstGopacket(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []*layers.Dot1Q
		edit frame.Edit
		want []*layers.Dot1Q
	}{
		{"none, untagged", nil, 0, nil},
		{"none, tagged", []*layers.Dot1Q{tag(5, 3, true)}, 0, []*layers.Dot1Q{tag(5, 3, true)}},
		{"insert", nil, frame.InsertTag(10), []*layers.Dot1Q{tag(10, 0, false)}},
		{"insert with priority", nil, frame.InsertTag(0xf00a), []*layers.Dot1Q{tag(10, 7, true)}},
		{"insert 0", nil, frame.InsertTag(0), []*layers.Dot1Q{tag(0, 0, false)}},
		{"insert outside another", []*layers.Dot1Q{tag(20, 1, false)}, frame.InsertTag(10), []*layers.Dot1Q{tag(10, 0, false), tag(20, 1, false)}},
		{"insert outside a service tag", []*layers.Dot1Q{service(20)}, frame.InsertTag(10), []*layers.Dot1Q{tag(10, 0, false), service(20)}},
		{"remove", []*layers.Dot1Q{tag(10, 5, true)}, frame.RemoveTag(), nil},
		{"remove outer", []*layers.Dot1Q{tag(10, 5, true), tag(20, 1, false)}, frame.RemoveTag(), []*layers.Dot1Q{tag(20, 1, false)}},
		{"set", []*layers.Dot1Q{tag(0, 5, true)}, frame.SetTag(0xb00a), []*layers.Dot1Q{tag(10, 5, true)}},
		{"set outer", []*layers.Dot1Q{tag(1, 0, false), tag(2, 0, false)}, frame.SetTag(3), []*layers.Dot1Q{tag(3, 0, false), tag(2, 0, false)}},
	} {
		for _, payload := range []int{0, 1, 46, 1500, 65535} {
			in, want := build(t, payload, c.in...), build(t, payload, c.want...)
			before := bytes.Clone(in)
			got := c.edit.Append([]byte("before"), in)
			if !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Errorf("%s, %d bytes: % x, want % x", c.name, payload, got[6:min(40, len(got))], want[:min(34, len(want))])
			}
			if !bytes.Equal(in, before) {
				t.Errorf("%s: the frame itself was changed", c.name)
			}
			if n := c.edit.Len(len(in)); n != len(want) {
				t.Errorf("%s: Len(%d) = %d, want %d", c.name, len(in), n, len(want))
			}
			head, skip := c.edit.Head(nil, in)
			if whole := append(head, in[skip:]...); !bytes.Equal(whole, want) {
				t.Errorf("%s: head of %d bytes and the frame from %d on are not the frame", c.name, len(head), skip)
			}
		}
	}
}

func TestBatch(t *testing.T) {
	b := frame.Batch{Buf: []byte("xxABCDyyEFzz"), Refs: []frame.Ref{{Off: 2, Len: 4}, {Off: 8, Len: 2}}, Prefixed: true, Runts: 3}
	if f := b.Frame(b.Refs[0]); string(f) != "ABCD" || cap(f) != 4 {
		t.Errorf("first frame %q with room for %d: appending to it would change others", f, cap(f))
	}
	if f := b.Frame(b.Refs[1]); string(f) != "EF" {
		t.Errorf("second frame %q", f)
	}
	b.Reset()
	if len(b.Refs) != 0 || cap(b.Refs) != 2 || b.Prefixed || b.Runts != 0 || len(b.Buf) != 12 {
		t.Errorf("after Reset: %+v", b)
	}
}

// FuzzFrame looks at any bytes as a frame, compares with gopacket, and puts
// tags on and takes them off again.
func FuzzFrame(f *testing.F) {
	f.Add([]byte(build(f, 46)), uint16(10))
	f.Add([]byte(build(f, 46, tag(0xabc, 7, true))), uint16(0xffff))
	f.Add([]byte(build(f, 46, service(9), tag(1, 0, false))), uint16(0))
	f.Add([]byte(build(f, 0, tag(1, 0, false), tag(1, 0, false), tag(1, 0, false))), uint16(1))
	f.Add([]byte(build(f, 0, tag(1, 0, false)))[:15], uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, tci uint16) {
		if len(data) < frame.HeaderLen {
			t.Skip("the switch drops it unread")
		}
		fr := frame.Frame(data)
		if p := fr.Payload(); p < 0 || p > len(fr)-frame.HeaderLen {
			t.Errorf("payload %d of %d bytes", p, len(fr))
		}
		compare(t, fr)
		tagged := frame.Frame(frame.InsertTag(tci).Append(nil, fr))
		if got, ok := tagged.Tag(); !ok || got != tci {
			t.Errorf("tag %04x, %t after inserting %04x", got, ok, tci)
		}
		if untagged := frame.RemoveTag().Append(nil, tagged); !bytes.Equal(untagged, data) {
			t.Errorf("insert and remove gave % x, want % x", untagged, data)
		}
		set := frame.Frame(frame.SetTag(^tci).Append(nil, tagged))
		if got, ok := set.Tag(); !ok || got != ^tci || !bytes.Equal(set[16:], tagged[16:]) || !bytes.Equal(set[:14], tagged[:14]) {
			t.Errorf("set gave % x", set[:min(24, len(set))])
		}
		if tagged.Payload() > fr.Payload() && !threeTags(tagged) {
			t.Errorf("a tag made the payload grow from %d to %d", fr.Payload(), tagged.Payload())
		}
	})
}

// compare has gopacket decode f, too.
func compare(t *testing.T, f frame.Frame) {
	var eth layers.Ethernet
	if err := eth.DecodeFromBytes(f, gopacket.NilDecodeFeedback); err != nil {
		return // it knows LLC, too, and wants that right
	}
	if !bytes.Equal(eth.DstMAC, f[:6]) || frame.MAC(eth.DstMAC) != f.Dst() || frame.MAC(eth.SrcMAC) != f.Src() {
		t.Errorf("%v to %v, gopacket says %v to %v", f.Src(), f.Dst(), eth.SrcMAC, eth.DstMAC)
	}
	if eth.EthernetType != layers.EthernetTypeLLC && uint16(eth.EthernetType) != f.Type() {
		t.Errorf("type %04x, gopacket says %04x", f.Type(), uint16(eth.EthernetType))
	}
	var q layers.Dot1Q
	want := eth.EthernetType == layers.EthernetTypeDot1Q && q.DecodeFromBytes(f[14:], gopacket.NilDecodeFeedback) == nil
	tci, ok := f.Tag()
	if ok != want {
		t.Fatalf("has a tag: %t, gopacket says %t: % x", ok, want, []byte(f))
	}
	if ok && (tci>>13 != uint16(q.Priority) || tci>>12&1 != 0 != q.DropEligible || tci&0xfff != q.VLANIdentifier) {
		t.Errorf("tag %04x, gopacket says %d %t %d", tci, q.Priority, q.DropEligible, q.VLANIdentifier)
	}
}

func threeTags(f frame.Frame) bool {
	for i := range 3 {
		if len(f) < 14+4*i {
			return false
		}
		if t := binary.BigEndian.Uint16(f[12+4*i:]); t != frame.TypeVLAN && t != frame.TypeService {
			return false
		}
	}
	return true
}
