package vswitch

import (
	"testing"

	"vnetkit/switch/frame"
)

// vlanPorts are the ports of the matrix below, by a letter each.
var vlanPorts = map[byte]string{
	'a': "vlan=10",                          // access
	'b': "vlan=10",                          // another one in the same VLAN
	'c': "vlan=20",                          // access to another VLAN
	't': "vlan=1,tagged=10+20",              // trunk whose own VLAN is 1
	'h': "vlan=10,tagged=20",                // hybrid: 10 untagged, 20 tagged
	'n': "vlan=10,tagged=10+20",             // 10 untagged, and its tag is let through
	'd': "",                                 // all VLANs, tags untouched
	'e': "",                                 // another one
	'x': "vlan=10,transparent=on",           // tags are payload
	'y': "vlan=20,transparent=on,tagged=10", // tagged means nothing here
}

// vlanCase is a row of a VLAN matrix: a broadcast frame comes in by a port with
// these tags, and goes out by those ports with those tags. Ports that are not
// named get nothing.
type vlanCase struct {
	name string
	from byte
	tags []uint32
	to   map[byte][]uint32
	drop DropReason // if to is nil
}

func TestForwardVLANs(t *testing.T) {
	const none = 0
	runVLANCases(t, vlanPorts, []vlanCase{
		{name: "access, untagged", from: 'a', to: map[byte][]uint32{
			'b': nil, 't': {vlan(10, 0)}, 'h': nil, 'n': nil, 'd': {vlan(10, 0)}, 'e': {vlan(10, 0)}, 'x': nil}},
		{name: "access, own tag", from: 'a', tags: []uint32{vlan(10, 3)}, to: map[byte][]uint32{
			'b': nil, 't': {vlan(10, 3)}, 'h': nil, 'n': {vlan(10, 3)}, 'd': {vlan(10, 3)}, 'e': {vlan(10, 3)}, 'x': nil}},
		{name: "access, priority tag", from: 'a', tags: []uint32{vlan(0, 5)}, to: map[byte][]uint32{
			'b': nil, 't': {vlan(10, 5)}, 'h': nil, 'n': {vlan(0, 5)}, 'd': {vlan(10, 5)}, 'e': {vlan(10, 5)}, 'x': nil}},
		{name: "access, drop eligible", from: 'a', tags: []uint32{vlan(0, 5) | 1<<12}, to: map[byte][]uint32{
			'b': nil, 't': {vlan(10, 5) | 1<<12}, 'h': nil, 'n': {vlan(0, 5) | 1<<12}, 'd': {vlan(10, 5) | 1<<12}, 'e': {vlan(10, 5) | 1<<12}, 'x': nil}},
		{name: "access, other tag", from: 'a', tags: []uint32{vlan(20, 0)}, drop: DropVLAN},
		{name: "access, VLAN 1", from: 'a', tags: []uint32{vlan(1, 0)}, drop: DropVLAN},
		{name: "access, reserved VLAN", from: 'a', tags: []uint32{vlan(4095, 0)}, drop: DropVLAN},
		{name: "access, inner tag", from: 'a', tags: []uint32{vlan(10, 0), vlan(20, 1)}, to: map[byte][]uint32{
			'b': {vlan(20, 1)}, 't': {vlan(10, 0), vlan(20, 1)}, 'h': {vlan(20, 1)}, 'n': {vlan(10, 0), vlan(20, 1)},
			'd': {vlan(10, 0), vlan(20, 1)}, 'e': {vlan(10, 0), vlan(20, 1)}, 'x': {vlan(20, 1)}}},
		{name: "access, service tag is payload", from: 'a', tags: []uint32{service(20), vlan(30, 2)}, to: map[byte][]uint32{
			'b': {service(20), vlan(30, 2)}, 't': {vlan(10, 0), service(20), vlan(30, 2)}, 'h': {service(20), vlan(30, 2)},
			'n': {service(20), vlan(30, 2)}, 'd': {vlan(10, 0), service(20), vlan(30, 2)}, 'e': {vlan(10, 0), service(20), vlan(30, 2)},
			'x': {service(20), vlan(30, 2)}}},
		{name: "trunk, untagged", from: 't', to: map[byte][]uint32{'d': nil, 'e': nil}},
		{name: "trunk, tagged 20", from: 't', tags: []uint32{vlan(20, 7)}, to: map[byte][]uint32{
			'c': nil, 'h': {vlan(20, 7)}, 'n': {vlan(20, 7)}, 'd': {vlan(20, 7)}, 'e': {vlan(20, 7)}, 'y': nil}},
		{name: "trunk, tagged 30", from: 't', tags: []uint32{vlan(30, 0)}, drop: DropVLAN},
		{name: "trunk, own VLAN's tag", from: 't', tags: []uint32{vlan(1, 2)}, to: map[byte][]uint32{'d': {vlan(1, 2)}, 'e': {vlan(1, 2)}}},
		{name: "trunk, reserved VLAN", from: 't', tags: []uint32{vlan(4095, 0)}, drop: DropVLAN},
		{name: "hybrid, untagged", from: 'h', to: map[byte][]uint32{
			'a': nil, 'b': nil, 't': {vlan(10, 0)}, 'n': nil, 'd': {vlan(10, 0)}, 'e': {vlan(10, 0)}, 'x': nil}},
		{name: "hybrid, tagged", from: 'h', tags: []uint32{vlan(20, 1)}, to: map[byte][]uint32{
			'c': nil, 't': {vlan(20, 1)}, 'n': {vlan(20, 1)}, 'd': {vlan(20, 1)}, 'e': {vlan(20, 1)}, 'y': nil}},
		{name: "all, untagged", from: 'd', to: map[byte][]uint32{'t': nil, 'e': nil}},
		{name: "all, priority tag", from: 'd', tags: []uint32{vlan(0, 6)}, to: map[byte][]uint32{'t': nil, 'e': {vlan(0, 6)}}},
		{name: "all, own VLAN's tag", from: 'd', tags: []uint32{vlan(1, 6)}, to: map[byte][]uint32{'t': nil, 'e': {vlan(1, 6)}}},
		{name: "all, VLAN nobody else has", from: 'd', tags: []uint32{vlan(4094, 6)}, to: map[byte][]uint32{'e': {vlan(4094, 6)}}},
		{name: "all, reserved VLAN", from: 'd', tags: []uint32{vlan(4095, 6)}, drop: DropVLAN},
		{name: "transparent, untagged", from: 'x', to: map[byte][]uint32{
			'a': nil, 'b': nil, 't': {vlan(10, 0)}, 'h': nil, 'n': nil, 'd': {vlan(10, 0)}, 'e': {vlan(10, 0)}}},
		{name: "transparent, a tag is payload", from: 'x', tags: []uint32{vlan(20, 4)}, to: map[byte][]uint32{
			'a': {vlan(20, 4)}, 'b': {vlan(20, 4)}, 't': {vlan(10, 0), vlan(20, 4)}, 'h': {vlan(20, 4)}, 'n': {vlan(20, 4)},
			'd': {vlan(10, 0), vlan(20, 4)}, 'e': {vlan(10, 0), vlan(20, 4)}}},
		{name: "transparent, reserved VLAN is payload", from: 'y', tags: []uint32{vlan(4095, 0)}, to: map[byte][]uint32{
			'c': {vlan(4095, 0)}, 't': {vlan(20, none), vlan(4095, 0)}, 'h': {vlan(20, 0), vlan(4095, 0)}, 'n': {vlan(20, 0), vlan(4095, 0)},
			'd': {vlan(20, 0), vlan(4095, 0)}, 'e': {vlan(20, 0), vlan(4095, 0)}}},
	})
}

