package hostnet

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// BridgeWish is a bridge that shall be there.
type BridgeWish struct {
	Name   string `json:"name"`
	Uplink string `json:"uplink,omitempty"` // interface to put into it, with its addresses; "": none
	UID    int    `json:"uid"`              // for whom
	User   string `json:"user"`
	Set    string `json:"set,omitempty"`
	Force  bool   `json:"force,omitempty"` // also an uplink that another program manages
	MAC    string `json:"mac,omitempty"`   // "": a new one; that of an uplink counts more
}

const defaultMTU = 1500

// PlanBridge adds to the plan what makes the bridge. made is false if it is
// there already, whoever made it.
func (h *Host) PlanBridge(p *Plan, w BridgeWish) (made bool, err error) {
	if err := CheckName(w.Name); err != nil {
		return false, err
	}
	there, err := h.exists(w.Name)
	if err != nil {
		return false, err
	}
	if there {
		return false, h.usable(w)
	}
	b := &Bridge{Name: w.Name, MAC: cmp.Or(w.MAC, RandomMAC()), MTU: defaultMTU, Mark: p.Mark(w.User)}
	o := Object{Kind: "bridge", Name: w.Name, UID: w.UID, Set: w.Set}
	if w.Uplink == "" {
		p.Add(o, b, &Up{w.Name})
		return true, nil
	}
	up, err := h.uplink(w)
	if err != nil {
		return false, err
	}
	config, err := h.config(device{up.Name, up.Index})
	if err != nil {
		return false, err
	}
	if len(config.Addrs) == 0 {
		return false, refuse(ErrInvalid, fmt.Sprintf("interface %s has no address, so the bridge would not either", up.Name), "ip address add ADDRESS/LENGTH dev %s, or: vnetctl create bridge %s and then ip link set %s master %s", up.Name, w.Name, up.Name, w.Name)
	}
	b.MAC, b.MTU = up.MAC.String(), up.MTU
	p.Critical = critical(config, up.Name)
	p.Add(o, b, &CopySettings{To: w.Name, Values: settingsOf(up.Name)}, &Up{w.Name}, &Move{From: up.Name, To: w.Name, Config: config})
	return true, nil
}

// usable tells whether what is there will do.
func (h *Host) usable(w BridgeWish) error {
	l, err := h.Link(w.Name)
	if err != nil {
		return err
	}
	if l.Kind != "bridge" {
		return refuse(ErrExists, fmt.Sprintf("%s is there, and is a %s instead of a bridge", w.Name, l.Kind), "choose another name with -b")
	}
	if w.Uplink == "" {
		return nil
	}
	up, err := h.Link(w.Uplink)
	if err == nil && up.Master != w.Name {
		err = refuse(ErrExists, fmt.Sprintf("bridge %s is there, and %s is not in it", w.Name, w.Uplink), "leave -i away, or choose another bridge with -b")
	}
	return err
}

// uplink looks at an interface that is to go into a bridge with its addresses.
func (h *Host) uplink(w BridgeWish) (Link, error) {
	l, err := h.Link(w.Uplink)
	if err != nil {
		return l, err
	}
	bad := func(code Code, why, cure string, args ...any) error {
		return refuse(code, fmt.Sprintf("interface %s %s", l.Name, why), cure, args...)
	}
	switch {
	case l.Index == 1 || l.Name == "lo":
		return l, bad(ErrInvalid, "is the loopback", "choose another with -i; ip -br link lists them")
	case l.Kind == "bridge":
		return l, bad(ErrInvalid, "is a bridge itself", "use it: -b %s", l.Name)
	case l.Kind == "tuntap":
		return l, bad(ErrInvalid, "is a TAP", "choose the one that leads outside with -i; ip route show default names it")
	case wireless(l.Name):
		return l, bad(ErrUnsupported, "is wireless: it sends frames from its own address only, so guests behind a bridge on it reach nobody", "leave -i away, and route")
	case l.Master != "":
		return l, bad(ErrInUse, "is in "+l.Master+" already", "use that: -b %s", l.Master)
	case !l.Up:
		return l, bad(ErrInvalid, "is down", "ip link set dev %s up", l.Name)
	}
	if m := ManagerOf("/", l); m != nil && m.Moves && !w.Force {
		return l, &Error{Code: ErrManaged, Cause: fmt.Sprintf("%s manages interface %s (%s) and would go on doing so without the bridge", m.Name, l.Name, m.Sign), Cure: m.Cure}
	}
	return l, nil
}

