package console

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// vacancy is the Spec of a port that waits for the client that asks for its
// number.
const vacancy = "vde:"

// portView is a port as the console sees it.
type portView struct {
	vswitch.PortInfo
	cfg        vswitch.PortConfig
	id         int
	active     bool // somebody is plugged in
	untagged   int  // VLAN, as the console shows it
	everything bool // carries all VLANs, because nobody said which
}

// ports lists the ports by number. Called with mu held.
func (c *Console) ports() []portView {
	c.forgetGone()
	infos := c.sw.Ports()
	list := make([]portView, len(infos))
	for i, p := range infos {
		list[i] = portView{
			PortInfo: p, cfg: p.Config, id: p.Config.ID,
			active:     p.State == vswitch.StateUp,
			untagged:   c.vlans.untagged(&p.Config),
			everything: *p.Config.Tagged == frame.AllVIDs(),
		}
	}
	return list
}

// forgetGone drops what was noted about ports that are no more: another port may
// have their number by now. Called with mu held.
func (c *Console) forgetGone() {
	events, err := c.sw.Events(ended, c.seq)
	if errors.Is(err, vswitch.ErrMissed) { // any port may be another one by now
		c.seq, c.bases = c.sw.Info().EventSeq, map[int]counters{}
	}
	for i := range events {
		e := &events[i]
		c.seq = e.Seq
		if e.Type == vswitch.EventPortAdded || e.Type == vswitch.EventPortRemoved {
			delete(c.bases, e.Port)
		}
	}
}

// uses tells whether p was set to be a member of a VLAN. That it carries all of
// them does not count.
func (p *portView) uses(vlan int) bool {
	return p.untagged == vlan || !p.everything && !p.cfg.Transparent && vlan != vlanNative && p.cfg.Tagged.Has(frame.VID(vlan))
}

// memberOf tells whether frames of a VLAN leave by p, and whether with a tag.
func (p *portView) memberOf(vlan int) (tagged, member bool) {
	switch {
	case len(p.cfg.Mirror) > 0:
		return false, false
	case p.untagged == vlan:
		return p.cfg.Bare() == 0, true
	case vlan == vlanNative || p.cfg.Transparent:
		return false, false
	}
	member = p.cfg.Tagged.Has(frame.VID(vlan))
	return member, member
}

// tagged are the VLANs that p was given with a tag.
func (p *portView) tagged() frame.VIDSet {
	if p.everything || p.cfg.Transparent {
		return frame.VIDSet{}
	}
	return *p.cfg.Tagged
}

// portNumber reads a port's number. A port that is there has one, whatever the
// highest is that a new one may have.
func (c *call) portNumber(text string) (int, error) {
	n, err := number(text, 0, vswitch.MaxPorts)
	if err != nil {
		return 0, err
	}
	if highest := c.sw.Info().MaxPort; n > highest {
		if _, err := c.sw.Port(strconv.Itoa(n)); err != nil {
			return 0, fmt.Errorf("%w: port %d: the highest is %d", syscall.EINVAL, n, highest)
		}
	}
	return n, nil
}

// findPort finds a port by its number.
func (c *call) findPort(text string, ports []portView) (portView, error) {
	n, err := c.portNumber(text)
	if err != nil {
		return portView{}, err
	}
	i := slices.IndexFunc(ports, func(p portView) bool { return p.id == n })
	if i < 0 {
		return portView{}, fmt.Errorf("%w: no port %d", syscall.ENXIO, n)
	}
	return ports[i], nil
}

// thePort is the port that the command's first word names.
func (c *call) thePort() (portView, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findPort(c.word(), c.ports())
}

func (c *call) portInfo() error {
	in := c.sw.Info()
	c.printf("Numports=%d\nHUB=%t\ncounters=true\n", in.MaxPort, in.Hub)
	return nil
}

func (c *call) portSetNum() error {
	n, err := number(c.word(), 1, vswitch.MaxPorts)
	if err != nil {
		return err
	}
	for _, p := range c.sw.Ports() {
		if p.Config.ID > n {
			return fmt.Errorf("%w: there is port %d", syscall.EADDRINUSE, p.Config.ID)
		}
	}
	return c.sw.Set(vswitch.Change{MaxPort: &n})
}

func (c *call) portSetHub() error {
	on, err := onOff(c.word())
	if err != nil {
		return err
	}
	if on {
		if err := c.tree.Set(false); err != nil {
			return err
		}
	}
	return c.sw.Set(vswitch.Change{Hub: &on})
}

