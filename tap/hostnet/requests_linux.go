package hostnet

import (
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// sortForAdding is c in the order in which the kernel must be given it, so that
// gateways can be reached when routes name them, and so that lists come out as
// they were: the kernel puts a new IPv6 address before its equals (addrconf.c,
// ipv6_link_dev_addr), a new IPv4 address behind them.
func (c Config) sortForAdding() Config {
	var v4, v6 [][]byte
	for _, a := range c.Addrs {
		if a[0] == unix.AF_INET6 {
			v6 = append(v6, a)
		} else {
			v4 = append(v4, a)
		}
	}
	slices.Reverse(v6)
	c.Addrs = append(v4, v6...)
	c.Routes = slices.Clone(c.Routes)
	slices.SortStableFunc(c.Routes, func(a, b []byte) int { return hasGateway(a) - hasGateway(b) })
	return c
}

func hasGateway(route []byte) int {
	list := parseAttrs(route[sizeofRtMsg:])
	if list.get(unix.RTA_GATEWAY) != nil || list.get(unix.RTA_VIA) != nil || list.get(unix.RTA_MULTIPATH) != nil {
		return 1
	}
	return 0
}

// additions are the requests that give dev all of c.
func (c Config) additions(dev device) (reqs []request) {
	c = c.sortForAdding()
	age := bootClock() - c.Taken
	add := func(typ, flags uint16, body []byte, what string) {
		reqs = append(reqs, request{typ: typ, flags: flags | unix.NLM_F_CREATE, body: body, what: what, tolerate: []unix.Errno{unix.EEXIST}})
	}
	for _, a := range c.Addrs {
		body := addrFor(a, dev, age)
		what := "add " + addrText(a) + " to " + dev.name
		if a[0] != unix.AF_INET6 {
			add(unix.RTM_NEWADDR, unix.NLM_F_EXCL, body, what)
			continue
		}
		// The address was ours a moment ago: nobody needs to be asked whether it
		// is taken, which would keep it unusable for a second. The second
		// message takes the mark off again.
		list := parseAttrs(body[sizeofIfAddrmsg:])
		quick := list.set(unix.IFA_FLAGS, u32(list.uint32(unix.IFA_FLAGS)|unix.IFA_F_NODAD)).encode(slices.Clone(body[:sizeofIfAddrmsg]))
		add(unix.RTM_NEWADDR, unix.NLM_F_EXCL, quick, what)
		if list.uint32(unix.IFA_FLAGS)&unix.IFA_F_NODAD == 0 {
			add(unix.RTM_NEWADDR, unix.NLM_F_REPLACE, body, what)
		}
	}
	for _, r := range c.Routes {
		flags := uint16(0)
		if r[0] == unix.AF_INET {
			flags = unix.NLM_F_APPEND // beside one with the same destination and metric
		}
		add(unix.RTM_NEWROUTE, flags, routeFor(r, dev, age), "add "+routeText(r, dev.name))
	}
	for _, n := range c.Neighs {
		add(unix.RTM_NEWNEIGH, unix.NLM_F_REPLACE, neighFor(n, dev), "add "+neighText(n, dev.name))
	}
	for _, r := range c.Rules {
		add(unix.RTM_NEWRULE, unix.NLM_F_EXCL, ruleFor(r, dev), "add "+ruleText(r, dev.name))
	}
	return reqs
}

// removals are the requests that take all of c away from dev.
func (c Config) removals(dev device) (reqs []request) {
	c = c.sortForAdding()
	del := func(typ uint16, body []byte, what string) {
		gone := []unix.Errno{unix.ESRCH, unix.ENOENT, unix.EADDRNOTAVAIL, unix.ENODEV}
		reqs = append(reqs, request{typ: typ, body: body, what: what, tolerate: gone})
	}
	for _, r := range slices.Backward(c.Rules) {
		del(unix.RTM_DELRULE, ruleFor(r, dev), "delete "+ruleText(r, dev.name))
	}
	for _, n := range slices.Backward(c.Neighs) {
		del(unix.RTM_DELNEIGH, neighFor(n, dev), "delete "+neighText(n, dev.name))
	}
	for _, r := range slices.Backward(c.Routes) {
		del(unix.RTM_DELROUTE, routeFor(r, dev, 0), "delete "+routeText(r, dev.name))
	}
	for _, a := range slices.Backward(c.Addrs) {
		del(unix.RTM_DELADDR, addrFor(a, dev, 0), "delete "+addrText(a)+" from "+dev.name)
	}
	return reqs
}

// addrFor is an address as a request for dev, its lifetimes shorter by age.
func addrFor(addr []byte, dev device, age time.Duration) []byte {
	head := slices.Clone(addr[:sizeofIfAddrmsg])
	binary.NativeEndian.PutUint32(head[4:], uint32(dev.index))
	list := parseAttrs(addr[sizeofIfAddrmsg:])
	if life := list.get(unix.IFA_CACHEINFO); len(life) >= 8 {
		life = slices.Clone(life)
		for i := range 2 { // preferred, valid
			binary.NativeEndian.PutUint32(life[4*i:], shorter(binary.NativeEndian.Uint32(life[4*i:]), age, uint32(i)))
		}
		list = list.set(unix.IFA_CACHEINFO, life)
	}
	if head[0] == unix.AF_INET && list.get(unix.IFA_LABEL) == nil {
		list = list.set(unix.IFA_LABEL, cString(dev.name))
	}
	return list.encode(head)
}

// shorter is a lifetime in seconds after age has passed, at least least.
func shorter(seconds uint32, age time.Duration, least uint32) uint32 {
	passed := uint32(max(age, 0) / time.Second)
	switch {
	case seconds == forever:
		return forever
	case seconds < passed+least:
		return least
	}
	return seconds - passed
}

func routeFor(route []byte, dev device, age time.Duration) []byte {
	list := parseAttrs(route[sizeofRtMsg:])
	if hops := list.get(unix.RTA_MULTIPATH); hops != nil {
		hops, _ = retargetHops(hops, 0, dev.index)
		list = list.set(unix.RTA_MULTIPATH, hops)
	} else {
		list = list.set(unix.RTA_OIF, u32(uint32(dev.index)))
	}
	if list.get(unix.RTA_EXPIRES) != nil {
		list = list.set(unix.RTA_EXPIRES, u32(shorter(list.uint32(unix.RTA_EXPIRES), age, 1)))
	}
	return list.encode(slices.Clone(route[:sizeofRtMsg]))
}

func ruleFor(rule []byte, dev device) []byte {
	list := parseAttrs(rule[sizeofRuleHdr:])
	for _, typ := range []uint16{unix.FRA_IIFNAME, unix.FRA_OIFNAME} {
		if list.get(typ) != nil && list.text(typ) == "" {
			list = list.set(typ, cString(dev.name))
		}
	}
	return list.encode(slices.Clone(rule[:sizeofRuleHdr]))
}

func neighFor(neigh []byte, dev device) []byte {
	out := slices.Clone(neigh)
	binary.NativeEndian.PutUint32(out[4:], uint32(dev.index))
	return out
}

// masterRequest puts an interface under another, or under none (0).
func masterRequest(dev device, master device) request {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(dev.index))
	what := "put " + dev.name + " into " + master.name
	if master.index == 0 {
		what = "take " + dev.name + " out of its bridge"
	}
	return request{
		typ:  unix.RTM_SETLINK,
		body: attrs{{unix.IFLA_MASTER, u32(uint32(master.index))}}.encode(body),
		what: what,
	}
}