// DefaultUplink names the interface of the best default route, IPv4 first.
func (h *Host) DefaultUplink() (string, error) {
	for _, family := range families {
		list, err := h.raw.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, append([]byte{family}, make([]byte, sizeofRtMsg-1)...))
		if err != nil {
			return "", err
		}
		best, metric := 0, uint32(0)
		for _, r := range list {
			if len(r) < sizeofRtMsg || r[1] != 0 || r[4] != unix.RT_TABLE_MAIN || r[7] != unix.RTN_UNICAST {
				continue
			}
			route := parseAttrs(r[sizeofRtMsg:])
			if out, m := int(route.uint32(unix.RTA_OIF)), route.uint32(unix.RTA_PRIORITY); out != 0 && (best == 0 || m < metric) {
				best, metric = out, m
			}
		}
		if best == 0 {
			continue
		}
		l, err := h.nl.LinkByIndex(best)
		if err != nil {
			return "", fmt.Errorf("look for interface number %d: %w", best, err)
		}
		return l.Attrs().Name, nil
	}
	return "", refuse(ErrNotFound, "there is no default route, so no interface is the uplink", "name one with -i")
}

// critical says why losing an interface with this configuration could cut the
// admin off; empty: it could not.
func critical(c Config, name string) string {
	for _, r := range c.Routes {
		if r[1] == 0 && r[7] == unix.RTN_UNICAST {
			return name + " carries the default route"
		}
	}
	_, server, _ := strings.Cut(SSHConnection(), " ")
	words := strings.Fields(server) // client's port, our address, our port
	for _, a := range c.Addrs {
		list := parseAttrs(a[sizeofIfAddrmsg:])
		for _, typ := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
			if at := netipOf(list.get(typ)); at.IsValid() && len(words) > 1 && at.String() == words[1] {
				return name + " carries this SSH connection"
			}
		}
	}
	return ""
}

// TAPWish is a TAP that shall be there.
type TAPWish struct {
	Name   string `json:"name"`             // "": the first free tapN
	Bridge string `json:"bridge,omitempty"` // to put it in; "": none
	Parent string `json:"parent,omitempty"` // not a TAP but a macvtap on this interface; "": a TAP
	UID    int    `json:"uid"`              // who may open it
	GID    int    `json:"gid"`              // which group may; -1: any
	User   string `json:"user"`
	Set    string `json:"set,omitempty"`
	MAC    string `json:"mac,omitempty"` // "": a new one
}

// PlanTAP adds to the plan what makes the TAP, and says what it is called. made
// is false if it is there already. The bridge may be one that the plan makes.
func (h *Host) PlanTAP(p *Plan, s *State, w TAPWish) (name string, made bool, err error) {
	if w.Name == "" {
		if w.Name, err = h.freeTAP(p, w); err != nil {
			return "", false, err
		}
	}
	if err := CheckName(w.Name); err != nil {
		return "", false, err
	}
	mtu, needs := defaultMTU, []string(nil)
	if w.Bridge != "" {
		if mtu, needs, err = h.bridgeFor(p, s, w.Bridge); err != nil {
			return "", false, err
		}
	}
	l, err := h.Link(w.Name)
	if err == nil {
		return w.Name, false, tapUsable(s, l, w)
	}
	if there, err := h.exists(w.Name); err != nil || there {
		return "", false, err
	}
	o := Object{Kind: "tap", Name: w.Name, UID: w.UID, Set: w.Set, Needs: needs}
	if w.Parent != "" {
		m, err := h.planMacvtap(w, p.Mark(w.User))
		if err != nil {
			return "", false, err
		}
		p.Add(o, m, &Up{w.Name})
		return w.Name, true, nil
	}
	steps := []Step{&TAP{Name: w.Name, UID: w.UID, GID: w.GID, MAC: cmp.Or(w.MAC, RandomMAC()), MTU: mtu, Mark: p.Mark(w.User)}}
	if w.Bridge != "" {
		steps = append(steps, &Join{w.Name, w.Bridge})
	}
	p.Add(o, append(steps, &Up{w.Name})...)
	return w.Name, true, nil
}

