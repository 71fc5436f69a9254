package main

import (
	"errors"
	"fmt"
	"strings"

	"vnetkit/tap/hostnet"
)

// chooseBridge is -b, that of an earlier call, the first there is, or ctysbr0.
func (r *hostRun) chooseBridge(f *createFlags, set string) (string, error) {
	if f.bridge != "" {
		r.because("bridge %s: -b", f.bridge)
		return f.bridge, nil
	}
	for _, o := range r.state.Objects {
		if o.Set != set || o.Kind != "tap" {
			continue
		}
		if l, err := r.host.Link(o.Name); err == nil && l.Master != "" {
			r.because("bridge %s: %s's TAP %s is in it", l.Master, r.who.name, o.Name)
			return l.Master, nil
		}
	}
	if f.uplink == "none" {
		links, err := r.host.Links()
		if err != nil {
			return "", err
		}
		first := ""
		for _, l := range links {
			if l.Kind == "bridge" && (first == "" || l.Name < first) {
				first = l.Name
			}
		}
		if first != "" {
			r.because("bridge %s: the first one by name", first)
			return first, nil
		}
	}
	r.because("bridge %s: the default name, there is no bridge to use", defaultBridge)
	return defaultBridge, nil
}

func (r *hostRun) createBridge(name string, f *createFlags, set string) error {
	uplink := f.uplink
	switch uplink {
	case "nat":
		e := usage("-i nat is not in this version")
		e.cure = "guests get out through -i INTERFACE, -i auto or -i macvtap:INTERFACE"
		return e
	case "none", "":
		uplink = ""
		r.because("no interface is put into the bridge: -i does not ask for one")
	case "auto":
		found, err := r.host.DefaultUplink()
		if err != nil {
			return err
		}
		r.because("uplink %s: it carries the default route", found)
		if uplink = found; found == name { // an earlier call put the uplink into it
			uplink = ""
		}
	default:
		if strings.HasPrefix(uplink, "macvtap:") {
			return usage("create bridge: a macvtap goes into no bridge: leave -i away")
		}
		r.because("uplink %s: -i", uplink)
	}
	if err := r.notLost(name); err != nil {
		return err
	}
	wish := hostnet.BridgeWish{Name: name, Uplink: uplink, UID: r.who.uid, User: r.who.name, Set: set, Force: f.force}
	made, err := r.host.PlanBridge(r.plan, wish)
	if err == nil {
		r.keep(f, hostnet.Wish{Kind: "bridge", Name: name, Set: set, Bridge: &wish})
	}
	if err == nil && !made {
		whose := ", not made by vnetctl, so cancel will leave it"
		if _, ours := r.state.Find("bridge", name); ours {
			whose = ""
		}
		r.notes = append(r.notes, fmt.Sprintf("bridge %s is there already%s", name, whose))
	}
	return err
}

// notLost refuses to make a bridge anew that somebody has deleted with an uplink's
// addresses on it: only the record of the old one knows them.
func (r *hostRun) notLost(name string) error {
	o, _ := r.state.Find("bridge", name)
	uplink := moved(o)
	if _, err := r.host.Link(name); uplink == "" || !errors.Is(err, hostnet.ErrNotFound) {
		return nil
	}
	return &hostnet.Error{Code: hostnet.ErrInUse, Cause: fmt.Sprintf("somebody has deleted bridge %s, which had the addresses of %s", name, uplink), Cure: "vnetctl cancel gives them back; then create it anew"}
}

// macvtapParent is IF of -i macvtap:IF; empty where -i says something else.
func macvtapParent(uplink string) (string, error) {
	parent, ok := strings.CutPrefix(uplink, "macvtap:")
	if !ok {
		return "", nil
	}
	return parent, hostnet.CheckName(parent)
}

// createMacvtapSet plans a macvtap and a switch that has it.
func (r *hostRun) createMacvtapSet(f *createFlags, dir, parent, set string) error {
	if f.bridge != "" || f.taps != 1 {
		e := usage("create: -i macvtap:%s goes with neither -b nor --taps", parent)
		e.cause, e.cure = "a macvtap is in no bridge, and two of one interface in one switch would be a loop", "-i "+parent+" makes a bridge, for any number of guests"
		return e
	}
	if _, err := r.host.Link(parent); err != nil {
		return err
	}
	r.because("uplink %s: -i; its addresses stay where they are", parent)
	wish := hostnet.TAPWish{Parent: parent, Set: set}
	for _, o := range r.state.Objects {
		if o.Set == set && o.Kind == "tap" {
			wish.Name = o.Name
		}
	}
	name, err := r.createTAP(wish, f)
	if err != nil {
		return err
	}
	if mac := r.host.MacvtapAddress(r.plan, name); mac != "" {
		r.notes = append(r.notes, fmt.Sprintf("one guest gets through %s, with its address: %s; the host itself is not reached that way", name, mac))
	}
	return r.createSwitch(f, dir, []string{name}, set)
}
