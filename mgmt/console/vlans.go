package console

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// vlanArg reads the number of a VLAN that must exist, and returns the switch's.
func (c *call) vlanArg(text string) (frame.VID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	vlan, err := c.knownVLAN(text, c.ports())
	return c.vlans.vid(vlan), err
}

// knownVLAN reads the number of a VLAN that must exist. Called with mu held.
func (c *call) knownVLAN(text string, ports []portView) (int, error) {
	vlan, err := number(text, 0, maxVLAN)
	if err != nil {
		return 0, err
	}
	return vlan, c.checkVLAN(vlan, ports)
}

// checkVLAN tells whether a VLAN exists. Called with mu held.
func (c *call) checkVLAN(vlan int, ports []portView) error {
	if vlan == vlanNative || vlan <= maxVLAN && c.vlans.made.Has(frame.VID(vlan)) {
		return nil
	}
	for i := range ports {
		if ports[i].uses(vlan) {
			return nil
		}
	}
	return fmt.Errorf("%w: no VLAN %d", syscall.ENXIO, vlan)
}

func (c *call) vlanCreate() error {
	vlan, err := number(c.word(), 1, maxVLAN)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ports := c.ports()
	vid := frame.VID(vlan)
	if vid != c.vlans.native && c.checkVLAN(vlan, ports) == nil {
		return fmt.Errorf("%w: VLAN %d", syscall.EEXIST, vlan)
	}
	next := c.vlans
	next.made.Add(vid)
	ops := c.becomeAware(&next, ports)
	if vid == next.native {
		spare := next.spare(ports, vid)
		if spare == 0 {
			return fmt.Errorf("%w: every VLAN has a meaning, VLAN 0 would have none", syscall.ENOSPC)
		}
		ops = c.moveNative(&next, ports, spare)
	}
	return c.applyVLANs(next, ops)
}

// applyVLANs changes the switch and, if it lets itself be changed, the book.
func (c *call) applyVLANs(next vlanBook, ops []vswitch.Op) error {
	if len(ops) > 0 {
		if _, err := c.sw.Apply(c.ctx, ops); err != nil {
			return err
		}
	}
	c.vlans = next
	return nil
}

// setUntagged makes VLAN vid the untagged one of a port; 0: it has none.
func setUntagged(port int, vid frame.VID) vswitch.Op {
	native := vswitch.NativeUntagged
	ch := vswitch.PortChange{Native: &native, PVID: &vid}
	if vid == 0 {
		native, ch.PVID = vswitch.NativeNone, nil
	}
	return vswitch.Op{SetPort: &vswitch.SetPortOp{Port: strconv.Itoa(port), Change: ch}}
}

// becomeAware makes ports that nobody gave VLANs members of VLAN 0 alone, those
// that come later too.
//
// As long as there are no VLANs the switch carries tags as they come, between any
// two ports: guests that use VLANs among themselves need that. From the moment
// somebody creates one, a guest must not get into it by sending tags, and the
// original's rule holds: a port carries the VLANs that it is a member of.
func (c *call) becomeAware(b *vlanBook, ports []portView) []vswitch.Op {
	if b.aware {
		return nil
	}
	b.aware = true
	return c.tieDown(b, ports, b.native)
}

// moveNative has another VLAN of the switch stand for VLAN 0.
func (c *call) moveNative(b *vlanBook, ports []portView, vid frame.VID) []vswitch.Op {
	ops := c.tieDown(b, ports, vid)
	b.native, b.aware = vid, true
	return ops
}

// tieDown makes VLAN vid the untagged one of all ports that have VLAN 0, and
// takes away from those that carry everything what they were not given.
func (c *call) tieDown(b *vlanBook, ports []portView, vid frame.VID) (ops []vswitch.Op) {
	for i := range ports {
		p := &ports[i]
		if p.cfg.Bare() != b.native || p.cfg.Transparent || len(p.cfg.Mirror) > 0 {
			continue
		}
		ch := vswitch.PortChange{PVID: &vid}
		if p.everything {
			ch.Tagged = &frame.VIDSet{}
		}
		ops = append(ops, vswitch.Op{SetPort: &vswitch.SetPortOp{Port: strconv.Itoa(p.id), Change: ch}})
	}
	in := c.sw.Info()
	def := in.Default
	if pvid := def.PVID; (pvid == 0 || pvid == b.native) && !def.Transparent {
		if def.PVID = vid; def.Tagged == nil && pvid == 0 || def.Tagged != nil && *def.Tagged == frame.AllVIDs() {
			def.Tagged = &frame.VIDSet{}
		}
		ops = append(ops, vswitch.Op{Set: &vswitch.Change{Default: &def}})
	}
	for _, d := range in.Doors {
		if spec, ok := c.tiedDoor(d.Spec, b.native, vid); ok {
			ops = append(ops, vswitch.Op{Remove: &d.Name}, vswitch.Op{Add: &spec})
		}
	}
	return ops
}

// tiedDoor is the Spec of a door whose clients get VLAN vid, if they got VLAN 0
// so far. The switch keeps a door open that is only to have other settings.
func (c *call) tiedDoor(text string, native, vid frame.VID) (string, bool) {
	spec, err := link.ParseSpec(text)
	if err != nil {
		return "", false
	}
	for _, key := range []string{"transparent", "mirror"} {
		if _, ok := spec.Take(key); ok {
			return "", false
		}
	}
	if spec, err = link.ParseSpec(text); err != nil {
		return "", false
	}
	tagged, hasTagged := spec.Take("tagged")
	pvid, ok := spec.Take("vlan")
	if ok && pvid != strconv.Itoa(int(native)) {
		return "", false
	}
	if !hasTagged || tagged == "all" {
		tagged = "none"
	}
	spec.Opts = append(spec.Opts, link.Opt{Key: "vlan", Value: strconv.Itoa(int(vid))}, link.Opt{Key: "tagged", Value: tagged})
	return spec.String(), true
}