// bridgeFor finds the MTU of a bridge, there or planned, and whether it is ours.
func (h *Host) bridgeFor(p *Plan, s *State, name string) (mtu int, needs []string, err error) {
	for _, step := range p.Steps {
		if b, ok := step.(*Bridge); ok && b.Name == name {
			return b.MTU, []string{"bridge:" + name}, nil
		}
	}
	l, err := h.Link(name)
	if err != nil {
		return 0, nil, err
	}
	if l.Kind != "bridge" {
		return 0, nil, refuse(ErrInvalid, fmt.Sprintf("%s is a %s and no bridge", name, l.Kind), "vnetctl create bridge NAME")
	}
	if o, ok := s.Find("bridge", name); ok {
		needs = []string{o.Key()}
	}
	return l.MTU, needs, nil
}

func tapUsable(s *State, l Link, w TAPWish) error {
	o, ours := s.Find("tap", l.Name)
	if !ours || !Marked(l.Alias) {
		return refuse(ErrExists, fmt.Sprintf("%s is there, a %s that vnetctl did not make", l.Name, l.Kind), "choose another name")
	}
	if m, ok := o.Steps[0].(*Macvtap); ok || w.Parent != "" {
		return m.usable(w)
	}
	t, _ := o.Steps[0].(*TAP)
	switch {
	case t == nil:
		return fmt.Errorf("state of TAP %s: it was not made as one", l.Name)
	case t.UID != w.UID || t.GID != w.GID:
		return refuse(ErrExists, fmt.Sprintf("TAP %s is there, for user %d and group %d", l.Name, t.UID, t.GID), "vnetctl cancel tap %s, then create it anew", l.Name)
	case l.Master != w.Bridge:
		return refuse(ErrExists, fmt.Sprintf("TAP %s is there, in bridge %q instead of %q", l.Name, l.Master, w.Bridge), "vnetctl cancel tap %s, then create it anew", l.Name)
	}
	return nil
}

// freeTAP is the first tapN, or macvtapN, that nobody has, here or in the plan.
func (h *Host) freeTAP(p *Plan, w TAPWish) (string, error) {
	links, err := h.Links()
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, l := range links {
		taken[l.Name] = true
	}
	for _, o := range p.Makes {
		taken[o.Name] = true
	}
	prefix := "tap"
	if w.Parent != "" {
		prefix = "macvtap"
	}
	for i := 0; ; i++ {
		if name := fmt.Sprint(prefix, i); !taken[name] {
			return name, nil
		}
	}
}

// SwitchWish is a switch daemon that shall run.
type SwitchWish struct {
	Switch        // all but Record and the directory's mode
	Mode   uint32 `json:"mode"` // of the directory
	Set    string `json:"set,omitempty"`
	State  string `json:"state"` // directory of the engine
}

// PlanSwitch adds to the plan what runs the switch. made is false if it runs
// already.
func (h *Host) PlanSwitch(p *Plan, s *State, w SwitchWish) (made bool, err error) {
	var keep Steps
	if o, ok := s.Find("switch", w.Dir); ok {
		if run := runOf(o); run != nil && run.PID() != 0 {
			return false, nil
		}
		p.Removes = append(p.Removes, o.Key()) // it died; its directories stay
		keep = o.Steps[:len(o.Steps)-1]
	} else if conn, err := net.Dial("unix", w.Ready); err == nil {
		conn.Close()
		return false, nil
	}
	if err := h.free(p, w.TAPs); err != nil {
		return false, err
	}
	if err := h.noLoop(p, s, w.TAPs); err != nil {
		return false, err
	}
	o := Object{Kind: "switch", Name: w.Dir, UID: w.UID, Set: w.Set, Keep: keep}
	for _, tap := range w.TAPs {
		o.Needs = append(o.Needs, "tap:"+tap)
	}
	steps, err := directories(s, w)
	if err != nil {
		return false, err
	}
	run := w.Switch
	run.Record = filepath.Join(w.State, recordName(w.Dir))
	for _, tap := range w.TAPs {
		if h.isMacvtap(p, tap) {
			run.Macvtaps = append(run.Macvtaps, tap)
		}
	}
	p.Add(o, append(steps, &run)...)
	return true, nil
}

