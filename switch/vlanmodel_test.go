package vswitch

import (
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"vnetkit/switch/frame"
)

// vlanModel is the VLAN rules once more, written down frame by frame and without
// a thought of speed: what leaves by out of f that came in by in, and the reason
// why nothing does. Both ports have their defaults filled in.
func vlanModel(in, out *PortConfig, f frame.Frame) ([]byte, DropReason) {
	if in.Transparent { // whatever it has is payload
		return leave(out, f, nil, in.PVID)
	}
	if binary.BigEndian.Uint16(f[12:]) != 0x8100 {
		if in.Native == NativeNone {
			return nil, DropUntagged
		}
		return leave(out, f, nil, in.PVID)
	}
	if len(f) < 18 {
		return nil, DropRunt
	}
	tag := f[12:16]
	bare := slices.Concat(f[:12], f[16:])
	switch vid := frame.VID(binary.BigEndian.Uint16(tag[2:]) & 0xfff); {
	case vid == 0 && in.Native == NativeNone:
		return nil, DropUntagged
	case vid == 0:
		return leave(out, bare, tag, in.PVID)
	case vid == 4095 || !in.Tagged.Has(vid) && (vid != in.PVID || in.Native == NativeNone):
		return nil, DropVLAN
	default:
		return leave(out, bare, tag, vid)
	}
}

// leave is what a frame of VLAN vid, which had this tag, looks like behind out.
func leave(out *PortConfig, bare, tag []byte, vid frame.VID) ([]byte, DropReason) {
	own := vid == out.PVID && (out.Native != NativeNone || out.Transparent)
	switch {
	case !own && (out.Transparent || !out.Tagged.Has(vid)):
		return nil, DropNoReceiver
	case own && (out.Native == NativeUntagged || out.Transparent):
		if tag != nil && !out.Transparent && out.Tagged.Has(vid) {
			return slices.Concat(bare[:12], tag, bare[12:]), notDropped
		}
		return bare, notDropped
	}
	tci := uint16(vid)
	if tag != nil {
		tci |= binary.BigEndian.Uint16(tag[2:]) & 0xf000
	}
	return slices.Concat(bare[:12], []byte{0x81, 0, byte(tci >> 8), byte(tci)}, bare[12:]), notDropped
}

// viewAs is a view of a port with these settings.
func viewAs(id int, c *PortConfig) *view {
	return &view{
		id: id, pvid: c.Home(), noTag: c.noTag(), bare: c.Bare(), tagged: c.Tagged, transparent: c.Transparent, up: true, mtu: frame.MaxMTU,
	}
}

// FuzzVLANs has any frame, made a broadcast, go from any port to any other, and
// compares what comes out with the model.
func FuzzVLANs(f *testing.F) {
	var keys []string
	for _, ports := range []map[byte]string{vlanPorts, nativePorts} {
		for _, letter := range slices.Sorted(maps.Keys(ports)) {
			keys = append(keys, ports[letter])
		}
	}
	frames := [][]byte{
		eth(nobody, mac(1)), eth(nobody, mac(1), vlan(10, 3)), eth(nobody, mac(1), vlan(0, 7)|1<<12), eth(nobody, mac(1), vlan(4095, 0)),
		eth(nobody, mac(1), vlan(10, 0), vlan(20, 0)), eth(nobody, mac(1), vlan(0, 0), vlan(20, 0)), eth(nobody, mac(1), service(10), vlan(20, 0)),
		eth(nobody, mac(1), vlan(0, 0), vlan(0, 0)), eth(nobody, mac(1))[:14], eth(nobody, mac(1), vlan(10, 0))[:14], eth(nobody, mac(1), vlan(10, 0))[:16],
		eth(nobody, mac(1), vlan(20, 0))[:17], eth(nobody, mac(1), vlan(20, 0))[:18], eth(nobody, mac(1), vlan(20, 0), vlan(10, 0))[:18],
	}
	for i, k := range keys {
		for j, data := range frames {
			f.Add(k, keys[(i+j)%len(keys)], data)
		}
	}
	f.Fuzz(func(t *testing.T, from, to string, data []byte) {
		var cfg [2]PortConfig
		for i, text := range []string{from, to} {
			c, err := ParsePortConfig(text)
			if err != nil || c.Validate() != nil {
				return
			}
			if again, err := ParsePortConfig(c.Text()); err != nil || again.Text() != c.Text() {
				t.Fatalf("%q is written as %q, and read as %q, %v", text, c.Text(), again.Text(), err)
			}
			cfg[i] = c.withDefaults()
		}
		if len(data) < frame.HeaderLen || frame.MAC(data[6:12]).IsGroup() || frame.MAC(data[6:12]) == (frame.MAC{}) {
			return
		}
		data = slices.Clone(data)
		copy(data, frame.Broadcast[:])
		want, reason := vlanModel(&cfg[0], &cfg[1], data)
		in, out := viewAs(1, &cfg[0]), viewAs(2, &cfg[1])
		top := &topology{views: []*view{nil, in, out}}
		var v verdict
		v.decide(top, nil, in, data, 0)
		if v.outcome == drop {
			if reason != v.reason || v.learn {
				t.Fatalf("from %q: dropped (%v), learned: %t; want %v", from, v.reason, v.learn, reason)
			}
			return
		}
		if !slices.Contains(top.receivers(v.class.vid), out) {
			if reason != DropNoReceiver {
				t.Fatalf("from %q: %q is no receiver; want % x (%v)", from, to, want, reason)
			}
			return
		}
		if got := out.edit(v.class).Append(nil, data); reason != notDropped || !slices.Equal(got, want) {
			t.Fatalf("from %q to %q: % x leaves as\n% x; want\n% x (%v)", from, to, data, got, want, reason)
		}
	})
}
