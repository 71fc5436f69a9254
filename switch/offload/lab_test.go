package offload

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"vnetkit/switch/frame"
)

// shape is what frames of a test look like.
type shape struct {
	v6, udp bool
	tags    int
	options bool // of IPv4, or extension headers of IPv6
}

func shapes() []shape {
	var list []shape
	for i := range 24 {
		s := shape{v6: i&1 != 0, udp: i&2 != 0, options: i&4 != 0, tags: i >> 3}
		list = append(list, s)
	}
	return list
}

func (s shape) String() string {
	return fmt.Sprintf("v6=%t,udp=%t,tags=%d,options=%t", s.v6, s.udp, s.tags, s.options)
}

// flow makes frames of one flow, by gopacket: whole ones, with right checksums.
type flow struct {
	shape
	seq   uint32
	id    uint16
	flags func(*layers.TCP)
}

// payload of every byte is known by its place in the flow.
func payload(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((from+i)*7 + (from+i)>>8)
	}
	return b
}

func (f *flow) next(t testing.TB, data []byte) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	if f.v6 {
		eth.EthernetType = layers.EthernetTypeIPv6
	}
	list := []gopacket.SerializableLayer{eth}
	for i := range f.tags {
		tag := &layers.Dot1Q{VLANIdentifier: uint16(i + 5), Type: eth.EthernetType}
		if i < f.tags-1 {
			tag.Type = layers.EthernetTypeDot1Q
		}
		list = append(list, tag)
	}
	if f.tags > 0 {
		eth.EthernetType = layers.EthernetTypeDot1Q
	}
	proto := layers.IPProtocolTCP
	if f.udp {
		proto = layers.IPProtocolUDP
	}
	var network gopacket.NetworkLayer
	if f.v6 {
		ip := &layers.IPv6{Version: 6, TrafficClass: 3, FlowLabel: 77, HopLimit: 60, NextHeader: proto, SrcIP: bytes.Repeat([]byte{0xfd}, 16), DstIP: bytes.Repeat([]byte{0xfe}, 16)}
		network, list = ip, append(list, ip)
		if f.options {
			ip.NextHeader = layers.IPProtocolIPv6Destination
			list = append(list, gopacket.Payload([]byte{byte(proto), 0, 1, 4, 0, 0, 0, 0}))
		}
	} else {
		ip := &layers.IPv4{Version: 4, TTL: 60, TOS: 2, Id: f.id, Protocol: proto, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 0, 2}, Flags: layers.IPv4DontFragment}
		if f.options {
			ip.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}}
		}
		network, list = ip, append(list, ip)
	}
	if f.udp {
		u := &layers.UDP{SrcPort: 1000, DstPort: 2000}
		_ = u.SetNetworkLayerForChecksum(network)
		list = append(list, u)
	} else {
		h := &layers.TCP{SrcPort: 1000, DstPort: 2000, Seq: f.seq, Ack: 99, ACK: true, Window: 500, Options: []layers.TCPOption{
			{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop},
			{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte("12345678")}}}
		if f.flags != nil {
			f.flags(h)
		}
		_ = h.SetNetworkLayerForChecksum(network)
		list = append(list, h)
	}
	buf := gopacket.NewSerializeBuffer()
	list = append(list, gopacket.Payload(data))
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, list...); err != nil {
		t.Fatal(err)
	}
	f.seq += uint32(len(data))
	f.id++
	var l layout
	if !l.find(buf.Bytes()) {
		t.Fatalf("no headers found in % x", buf.Bytes())
	}
	return bytes.Clone(buf.Bytes()[:l.end]) // gopacket fills up short ones
}

// super makes a super-frame and its Offload, as a kernel hands it over: the
// checksum field holds the pseudo-header's sum.
func (f *flow) super(t testing.TB, data []byte, size int) ([]byte, frame.Offload) {
	t.Helper()
	b := f.next(t, data)
	o := partial(t, b)
	o.Size = uint16(size)
	switch {
	case f.udp:
		o.GSO = frame.GSOUDP
	case f.v6:
		o.GSO = frame.GSOTCP6
	default:
		o.GSO = frame.GSOTCP4
	}
	var l layout
	l.find(b)
	o.HeadLen = uint16(l.head)
	return b, o
}

// partial takes a frame's checksum off and says what is to be done.
func partial(t testing.TB, b []byte) frame.Offload {
	t.Helper()
	var l layout
	if !l.find(b) {
		t.Fatalf("no headers found in % x", b[:60])
	}
	field := b[l.l4+l.csumOffset():]
	put(field, 0)
	c := fold(pseudo(l.addrs(b), l.proto, l.end-l.l4))
	put(field, uint64(^c))
	return frame.Offload{Flags: frame.NeedsCsum, CsumStart: uint16(l.l4), CsumOffset: uint16(l.csumOffset())}
}

// header is o as virtio_net_hdr.
func header(o frame.Offload) []byte {
	h := make([]byte, HeaderLen)
	Put(h, o, 0)
	return h
}

// batchOf puts frames and what is left to do on them into a Batch.
func batchOf(edit frame.Edit, frames [][]byte, offloads ...*frame.Offload) *frame.Batch {
	b := &frame.Batch{}
	for i, f := range frames {
		r := frame.Ref{Off: uint32(len(b.Buf)), Len: uint32(len(f)), Edit: edit}
		if i < len(offloads) && offloads[i] != nil {
			n, _ := b.AddOffload(*offloads[i])
			r.Edit = r.Edit.WithOffload(n)
		}
		b.Buf = append(b.Buf, f...)
		b.Refs = append(b.Refs, r)
	}
	return b
}

// cutAll returns all that a Cutter makes of a batch, given little room.
func cutAll(b *frame.Batch, room int) (list [][]byte, c *Cutter) {
	c = &Cutter{}
	out := frame.Batch{Buf: make([]byte, 0, room)}
	c.Start(b)
	for c.Next(&out) {
		for _, r := range out.Refs {
			list = append(list, bytes.Clone(out.Frame(r)))
		}
	}
	return list, c
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 4)) }