// free tells whether a switch can have these TAPs: they are there and nobody has
// them, or the plan makes them.
func (h *Host) free(p *Plan, taps []string) error {
	for _, name := range taps {
		if slices.ContainsFunc(p.Makes, func(o Object) bool { return o.Kind == "tap" && o.Name == name }) {
			continue
		}
		l, err := h.Link(name)
		if errors.Is(err, ErrNotFound) {
			return refuse(ErrNotFound, "there is no TAP "+name, "vnetctl create tap %s", name)
		}
		if err != nil {
			return err
		}
		if l.Kind != "tuntap" && l.Kind != "macvtap" {
			return refuse(ErrInvalid, fmt.Sprintf("%s is a %s and no TAP", name, l.Kind), "vnetctl create tap NAME")
		}
		if who := TAPHolders(name); len(who) > 0 {
			return refuse(ErrInUse, fmt.Sprintf("TAP %s is in use by %s", name, strings.Join(who, ", ")), "choose another, or stop that first")
		}
	}
	return nil
}

// isMacvtap tells what a TAP is, there or planned.
func (h *Host) isMacvtap(p *Plan, name string) bool {
	if l, err := h.Link(name); err == nil {
		return l.Kind == "macvtap"
	}
	return slices.ContainsFunc(p.Steps, func(step Step) bool {
		m, ok := step.(*Macvtap)
		return ok && m.Name == name
	})
}

// noLoop refuses two TAPs that lead to the same network: a broadcast would go
// round through both for ever, since neither the bridge nor the switch runs a
// spanning tree unless told to.
func (h *Host) noLoop(p *Plan, s *State, taps []string) error {
	by := map[string]string{}
	for _, tap := range taps {
		network, err := h.networkOf(p, s, tap)
		if err != nil {
			return err
		}
		if other := by[network]; network != "" && other != "" {
			return refuse(ErrInvalid, fmt.Sprintf("%s and %s are both on %s: a switch that has both would be a loop", other, tap, network), "plug in one of them; the other one is for a guest: -netdev tap,ifname=%s,script=no", tap)
		}
		by[network] = tap
	}
	return nil
}

// networkOf is what a TAP, there or planned, is on: a bridge, an interface, or "".
// Of one that is there only the kernel knows: somebody may have moved it.
func (h *Host) networkOf(p *Plan, s *State, tap string) (string, error) {
	l, err := h.Link(tap)
	if err == nil && l.Kind != "macvtap" || err != nil && !errors.Is(err, ErrNotFound) {
		return l.Master, err
	}
	steps := p.Steps
	if o, ok := s.Find("tap", tap); ok {
		steps = append(steps[:len(steps):len(steps)], o.Steps...)
	}
	for _, step := range steps {
		switch step := step.(type) {
		case *Macvtap:
			if step.Name == tap {
				return step.Parent, nil
			}
		case *Join:
			if step.Name == tap {
				return step.Bridge, nil
			}
		}
	}
	return "", nil
}

// runOf is the step of a switch's that runs it.
func runOf(o Object) *Switch {
	if len(o.Steps) == 0 {
		return nil
	}
	run, _ := o.Steps[len(o.Steps)-1].(*Switch)
	return run
}

// directories are the steps that make the switch's directory and those above.
// One above that we made for another switch is counted in: it goes with the last.
func directories(s *State, w SwitchWish) (steps []Step, err error) {
	ours := map[string]bool{}
	for _, o := range s.Objects {
		for _, step := range o.Steps {
			if d, ok := step.(*MakeDir); ok {
				ours[d.Path] = true
			}
		}
	}
	for dir := w.Dir; ; dir = filepath.Dir(dir) {
		var st unix.Stat_t
		switch err := unix.Lstat(dir, &st); {
		case errors.Is(err, unix.ENOENT):
		case err != nil:
			return nil, fmt.Errorf("look at directory %s: %w", dir, err)
		case st.Mode&unix.S_IFMT != unix.S_IFDIR:
			return nil, refuse(ErrExists, dir+" is there, and is no directory", "choose another with -s")
		case dir == w.Dir && int(st.Uid) != w.UID:
			return nil, refuse(ErrExists, fmt.Sprintf("directory %s is there and user %d's, not user %d's", dir, st.Uid, w.UID), "choose another with -s")
		case dir == w.Dir || !ours[dir]:
			return steps, writable(dir)
		}
		d := &MakeDir{Path: dir, Mode: 0o755}
		if dir == w.Dir {
			d.Mode, d.UID, d.GID = w.Mode, w.UID, w.GID
		}
		steps = append([]Step{d}, steps...)
	}
}

// writable tells whether a directory can be written to at all.
func writable(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return refuse(ErrInvalid, dir+" is on a read-only file system", "choose another directory with -s")
	}
	return nil
}