func (c *call) vlanRemove() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ports := c.ports()
	vlan, err := c.knownVLAN(c.word(), ports)
	switch {
	case err != nil:
		return err
	case vlan == vlanNative:
		return fmt.Errorf("%w: VLAN 0 stays", syscall.EINVAL)
	}
	for i := range ports {
		if ports[i].uses(vlan) {
			return fmt.Errorf("%w: port %d is a member of VLAN %d", syscall.EADDRINUSE, ports[i].id, vlan)
		}
	}
	c.vlans.made[vlan>>6] &^= 1 << (vlan & 63)
	return nil
}

// memberArgs reads the VLAN and the port of addport and delport.
func (c *call) memberArgs() (vlan int, p portView, ports []portView, err error) {
	w, err := c.words(2)
	if err != nil {
		return 0, p, nil, err
	}
	if vlan, err = number(w[0], 0, maxVLAN); err != nil {
		return 0, p, nil, err
	}
	if _, err = c.portNumber(w[1]); err != nil {
		return 0, p, nil, err
	}
	ports = c.ports()
	if err = c.checkVLAN(vlan, ports); err != nil {
		return 0, p, nil, err
	}
	p, err = c.findPort(w[1], ports)
	return vlan, p, ports, err
}

func (c *call) vlanAddPort() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	vlan, p, ports, err := c.memberArgs()
	switch {
	case err != nil:
		return err
	case vlan == p.untagged:
		return nil // it is, and stays untagged
	case vlan == vlanNative:
		return fmt.Errorf("%w: VLAN 0 has no tag", syscall.EINVAL)
	}
	next := c.vlans
	ops := c.becomeAware(&next, ports)
	tagged := p.tagged()
	tagged.Add(frame.VID(vlan))
	return c.applyVLANs(next, append(ops, setTagged(p.id, tagged)))
}

func (c *call) vlanDelPort() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	vlan, p, ports, err := c.memberArgs()
	switch {
	case err != nil:
		return err
	case vlan == p.untagged:
		return fmt.Errorf("%w: it is the untagged VLAN of port %d", syscall.EADDRINUSE, p.id)
	}
	next := c.vlans
	ops := c.becomeAware(&next, ports)
	tagged := p.tagged()
	tagged[vlan>>6] &^= 1 << (vlan & 63)
	return c.applyVLANs(next, append(ops, setTagged(p.id, tagged)))
}

// setTagged also has the port stay when its client leaves: what was set for a
// number holds for the next client that gets it, as in the original.
func setTagged(port int, tagged frame.VIDSet) vswitch.Op {
	keep := true
	return vswitch.Op{SetPort: &vswitch.SetPortOp{Port: strconv.Itoa(port), Change: vswitch.PortChange{Tagged: &tagged, Keep: &keep}}}
}

// portSetVLAN makes a VLAN the untagged one of a port, which leaves the one that
// it had.
func (c *call) portSetVLAN() error {
	w, err := c.words(2)
	if err != nil {
		return err
	}
	vlan, err := number(w[1], 0, vlanNone)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ports := c.ports()
	p, err := c.findPort(w[0], ports)
	if err != nil {
		return err
	}
	next := c.vlans
	var vid frame.VID
	if vlan != vlanNone {
		if err := c.checkVLAN(vlan, ports); err != nil {
			return err
		}
		vid = next.vid(vlan)
	}
	ops := c.becomeAware(&next, ports)
	tagged := p.tagged()
	tagged[vid>>6] &^= 1 << (vid & 63)
	return c.applyVLANs(next, append(ops, setTagged(p.id, tagged), setUntagged(p.id, vid)))
}

func (c *call) vlanPrint() error    { return c.printVLANs(false) }
func (c *call) vlanPrintAll() error { return c.printVLANs(true) }

// pickVLANs returns the VLAN that the argument names or, without one, all; and
// the switch's VLANs for them.
func (c *call) pickVLANs() (vlans []int, vids []frame.VID, ports []portView, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ports = c.ports()
	if c.arg == "" {
		vlans = c.vlans.known(ports)
	} else {
		vlan, err := c.knownVLAN(c.word(), ports)
		if err != nil {
			return nil, nil, nil, err
		}
		vlans = []int{vlan}
	}
	for _, vlan := range vlans {
		vids = append(vids, c.vlans.vid(vlan))
	}
	return vlans, vids, ports, nil
}

func (c *call) printVLANs(all bool) error {
	vlans, vids, ports, err := c.pickVLANs()
	if err != nil {
		return err
	}
	hub := c.sw.Info().Hub // where no port is active as a member of a VLAN
	for n, vlan := range vlans {
		c.printf("VLAN %04d\n", vlan)
		branch := c.tree.Branch(vids[n])
		for i := range ports {
			p := &ports[i]
			tagged, member := p.memberOf(vlan)
			active := p.active && !hub
			if !member || !active && !all {
				continue
			}
			state := map[bool]string{true: "Forwarding", false: "Learning"}[active]
			if twig, ok := branch.Ports[p.id]; ok && active && c.tree.On() {
				state = strings.TrimSpace(twig.State)
			}
			c.printf(" -- Port %04d tagged=%d active=%d status=%s\n", p.id, bit(tagged), bit(active), state)
		}
		c.out.relieve()
	}
	return nil
}
