package hostnet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PlanRemove adds to the plan what removes an object of ours. With force it
// does so although somebody uses it. What is in the plan already does not count
// as a user.
func (h *Host) PlanRemove(p *Plan, s *State, o Object, force bool) error {
	for _, other := range s.Objects {
		if slices.Contains(other.Needs, o.Key()) && !slices.Contains(p.Removes, other.Key()) {
			return refuse(ErrInUse, fmt.Sprintf("%s %s is needed by %s %s", o.Kind, o.Name, other.Kind, other.Name), "vnetctl cancel %s %s first", other.Kind, other.Name)
		}
	}
	err := h.stillOurs(o)
	if err != nil && !force {
		return err
	}
	lost := h.lost(o)
	if lost && !force {
		if err := h.renamed(o); err != nil {
			return err
		}
	}
	if err != nil || lost {
		p.Reasons = append(p.Reasons, fmt.Sprintf("%s %s is not there any more: only its record is removed", o.Kind, o.Name))
	}
	switch o.Kind {
	case "bridge":
		if o, err = h.withoutLostUplink(o, force); err == nil {
			err = h.mayRemoveBridge(p, s, o, force)
		}
	case "tap":
		err = mayRemoveTAP(p, s, o, force)
	}
	if err != nil {
		return err
	}
	p.Remove(o)
	return nil
}

// stillOurs tells whether what has the object's name is the object.
func (h *Host) stillOurs(o Object) error {
	for _, step := range o.Steps {
		switch step.(type) {
		case *Bridge, *TAP, *Macvtap:
			if err := step.Done(h); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// lost tells whether an interface of ours is gone.
func (h *Host) lost(o Object) bool {
	there, err := h.exists(o.Name)
	return o.Kind != "switch" && err == nil && !there
}

// renamed refuses if somebody has given an interface of ours another name: it
// would be left behind, and nobody would know of it.
func (h *Host) renamed(o Object) error {
	links, err := h.Links()
	if err != nil {
		return err
	}
	for _, step := range o.Steps {
		mark, mac := "", ""
		switch s := step.(type) {
		case *Bridge:
			mark, mac = s.Mark, s.MAC
		case *TAP:
			mark, mac = s.Mark, s.MAC
		case *Macvtap:
			mark, mac = s.Mark, s.MAC
		}
		for _, l := range links {
			if mark != "" && l.Alias == mark && l.MAC.String() == mac {
				return refuse(ErrNotFound, fmt.Sprintf("%s %s is called %s now", o.Kind, o.Name, l.Name), "ip link set dev %s name %s; or with -f, %s stays", l.Name, o.Name, l.Name)
			}
		}
	}
	return nil
}

// withoutLostUplink is a bridge's object whose steps give nothing back to an
// uplink that is gone: a network card may be pulled out. Its addresses would be
// lost with the bridge, so only force does that.
func (h *Host) withoutLostUplink(o Object, force bool) (Object, error) {
	move := moveOf(o)
	if move == nil {
		return o, nil
	}
	_, err := h.Link(move.From)
	if !errors.Is(err, ErrNotFound) {
		return o, err
	}
	if !force {
		return o, refuse(ErrNotFound, fmt.Sprintf("there is no interface %s any more, to which the addresses of bridge %s should go back: they would be lost", move.From, o.Name),
			"plug it in again, or give it that name again (ip link set dev NAME name %s); or use -f", move.From)
	}
	o.Steps = slices.DeleteFunc(slices.Clone(o.Steps), func(s Step) bool { return s == Step(move) })
	return o, nil
}

// mayRemoveBridge looks for ports that are others', and for changes of the
// addresses that were moved: what came later would be lost.
func (h *Host) mayRemoveBridge(p *Plan, s *State, o Object, force bool) error {
	l, err := h.Link(o.Name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	links, err := h.Links()
	if err != nil {
		return err
	}
	move := moveOf(o)
	var others []string
	for _, port := range links {
		if port.Master != o.Name || move != nil && port.Name == move.From || slices.Contains(p.Removes, "tap:"+port.Name) {
			continue
		}
		others = append(others, port.Name)
	}
	if len(others) > 0 && !force {
		return refuse(ErrInUse, fmt.Sprintf("bridge %s has ports that are not vnetctl's: %s", o.Name, strings.Join(others, ", ")), "ip link set dev %s nomaster, or use -f", others[0])
	}
	if move == nil {
		return nil
	}
	p.Critical = critical(move.Config, o.Name)
	return h.refresh(move, l, force)
}

func moveOf(o Object) *Move {
	for _, step := range o.Steps {
		if m, ok := step.(*Move); ok {
			return m
		}
	}
	return nil
}

// refresh takes over lifetimes that were renewed since, drops what has expired,
// and refuses what would be lost.
func (h *Host) refresh(m *Move, bridge Link, force bool) error {
	dev := device{bridge.Name, bridge.Index}
	extra, _, err := h.differences(dev, m.Config)
	if err != nil {
		return err
	}
	if texts := extra.commands("add", dev.name); len(texts) > 0 && !force {
		return refuse(ErrInUse, fmt.Sprintf("bridge %s was given more since its addresses were moved there, which would be lost: %s", dev.name, strings.Join(texts, "; ")),
			"give that to %s by hand, or use -f", m.From)
	}
	now, err := h.config(dev)
	if err != nil {
		return err
	}
	m.Config.Addrs = renewed(m.Config.Addrs, now.Addrs, keyAddr)
	m.Config.Routes = renewed(m.Config.Routes, now.Routes, keyRoute)
	m.Config.Taken = now.Taken
	return nil
}

// renewed is saved with what now says about the same. What lives for a time
// only, and is not there any more, has expired.
func renewed(saved, now [][]byte, key func([]byte) string) (list [][]byte) {
	for _, entry := range saved {
		i := slices.IndexFunc(now, func(n []byte) bool { return key(n) == key(entry) })
		switch {
		case i >= 0:
			list = append(list, now[i])
		case key(entry) == string(entry): // for ever
			list = append(list, entry)
		}
	}
	return list
}

// mayRemoveTAP looks for processes that have it open, but for a switch that
// goes with it.
func mayRemoveTAP(p *Plan, s *State, o Object, force bool) error {
	if force {
		return nil
	}
	goes := map[string]bool{}
	for _, other := range s.Objects {
		if run := runOf(other); run != nil && slices.Contains(p.Removes, other.Key()) {
			goes[fmt.Sprintf("[%d]", run.PID())] = true
		}
	}
	for _, holder := range TAPHolders(o.Name) {
		if i := strings.LastIndexByte(holder, '['); i < 0 || !goes[holder[i:]] {
			return refuse(ErrInUse, fmt.Sprintf("TAP %s is in use by %s", o.Name, holder), "stop that first, or use -f")
		}
	}
	return nil
}