func (c *call) portCreateAuto() error {
	n, err := c.addPort("")
	if err == nil {
		c.printf("Port %04d\n", n)
	}
	return err
}

func (c *call) portCreate() error {
	n, err := c.portNumber(c.word())
	if err != nil {
		return err
	}
	if n == 0 { // any, as the original does it
		_, err = c.addPort("")
		return err
	}
	_, err = c.addPort(",id=" + strconv.Itoa(n))
	return err
}

// addPort makes a port for a client to come.
func (c *call) addPort(keys string) (int, error) {
	added, err := c.sw.Add(c.ctx, vacancy+keys)
	if err != nil {
		return 0, err
	}
	if added.Port == nil {
		return 0, syscall.EINVAL
	}
	return added.Port.Config.ID, nil
}

func (c *call) portRemove() error {
	p, err := c.thePort()
	switch {
	case err != nil:
		return err
	case p.active:
		return fmt.Errorf("%w: somebody is plugged into port %d", syscall.EADDRINUSE, p.id)
	}
	return c.sw.Remove(strconv.Itoa(p.id))
}

func (c *call) portResetCounter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ports := c.ports()
	if c.arg != "" {
		n, err := c.portNumber(c.word())
		if err != nil {
			return err
		}
		ports = slices.DeleteFunc(ports, func(p portView) bool { return p.id != n })
	}
	for i := range ports {
		c.bases[ports[i].id] = countersOf(&ports[i].PortInfo)
	}
	return nil
}

func (c *call) portPrint() error    { return c.printPorts(false) }
func (c *call) portPrintAll() error { return c.printPorts(true) }

func (c *call) printPorts(all bool) error {
	c.mu.Lock()
	ports, bases := c.ports(), maps.Clone(c.bases)
	c.mu.Unlock()
	if c.arg != "" {
		p, err := c.findPort(c.word(), ports)
		if err != nil {
			return err
		}
		if !p.active && !all {
			return fmt.Errorf("%w: nobody is plugged into port %d", syscall.ENXIO, p.id)
		}
		ports = []portView{p}
	}
	for i := range ports {
		if ports[i].active || all {
			c.printPort(&ports[i], bases[ports[i].id])
			c.out.relieve()
		}
	}
	return nil
}

// printPort prints a port and what it counted since base.
func (c *call) printPort(p *portView, base counters) {
	state := map[bool]string{true: "ACTIVE", false: "INACTIVE"}[p.active]
	c.printf("Port %04d untagged_vlan=%04d %s - %sUnnamed Allocatable\n", p.id, p.untagged, state, map[bool]string{false: "NOT "}[c.isAllocatable(p)])
	user, group := c.access(p)
	c.printf(" Current User: %s Access Control: (User: %s - Group: %s)\n", userName(p), user, group)
	n := countersOf(&p.PortInfo).less(base)
	c.printf(" IN:  pkts %10d          bytes %20d\n", n.rx.Frames, n.rx.Bytes)
	c.printf(" OUT: pkts %10d          bytes %20d\n", n.tx.Frames, n.tx.Bytes)
	if text, sum := n.dropText(); sum > 0 {
		c.printf(" DROP: pkts %9d          (%s)\n", sum, text)
	}
	for _, ep := range c.endpoints(&p.PortInfo) {
		c.printf("  -- endpoint ID %04d module %-12s: %s\n", ep.id, ep.module, printable(ep.descr))
	}
}

// counters are those of a port at one time.
type counters struct {
	rx, tx vswitch.Count
	drops  []uint64 // by reason
}

func countersOf(p *vswitch.PortInfo) counters {
	return counters{p.Rx, p.Tx, slices.Clone(p.Drops[:])}
}

// less is what was counted since base.
func (n counters) less(base counters) counters {
	if base.drops == nil {
		return n
	}
	n.rx.Frames -= base.rx.Frames
	n.rx.Bytes -= base.rx.Bytes
	n.tx.Frames -= base.tx.Frames
	n.tx.Bytes -= base.tx.Bytes
	for i := range n.drops {
		n.drops[i] -= base.drops[i]
	}
	return n
}

func (n counters) dropText() (string, uint64) {
	var parts []string
	var sum uint64
	for _, r := range vswitch.DropReasons() {
		if k := n.drops[r]; k > 0 {
			sum += k
			parts = append(parts, fmt.Sprintf("%v %d", r, k))
		}
	}
	return strings.Join(parts, ", "), sum
}
