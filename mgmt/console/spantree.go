package console

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// spanTree is the switch's spanning tree as the fstp menu has it: a tree for each
// VLAN, in the dialect of vde_switch, or one for all, whose ports look alike in
// every VLAN.
type spanTree struct{ sw *vswitch.Switch }

// SpanningTree is the Tree of a switch.
func SpanningTree(sw *vswitch.Switch) Tree { return spanTree{sw} }

// On tells whether there is a tree.
func (t spanTree) On() bool { return t.sw.SpanningTree().Config.Mode != vswitch.STPOff }

// Set switches the tree off, or on as vde_switch has it. One of another mode that
// is on stays as it is.
func (t spanTree) Set(on bool) error {
	if on == t.On() {
		return nil
	}
	mode := vswitch.STPOff
	if on {
		mode = vswitch.STPFSTP
	}
	return t.sw.Set(vswitch.Change{STP: &vswitch.STPChange{Mode: &mode}})
}

// SetEdge says whether a port leads to stations only, in one VLAN.
func (t spanTree) SetEdge(vid frame.VID, port int, edge bool) error {
	return t.sw.SetTreeEdge(vid, strconv.Itoa(port), edge)
}

// SetBonus makes a port cheaper in one VLAN.
func (t spanTree) SetBonus(vid frame.VID, port, cost int) error {
	return t.sw.SetTreeBonus(vid, strconv.Itoa(port), uint32(cost))
}

// Branch is the tree of a VLAN.
func (t spanTree) Branch(vid frame.VID) Branch {
	all := t.Branches()
	if b, ok := all[vid]; ok {
		return b
	}
	return all[0]
}

// Branches are all trees.
func (t spanTree) Branches() map[frame.VID]Branch {
	all := map[frame.VID]Branch{}
	for _, tree := range t.sw.SpanningTree().Trees {
		b := Branch{
			Root: treeID(tree.Root), Designated: treeID(tree.Upstream.Bridge),
			RootPort: tree.RootPort, Cost: int(tree.Cost),
			Age:   int(tree.Times.Age) / 256, // of which a second has 256
			Ports: map[int]Twig{},
		}
		for port, bonus := range tree.Bonus {
			b.BonusPort, b.BonusCost = port, int(bonus)
		}
		for _, p := range tree.Ports {
			b.Ports[p.Port] = Twig{Cost: int(p.Cost), Role: roleText(p.Role), State: stateText(p.State)}
		}
		all[tree.VID] = b
	}
	return all
}

func treeID(id stp.ID) (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], uint64(id))
	return b
}

// treeNews tells how the trees are not as they were. Events say that they are not;
// what there is by then is looked up.
func (n *news) treeNews(out *output) {
	before, now := n.trees, n.c.tree.Branches()
	n.trees = now
	for _, vid := range keysOfBoth(before, now) {
		n.branchNews(out, vid, before[vid], now[vid])
	}
}

// branchNews is treeNews for one VLAN, in vde_switch's order.
func (n *news) branchNews(out *output, vid frame.VID, was, is Branch) {
	ports := keysOfBoth(was.Ports, is.Ports)
	text := func(port int) string { return fmt.Sprintf("Port %04d VLAN %s", port, n.c.vlanText(vid)) }
	for _, port := range ports {
		switch there, now := was.Ports[port].news() != "", is.Ports[port].news() != ""; {
		case now && !there:
			n.line(out, tagFSTPAdd, "%s", text(port))
		case there && !now:
			n.line(out, tagFSTPDel, "%s", text(port))
		}
	}
	// A tree that has just begun says nothing before it has found a root.
	begun := was.Ports == nil && is.RootPort == 0
	if is.Ports != nil && !begun && (is.Root != was.Root || is.RootPort != was.RootPort) {
		n.line(out, tagFSTPRoot, "%s -> %s", text(is.RootPort), idText(is.Root))
	}
	for _, port := range ports {
		if cur := is.Ports[port].news(); cur != "" && cur != was.Ports[port].news() {
			n.line(out, tagFSTPStatus, "%s %s", text(port), cur)
		}
	}
}

// news is vde_switch's word for a state; "": the port is in no tree.
func (t Twig) news() string {
	switch {
	case t.Role == "" || t.Role == "Unknown":
		return ""
	case t.State == "Forwarding":
		return "learning+forwarding"
	}
	return strings.ToLower(t.State)
}

// keysOfBoth are the keys of two maps, each once.
func keysOfBoth[K cmp.Ordered, V any](a, b map[K]V) []K {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// roleText is vde_switch's word for a role.
func roleText(r stp.Role) string {
	switch r {
	case stp.Root:
		return "Root"
	case stp.Designated:
		return "Designated"
	case stp.Alternate, stp.Backup:
		return "Alternate/Backup"
	}
	return "Unknown"
}

func stateText(s stp.State) string {
	switch s {
	case stp.Forwarding:
		return "Forwarding"
	case stp.Learning:
		return "Learning"
	}
	return "Discarding"
}
