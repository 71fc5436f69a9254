package hostnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what makes an interface reachable, as the kernel tells it and with
// the interface left out, so that another can be given the same. The four lists
// hold message bodies (see normalAddr and the like).
type Config struct {
	Addrs  [][]byte `json:"addrs,omitempty"`
	Routes [][]byte `json:"routes,omitempty"`
	Rules  [][]byte `json:"rules,omitempty"`
	Neighs [][]byte `json:"neighs,omitempty"`

	// Taken is the boot clock when it was read: lifetimes count from there.
	Taken time.Duration `json:"taken"`
}

// device is an interface that a Config is read from or written to.
type device struct {
	name  string
	index int
}

// Attributes and values that x/sys/unix does not name.
const (
	ifaProto        = 11 // include/uapi/linux/if_addr.h
	ifaProtoRA      = 2  // made because of a router's announcement
	ifaProtoLL      = 3  // made by the kernel, link-local
	rtaNHID         = 30 // include/uapi/linux/rtnetlink.h
	fibRuleInvert   = 2  // include/uapi/linux/fib_rules.h
	forever         = 0xffffffff
	addrKept        = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN
	sizeofIfAddrmsg = 8
	sizeofRtMsg     = 12
	sizeofRuleHdr   = 12
	sizeofNdMsg     = 12
	sizeofRtNexthop = 8
	userHZ          = 100 // of expiry in RTA_CACHEINFO
)

var families = []byte{unix.AF_INET, unix.AF_INET6}

// config reads what makes dev reachable.
func (h *Host) config(dev device) (c Config, err error) {
	c.Taken = bootClock()
	sections := []struct {
		get, answer uint16
		size        int
		normal      func([]byte, device) ([]byte, error)
		into        *[][]byte
	}{
		{unix.RTM_GETADDR, unix.RTM_NEWADDR, sizeofIfAddrmsg, normalAddr, &c.Addrs},
		{unix.RTM_GETROUTE, unix.RTM_NEWROUTE, sizeofRtMsg, normalRoute, &c.Routes},
		{unix.RTM_GETRULE, unix.RTM_NEWRULE, sizeofRuleHdr, normalRule, &c.Rules},
		{unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, sizeofNdMsg, normalNeigh, &c.Neighs},
	}
	for _, s := range sections {
		for _, family := range families {
			ask := make([]byte, s.size)
			ask[0] = family
			list, err := h.raw.dump(s.get, s.answer, ask)
			if err != nil {
				return c, fmt.Errorf("read the configuration of %s: %w", dev.name, err)
			}
			for _, body := range list {
				if len(body) < s.size || body[0] != family {
					continue
				}
				entry, err := s.normal(body, dev)
				if err != nil {
					return c, err
				}
				if entry != nil {
					*s.into = append(*s.into, entry)
				}
			}
		}
	}
	return c, nil
}

// normalAddr is an address of dev without dev's number and name and without
// what is only true at the moment; nil for others' addresses and those that the
// kernel makes by itself (link-local, privacy).
func normalAddr(body []byte, dev device) ([]byte, error) {
	if int(binary.NativeEndian.Uint32(body[4:])) != dev.index {
		return nil, nil
	}
	list := parseAttrs(body[sizeofIfAddrmsg:])
	flags := list.uint32(unix.IFA_FLAGS)
	if body[0] == unix.AF_INET6 {
		local := netipOf(list.get(unix.IFA_ADDRESS))
		proto := list.get(ifaProto)
		if flags&unix.IFA_F_TEMPORARY != 0 || local.IsLinkLocalUnicast() && (proto == nil || proto[0] == ifaProtoLL) {
			return nil, nil
		}
	}
	head := []byte{body[0], body[1], 0, body[3], 0, 0, 0, 0}
	life := list.get(unix.IFA_CACHEINFO)
	label := list.text(unix.IFA_LABEL)
	list = list.without(unix.IFA_CACHEINFO, unix.IFA_LABEL).set(unix.IFA_FLAGS, u32(flags&addrKept))
	if label != "" && label != dev.name {
		list = list.set(unix.IFA_LABEL, cString(label))
	}
	if len(life) >= 8 && !bytes.Equal(life[:8], bytes.Repeat([]byte{0xff}, 8)) {
		list = list.set(unix.IFA_CACHEINFO, append(slices.Clone(life[:8]), make([]byte, 8)...))
	}
	return sorted(list).encode(head), nil
}

// normalRoute is a route over dev, without dev's number; nil for others' routes
// and those that come and go with addresses by themselves.
func normalRoute(body []byte, dev device) ([]byte, error) {
	list := parseAttrs(body[sizeofRtMsg:])
	hops := list.get(unix.RTA_MULTIPATH)
	ours := hops == nil && int(list.uint32(unix.RTA_OIF)) == dev.index
	if hops != nil {
		hops, ours = retargetHops(hops, dev.index, 0)
	}
	head := slices.Clone(body[:sizeofRtMsg])
	flags := binary.NativeEndian.Uint32(head[8:])
	if !ours || flags&unix.RTM_F_CLONED != 0 || madeByKernel(head, list) {
		return nil, nil
	}
	if list.get(rtaNHID) != nil {
		return nil, refuse(ErrUnsupported, fmt.Sprintf("a route over %s uses a nexthop object (ip nexthop), which cannot be moved", dev.name),
			"replace it by a route with via and dev, or leave %s where it is", dev.name)
	}
	binary.NativeEndian.PutUint32(head[8:], flags&unix.RTNH_F_ONLINK)
	expires := int32(0) // rta_cacheinfo: clntref, lastuse, expires, ...
	if info := list.get(unix.RTA_CACHEINFO); len(info) >= 12 {
		expires = int32(binary.NativeEndian.Uint32(info[8:])) / userHZ
	}
	list = list.without(unix.RTA_CACHEINFO)
	if hops != nil {
		list = list.set(unix.RTA_MULTIPATH, hops)
	} else {
		list = list.set(unix.RTA_OIF, u32(0))
	}
	if expires > 0 {
		list = list.set(unix.RTA_EXPIRES, u32(uint32(expires)))
	}
	return sorted(list).encode(head), nil
}