// runVLANCases tries each row on a switch of its own with these ports.
func runVLANCases(t *testing.T, keysOf map[byte]string, cases []vlanCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, Options{})
			ports := map[byte]*station{}
			for letter, keys := range keysOf {
				ports[letter] = l.plug(keys)
			}
			from := ports[c.from]
			f := eth(frame.Broadcast, from.mac, c.tags...)
			if c.to == nil {
				l.expectDrop(from, f, c.drop)
				return
			}
			var to []delivery
			for letter, tags := range c.to {
				want := ethLen(60, frame.Broadcast, from.mac, tags...)
				// The payload is the same; only what stands before differs.
				want = append(want[:14+4*len(tags)], f[14+4*len(c.tags):]...)
				to = append(to, delivery{ports[letter], want})
			}
			l.expect(from, f, to...)
		})
	}
}

// The same address in two VLANs is two stations.
func TestForwardVLANsLearnApart(t *testing.T) {
	l := newLab(t, Options{})
	a, b, trunk := l.plug("vlan=10"), l.plug("vlan=20"), l.plug("")
	twin := mac(200)
	l.expect(a, eth(frame.Broadcast, twin), delivery{trunk, retag(eth(frame.Broadcast, twin), vlan(10, 0))})
	l.expect(b, eth(frame.Broadcast, twin), delivery{trunk, retag(eth(frame.Broadcast, twin), vlan(20, 0))})
	f := eth(twin, trunk.mac)
	l.expect(trunk, retag(f, vlan(10, 0)), delivery{a, f})
	l.expect(trunk, retag(f, vlan(20, 3)), delivery{b, f})
	l.expectDrop(trunk, f, DropNoReceiver) // VLAN 1 knows neither
}

// retag puts tags into an untagged frame.
func retag(f []byte, tags ...uint32) []byte {
	return append(ethLen(14, frame.MAC(f[:6]), frame.MAC(f[6:]), tags...)[:12+4*len(tags)], f[12:]...)
}

// A unicast to a port that has left the VLAN is dropped, not leaked.
func TestForwardVLANChange(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("vlan=10"), l.plug("vlan=10")
	l.introduce(a, b)
	l.expectSame(a, eth(b.mac, a.mac), b)
	l.set(b, PortChange{PVID: ptr(frame.VID(20))})
	l.expectDrop(a, eth(b.mac, a.mac), DropNoReceiver) // forgotten, and alone
	if err := l.sw.AddFDB(10, b.mac, b.ref); err != nil {
		t.Fatal(err)
	}
	l.expectDrop(a, eth(b.mac, a.mac), DropReceiverDown)
	tagged, _ := frame.ParseVIDSet("10")
	l.set(b, PortChange{Tagged: &tagged})
	l.expect(a, eth(b.mac, a.mac), delivery{b, retag(eth(b.mac, a.mac), vlan(10, 0))})
	l.set(b, PortChange{Transparent: ptr(true)})
	l.expectDrop(a, eth(b.mac, a.mac), DropReceiverDown)
}
