package console

import (
	"syscall"

	"vnetkit/switch/frame"
)

// Tree is the spanning tree as the fstp menu shows and sets it. VLANs are the
// switch's.
type Tree interface {
	On() bool
	Set(on bool) error
	SetEdge(vid frame.VID, port int, edge bool) error
	SetBonus(vid frame.VID, port, cost int) error

	// Branch is what the tree is like in a VLAN, and Branches all there are; 0
	// is one of all VLANs.
	Branch(vid frame.VID) Branch
	Branches() map[frame.VID]Branch
}

// Branch is the spanning tree of one VLAN.
type Branch struct {
	Root, Designated     [8]byte // bridge identifiers: priority and address
	RootPort, Cost, Age  int     // of the way to the root; 0 where this switch is it
	BonusPort, BonusCost int
	Ports                map[int]Twig // by number; a port that is not there forwards
}

// Twig is a port in a Branch. Role is one of Unknown, Root, Designated,
// Alternate/Backup; State is Forwarding, Learning or Discarding.
type Twig struct {
	Cost        int
	Role, State string
}

const (
	defaultPriority = 0x8000
	defaultPathCost = 20000000
)

// noTree is the Tree of a switch that has none: it is off and stays off.
type noTree struct{}

func (noTree) On() bool { return false }

func (noTree) Set(on bool) error {
	if on {
		return syscall.ENOSYS
	}
	return nil
}

func (noTree) SetEdge(frame.VID, int, bool) error { return syscall.ENOSYS }
func (noTree) SetBonus(frame.VID, int, int) error { return syscall.ENOSYS }
func (noTree) Branch(frame.VID) Branch            { return Branch{} }
func (noTree) Branches() map[frame.VID]Branch     { return nil }

func (c *call) fstpInfo() error {
	c.printf("MAC %v Priority %d (0x%x)\nFSTP=%t\n", c.opt.MAC, c.opt.Priority, c.opt.Priority, c.tree.On())
	return nil
}

func (c *call) fstpSet() error {
	on, err := onOff(c.word())
	if err != nil {
		return err
	}
	if c.sw.Info().Hub {
		c.printf("Can't use fstp in hub mode\n")
		return nil
	}
	return c.tree.Set(on)
}

// treeArgs reads VLAN, PORT and another number.
func (c *call) treeArgs() (vid frame.VID, port, n int, err error) {
	w, err := c.words(3)
	if err != nil {
		return 0, 0, 0, err
	}
	if vid, err = c.vlanArg(w[0]); err == nil {
		port, err = number(w[1], 0, 1<<16)
	}
	if err == nil {
		n, err = number(w[2], 0, 1<<30)
	}
	return vid, port, n, err
}

func (c *call) fstpSetEdge() error {
	vid, port, n, err := c.treeArgs()
	if err != nil {
		return err
	}
	return c.tree.SetEdge(vid, port, n != 0)
}

func (c *call) fstpBonus() error {
	vid, port, n, err := c.treeArgs()
	if err != nil {
		return err
	}
	return c.tree.SetBonus(vid, port, n)
}

func (c *call) fstpPrint() error {
	vlans, vids, ports, err := c.pickVLANs()
	for n, vlan := range vlans {
		c.printBranch(vlan, c.tree.Branch(vids[n]), ports)
		c.out.relieve()
	}
	return err
}

func (c *call) printBranch(vlan int, b Branch, ports []portView) {
	on := c.tree.On()
	own := c.bridgeID()
	if !on {
		b = Branch{Root: own, Designated: [8]byte{255, 255, 255, 255, 255, 255, 255, 255}, Age: c.uptime()}
	}
	c.printf("FST DATA VLAN %04d %s %s\n", vlan, map[bool]string{true: "ROOTSWITCH"}[b.Root == own], map[bool]string{false: "FSTP IS DISABLED"}[on])
	c.printf(" ++ root %s\n ++ designated %s\n", idText(b.Root), idText(b.Designated))
	c.printf(" ++ rootport %04d cost %d age %d bonusport %04d bonuscost %d\n", b.RootPort, b.Cost, b.Age, b.BonusPort, b.BonusCost)
	for i := range ports {
		p := &ports[i]
		tagged, member := p.memberOf(vlan)
		if !member || !p.active {
			continue
		}
		twig, ok := b.Ports[p.id]
		if !ok {
			twig = Twig{Cost: defaultPathCost, Role: "Designated"}
		}
		c.printf(" -- Port %04d tagged=%d portcost=%d role=%s\n", p.id, bit(tagged), twig.Cost, twig.Role)
	}
}

// bridgeID is the switch's own name in a spanning tree.
func (c *Console) bridgeID() (id [8]byte) {
	id[0], id[1] = byte(c.opt.Priority>>8), byte(c.opt.Priority)
	copy(id[2:], c.opt.MAC[:])
	return id
}

func idText(id [8]byte) string {
	const digits = "0123456789abcdef"
	var b []byte
	for i, x := range id {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[x>>4], digits[x&15])
	}
	return string(b)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