// madeByKernel tells whether a route exists because of an address: what is in
// the local table for it, and the prefix of link-local addresses.
func madeByKernel(head []byte, list attrs) bool {
	if head[5] != unix.RTPROT_KERNEL {
		return false
	}
	switch head[7] {
	case unix.RTN_LOCAL, unix.RTN_BROADCAST, unix.RTN_ANYCAST, unix.RTN_MULTICAST:
		return true
	}
	return head[0] == unix.AF_INET6 && netipOf(list.get(unix.RTA_DST)).IsLinkLocalUnicast()
}

// retargetHops replaces an interface's number in RTA_MULTIPATH by another; ok
// tells whether it was there. Hops are struct rtnexthop and attributes.
func retargetHops(hops []byte, from, to int) (out []byte, ok bool) {
	out = slices.Clone(hops)
	for b := out; len(b) >= sizeofRtNexthop; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < sizeofRtNexthop || n > len(b) {
			break
		}
		b[2] &= unix.RTNH_F_ONLINK
		if int(binary.NativeEndian.Uint32(b[4:])) == from {
			binary.NativeEndian.PutUint32(b[4:], uint32(to))
			ok = true
		}
		b = b[min(align4(n), len(b)):]
	}
	return out, ok
}

// normalRule is a rule that names dev, with an empty name in its place.
func normalRule(body []byte, dev device) ([]byte, error) {
	list := parseAttrs(body[sizeofRuleHdr:])
	ours := false
	for _, typ := range []uint16{unix.FRA_IIFNAME, unix.FRA_OIFNAME} {
		if list.text(typ) == dev.name {
			list, ours = list.set(typ, []byte{0}), true
		}
	}
	if !ours {
		return nil, nil
	}
	head := slices.Clone(body[:sizeofRuleHdr])
	binary.NativeEndian.PutUint32(head[8:], binary.NativeEndian.Uint32(head[8:])&fibRuleInvert)
	return sorted(list).encode(head), nil
}

// normalNeigh is a permanent neighbour of dev, without dev's number.
func normalNeigh(body []byte, dev device) ([]byte, error) {
	state := binary.NativeEndian.Uint16(body[8:])
	if int(binary.NativeEndian.Uint32(body[4:])) != dev.index || state&unix.NUD_PERMANENT == 0 {
		return nil, nil
	}
	head := slices.Clone(body[:sizeofNdMsg])
	binary.NativeEndian.PutUint32(head[4:], 0)
	return sorted(parseAttrs(body[sizeofNdMsg:]).without(unix.NDA_CACHEINFO, unix.NDA_PROBES)).encode(head), nil
}

// sorted makes messages comparable.
func sorted(l attrs) attrs {
	l = slices.Clone(l)
	slices.SortStableFunc(l, func(a, b attr) int { return int(a.typ&attrTypes) - int(b.typ&attrTypes) })
	return l
}

// lasting is an address or a route without how long it still lives, but with
// whether it does for ever: what can be compared at different times.
func lasting(body []byte, size int, typ uint16) string {
	if len(body) < size {
		return string(body)
	}
	list := parseAttrs(body[size:])
	if list.get(typ) == nil {
		return string(body)
	}
	return string(list.set(typ, nil).encode(slices.Clone(body[:size])))
}

func keyAddr(b []byte) string  { return lasting(b, sizeofIfAddrmsg, unix.IFA_CACHEINFO) }
func keyRoute(b []byte) string { return lasting(b, sizeofRtMsg, unix.RTA_EXPIRES) }
func keyPlain(b []byte) string { return string(b) }

// missing lists what c has and other has not, in c's order.
func (c Config) missing(other Config) Config {
	return Config{
		Addrs:  minus(c.Addrs, other.Addrs, keyAddr),
		Routes: minus(c.Routes, other.Routes, keyRoute),
		Rules:  minus(c.Rules, other.Rules, keyPlain),
		Neighs: minus(c.Neighs, other.Neighs, keyPlain),
		Taken:  c.Taken,
	}
}

// minus is a without what is in b, counted: two equal ones need two.
func minus(a, b [][]byte, key func([]byte) string) (rest [][]byte) {
	have := map[string]int{}
	for _, x := range b {
		have[key(x)]++
	}
	for _, x := range a {
		if have[key(x)]--; have[key(x)] < 0 {
			rest = append(rest, x)
		}
	}
	return rest
}

func (c Config) empty() bool {
	return len(c.Addrs)+len(c.Routes)+len(c.Rules)+len(c.Neighs) == 0
}

// bootClock counts suspended time, as lifetimes do.
func bootClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
