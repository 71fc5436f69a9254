package vswitch

import (
	"slices"
	"strings"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// nativePorts are the ports of the matrix below.
var nativePorts = map[byte]string{
	'a': "vlan=10",                         // access
	'c': "vlan=20",                         // access to another VLAN
	'd': "",                                // all VLANs, tags untouched
	'o': "native=none,tagged=10+20",        // trunk without a native VLAN
	'w': "native=none",                     // the same of all VLANs
	'q': "vlan=10,native=tagged,tagged=20", // native VLAN 10, with its tag
	'r': "vlan=10,native=tagged",           // the same, of 10 alone
	'i': "vlan=20,native=none",             // a port of no VLAN
	'x': "vlan=10,native=none,transparent=on",
	'y': "vlan=20,native=tagged,transparent=on",
}

func TestForwardNative(t *testing.T) {
	runVLANCases(t, nativePorts, []vlanCase{
		{name: "access", from: 'a', to: map[byte][]uint32{
			'd': {vlan(10, 0)}, 'o': {vlan(10, 0)}, 'w': {vlan(10, 0)}, 'q': {vlan(10, 0)}, 'r': {vlan(10, 0)}, 'x': nil}},
		{name: "access, priority tag", from: 'a', tags: []uint32{vlan(0, 5)}, to: map[byte][]uint32{
			'd': {vlan(10, 5)}, 'o': {vlan(10, 5)}, 'w': {vlan(10, 5)}, 'q': {vlan(10, 5)}, 'r': {vlan(10, 5)}, 'x': nil}},
		{name: "access, own tag", from: 'a', tags: []uint32{vlan(10, 3)}, to: map[byte][]uint32{
			'd': {vlan(10, 3)}, 'o': {vlan(10, 3)}, 'w': {vlan(10, 3)}, 'q': {vlan(10, 3)}, 'r': {vlan(10, 3)}, 'x': nil}},
		{name: "all, untagged", from: 'd', to: map[byte][]uint32{'w': {vlan(1, 0)}}},
		{name: "all, priority tag", from: 'd', tags: []uint32{vlan(0, 6)}, to: map[byte][]uint32{'w': {vlan(1, 6)}}},
		{name: "none, untagged", from: 'o', drop: DropUntagged},
		{name: "none, priority tag", from: 'o', tags: []uint32{vlan(0, 7)}, drop: DropUntagged},
		{name: "none, priority tag before a VLAN's", from: 'o', tags: []uint32{vlan(0, 7), vlan(10, 0)}, drop: DropUntagged},
		{name: "none, service tag", from: 'o', tags: []uint32{service(10), vlan(10, 0)}, drop: DropUntagged},
		{name: "none, PVID's tag", from: 'o', tags: []uint32{vlan(1, 0)}, drop: DropVLAN},
		{name: "none, other tag", from: 'o', tags: []uint32{vlan(30, 0)}, drop: DropVLAN},
		{name: "none, reserved VLAN", from: 'o', tags: []uint32{vlan(4095, 0)}, drop: DropVLAN},
		{name: "none, tagged 20", from: 'o', tags: []uint32{vlan(20, 2)}, to: map[byte][]uint32{
			'c': nil, 'd': {vlan(20, 2)}, 'w': {vlan(20, 2)}, 'q': {vlan(20, 2)}, 'y': nil}},
		{name: "none, two tags", from: 'o', tags: []uint32{vlan(10, 2), vlan(20, 1)}, to: map[byte][]uint32{
			'a': {vlan(20, 1)}, 'd': {vlan(10, 2), vlan(20, 1)}, 'w': {vlan(10, 2), vlan(20, 1)},
			'q': {vlan(10, 2), vlan(20, 1)}, 'r': {vlan(10, 2), vlan(20, 1)}, 'x': {vlan(20, 1)}}},
		{name: "none of all, untagged", from: 'w', drop: DropUntagged},
		{name: "none of all, PVID's tag", from: 'w', tags: []uint32{vlan(1, 4)}, to: map[byte][]uint32{'d': {vlan(1, 4)}}},
		{name: "tagged, untagged", from: 'q', to: map[byte][]uint32{
			'a': nil, 'd': {vlan(10, 0)}, 'o': {vlan(10, 0)}, 'w': {vlan(10, 0)}, 'r': {vlan(10, 0)}, 'x': nil}},
		{name: "tagged, priority tag", from: 'q', tags: []uint32{vlan(0, 3)}, to: map[byte][]uint32{
			'a': nil, 'd': {vlan(10, 3)}, 'o': {vlan(10, 3)}, 'w': {vlan(10, 3)}, 'r': {vlan(10, 3)}, 'x': nil}},
		{name: "tagged, own tag", from: 'q', tags: []uint32{vlan(10, 1)}, to: map[byte][]uint32{
			'a': nil, 'd': {vlan(10, 1)}, 'o': {vlan(10, 1)}, 'w': {vlan(10, 1)}, 'r': {vlan(10, 1)}, 'x': nil}},
		{name: "tagged, other tag", from: 'r', tags: []uint32{vlan(20, 0)}, drop: DropVLAN},
		{name: "no VLAN, untagged", from: 'i', drop: DropUntagged},
		{name: "no VLAN, PVID's tag", from: 'i', tags: []uint32{vlan(20, 0)}, drop: DropVLAN},
		{name: "transparent none, untagged", from: 'x', to: map[byte][]uint32{
			'a': nil, 'd': {vlan(10, 0)}, 'o': {vlan(10, 0)}, 'w': {vlan(10, 0)}, 'q': {vlan(10, 0)}, 'r': {vlan(10, 0)}}},
		{name: "transparent tagged, a tag is payload", from: 'y', tags: []uint32{vlan(7, 0)}, to: map[byte][]uint32{
			'c': {vlan(7, 0)}, 'd': {vlan(20, 0), vlan(7, 0)}, 'o': {vlan(20, 0), vlan(7, 0)},
			'w': {vlan(20, 0), vlan(7, 0)}, 'q': {vlan(20, 0), vlan(7, 0)}}},
	})
}

// The native VLAN changes while the ports are in use: what holds is what is set.
func TestNativeChanges(t *testing.T) {
	l := newLab(t, Options{})
	a, trunk := l.plug("vlan=10"), l.plug("vlan=10,tagged=20")
	to := func(s *station, tags ...uint32) delivery { return delivery{s, retag(eth(s.mac, a.mac), tags...)} }
	l.introduce(a, trunk)
	f := eth(trunk.mac, a.mac)
	l.expect(a, f, to(trunk))
	l.set(trunk, PortChange{Native: ptr(NativeTagged)})
	l.expect(a, f, to(trunk, vlan(10, 0))) // forgotten, and so to all
	l.introduce(trunk)
	l.expect(a, f, to(trunk, vlan(10, 0)))
	l.set(trunk, PortChange{Native: ptr(NativeNone)})
	l.expectDrop(a, f, DropNoReceiver)
	l.expectDrop(trunk, eth(a.mac, trunk.mac), DropUntagged)
	if n := l.port(trunk.ref).MACs; n != 0 {
		t.Errorf("of a dropped frame %d addresses are learned", n)
	}
	if err := l.sw.AddFDB(10, trunk.mac, trunk.ref); err != nil {
		t.Fatal(err)
	}
	l.expectDrop(a, f, DropReceiverDown)
	l.set(trunk, PortChange{Tagged: ptr(vidSet(t, "10+20"))})
	l.expect(a, f, to(trunk, vlan(10, 0)))
	l.set(trunk, PortChange{Native: ptr(NativeUntagged)})
	l.expect(a, f, to(trunk))
	if _, err := l.sw.SetPort(trunk.ref, PortChange{Native: ptr(Native(3))}); err == nil {
		t.Error("a native VLAN of a kind that there is not was taken")
	}
}

func vidSet(t *testing.T, text string) frame.VIDSet {
	t.Helper()
	set, err := frame.ParseVIDSet(text)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A mirror shows frames as they came and as they leave, also what is dropped for
// want of a tag; and the switch remembers no IP address of what it dropped.
func TestNativeMirrorAndAddresses(t *testing.T) {
	l := newLab(t, Options{})
	a, trunk := l.plug("vlan=10"), l.plug("native=none,tagged=10")
	watch := l.plug("mirror=" + trunk.ref)
	ask := announce(a)
	l.expect(a, ask, delivery{trunk, retag(ask, vlan(10, 0))}, delivery{watch, retag(ask, vlan(10, 0))})
	ask = announce(trunk)
	l.expect(trunk, ask, delivery{watch, ask})
	if n := l.port(trunk.ref).Drops[DropUntagged]; n != 1 {
		t.Errorf("%d frames without a tag were dropped, want 1", n)
	}
	if list, err := l.sw.IPs(FDBFilter{}); err != nil || len(list) != 1 || list[0].Port != a.id || list[0].VID != 10 {
		t.Errorf("addresses: %+v, %v", list, err)
	}
	l.expect(trunk, retag(ask, vlan(10, 3)), delivery{a, ask}, delivery{watch, retag(ask, vlan(10, 3))})
	if list, err := l.sw.IPs(FDBFilter{Port: trunk.ref}); err != nil || len(list) != 1 || list[0].VID != 10 {
		t.Errorf("addresses behind the trunk: %+v, %v", list, err)
	}
}

// announce is an ARP announcement of 10.0.0.N for port N.
func announce(s *station) []byte {
	f := append(eth(frame.Broadcast, s.mac)[:12], 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1)
	f = append(append(f, s.mac[:]...), 10, 0, 0, byte(s.id))
	return append(append(append(f, make([]byte, 6)...), 10, 0, 0, byte(s.id)), make([]byte, 18)...)
}

// BPDUs have no tag, and pass where nothing else without one does.
func TestNativeNoneHearsBPDUs(t *testing.T) {
	for name, tags := range map[string][]uint32{"untagged": nil, "priority tag": {vlan(0, 7)}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, Options{STP: STPConfig{Mode: STPRapid}})
			trunk := l.plug("native=none,tagged=10,edge=off")
			root := stp.Vector{Root: 1, Bridge: 1, Port: 1}
			hello := stp.AppendFrame(nil, trunk.mac, 0, &stp.BPDU{Type: stp.TypeRST, Vector: root, Role: stp.Designated,
				Times: stp.Times{MaxAge: 20 << 8, Hello: 2 << 8, Forward: 15 << 8}})
			if tags != nil {
				hello = slices.Concat(hello[:12], []byte{0x81, 0, 0xe0, 0}, hello[12:])
			}
			if tr, err := l.sw.Trace(trunk.ref, hello); err != nil || tr.Outcome != "trap" || !strings.Contains(tr.Steps[1].Text, "no native VLAN") {
				t.Errorf("trace: %+v, %v", tr, err)
			}
			l.waitFor("the bridge behind the trunk is the root", func() bool {
				trunk.Send(hello)
				i := l.sw.SpanningTree()
				return len(i.Trees) == 1 && i.Trees[0].Root == root.Root
			})
			if n := l.port(trunk.ref).Drops[DropUntagged]; n != 0 {
				t.Errorf("%d BPDUs were dropped", n)
			}
		})
	}
}
