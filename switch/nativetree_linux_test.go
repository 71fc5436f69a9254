package vswitch

import (
	"slices"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// Two switches by a trunk whose native VLAN is none, or tagged: the trees of its
// VLANs see each other by BPDUs with tags, and frames pass.
func TestNativeTreesOfVLANs(t *testing.T) {
	for name, keys := range map[string]string{"none": "vlan=10,native=none,tagged=10+20", "tagged": "vlan=10,native=tagged,tagged=20"} {
		t.Run(name, func(t *testing.T) {
			a, b := treeLab(t, STPFSTP, 4096), treeLab(t, STPFSTP, 8192)
			c := cable(a, b, keys, keys)
			for _, vlan := range []string{"vlan=10,edge=on", "vlan=20,edge=on"} {
				talk(a.plug(vlan), b.plug(vlan), 2*reconverge)
			}
			trunk := b.port(c.port2)
			if trunk.Tree.Role != "root" || trunk.Tree.Blocked != 0 {
				t.Errorf("the trunk is in its main tree %+v", trunk.Tree)
			}
			for _, tree := range b.sw.SpanningTree().Trees {
				if tree.RootPort != trunk.Config.ID || !tree.Tagged[trunk.Config.ID] {
					t.Errorf("tree of VLAN %d: root by port %d, BPDUs at the trunk with a tag: %t", tree.VID, tree.RootPort, tree.Tagged[trunk.Config.ID])
				}
			}
			watch, seen := a.plug(keys), map[uint16]bool{}
			a.waitFor("BPDUs of both VLANs", func() bool {
				if f, ok := watch.Poll(); ok && stp.IsFrame(f) {
					tci, _ := frame.Frame(f).Tag() // 0: none
					seen[tci&0x0fff] = true
				}
				return len(seen) > 1
			})
			if !seen[10] || !seen[20] {
				t.Errorf("BPDUs are of VLANs %v", seen)
			}
		})
	}
}

// More VLANs than there are trees: the others go with the lowest.
func TestNativeNoneVLANsWithoutTrees(t *testing.T) {
	const keys = "native=none,tagged=100-299"
	a, b := treeLab(t, STPFSTP, 4096), treeLab(t, STPFSTP, 8192)
	cable(a, b, keys, keys)
	from, to := a.plug(keys+",edge=on"), b.plug(keys+",edge=on")
	f := eth(frame.Broadcast, from.mac, vlan(290, 0))
	a.waitFor("VLAN 290 is open", func() bool {
		from.Send(f)
		got, ok := to.Poll()
		return ok && slices.Equal(got, f)
	})
	if n := len(b.sw.SpanningTree().Trees); n != maxTrees {
		t.Errorf("%d trees", n)
	}
}
