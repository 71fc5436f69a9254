package hostnet

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// The texts here are what follows "ip address add", "ip route add" and the
// like. They show the attributes that people set; a plan carries out the whole
// message, shown or not.

func netipOf(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}

// addrText is 10.0.0.2/24 brd 10.0.0.255 and so on, without the interface.
func addrText(addr []byte) string {
	list := parseAttrs(addr[sizeofIfAddrmsg:])
	peer, local := netipOf(list.get(unix.IFA_ADDRESS)), netipOf(list.get(unix.IFA_LOCAL))
	var w words
	switch {
	case local.IsValid() && local != peer:
		w.add("%s peer %s/%d", local, peer, addr[1])
	default:
		w.add("%s/%d", peer, addr[1])
	}
	if brd := netipOf(list.get(unix.IFA_BROADCAST)); brd.IsValid() {
		w.add("brd %s", brd)
	}
	if addr[3] != 0 {
		w.add("scope %d", addr[3])
	}
	if label := list.text(unix.IFA_LABEL); label != "" {
		w.add("label %s", label)
	}
	if metric := list.uint32(unix.IFA_RT_PRIORITY); metric != 0 {
		w.add("metric %d", metric)
	}
	for _, f := range []struct {
		bit  uint32
		word string
	}{{unix.IFA_F_NODAD, "nodad"}, {unix.IFA_F_HOMEADDRESS, "home"}, {unix.IFA_F_MANAGETEMPADDR, "mngtmpaddr"}, {unix.IFA_F_NOPREFIXROUTE, "noprefixroute"}, {unix.IFA_F_MCAUTOJOIN, "autojoin"}} {
		if list.uint32(unix.IFA_FLAGS)&f.bit != 0 {
			w.add("%s", f.word)
		}
	}
	if life := list.get(unix.IFA_CACHEINFO); len(life) >= 8 {
		w.add("valid_lft %s preferred_lft %s", lifetime(life[4:]), lifetime(life))
	}
	return w.String()
}

func lifetime(b []byte) string {
	if n := binary.NativeEndian.Uint32(b); n != forever {
		return fmt.Sprint(n)
	}
	return "forever"
}

var (
	routeTypes  = map[byte]string{unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast", unix.RTN_MULTICAST: "multicast", unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw"}
	routeProtos = map[byte]string{unix.RTPROT_KERNEL: "kernel", unix.RTPROT_BOOT: "boot", unix.RTPROT_STATIC: "static", unix.RTPROT_RA: "ra", unix.RTPROT_DHCP: "dhcp"}
	routeScopes = map[byte]string{unix.RT_SCOPE_LINK: "link", unix.RT_SCOPE_HOST: "host", unix.RT_SCOPE_SITE: "site", unix.RT_SCOPE_NOWHERE: "nowhere"}
	metricNames = map[uint16]string{2: "mtu", 3: "window", 4: "rtt", 5: "rttvar", 6: "ssthresh", 7: "cwnd", 8: "advmss", 9: "reordering", 10: "hoplimit", 11: "initcwnd", 12: "features", 13: "rto_min", 14: "initrwnd", 15: "quickack"}
)

// routeText is default via 10.0.0.1 dev eth0 proto static metric 100 and so on.
func routeText(route []byte, dev string) string {
	list := parseAttrs(route[sizeofRtMsg:])
	var w words
	if kind := routeTypes[route[7]]; kind != "" {
		w.add("%s", kind)
	}
	dst := netipOf(list.get(unix.RTA_DST))
	switch {
	case !dst.IsValid() && route[1] == 0:
		w.add("default")
	default:
		w.add("%s/%d", dst, route[1])
	}
	if src := netipOf(list.get(unix.RTA_SRC)); src.IsValid() {
		w.add("from %s/%d", src, route[2])
	}
	if gw := gatewayText(list); gw != "" {
		w.add("via %s", gw)
	}
	if hops := list.get(unix.RTA_MULTIPATH); hops != nil {
		defer hopsText(&w, hops, dev)
	} else {
		w.add("dev %s", dev)
	}
	if table := cmp.Or(list.uint32(unix.RTA_TABLE), uint32(route[4])); table != unix.RT_TABLE_MAIN {
		w.add("table %d", table)
	}
	w.add("proto %s", cmp.Or(routeProtos[route[5]], fmt.Sprint(route[5])))
	if route[6] != unix.RT_SCOPE_UNIVERSE && route[0] == unix.AF_INET {
		w.add("scope %s", cmp.Or(routeScopes[route[6]], fmt.Sprint(route[6])))
	}
	if src := netipOf(list.get(unix.RTA_PREFSRC)); src.IsValid() {
		w.add("src %s", src)
	}
	if tos := route[3]; tos != 0 {
		w.add("tos 0x%02x", tos)
	}
	if metric := list.uint32(unix.RTA_PRIORITY); metric != 0 {
		w.add("metric %d", metric)
	}
	for _, m := range parseAttrs(list.get(unix.RTA_METRICS)) {
		if name := metricNames[m.typ]; name != "" && len(m.value) >= 4 {
			w.add("%s %d", name, binary.NativeEndian.Uint32(m.value))
		}
	}
	if binary.NativeEndian.Uint32(route[8:])&unix.RTNH_F_ONLINK != 0 {
		w.add("onlink")
	}
	if n := list.uint32(unix.RTA_EXPIRES); n != 0 {
		w.add("expires %d", n)
	}
	return w.String()
}

func gatewayText(list attrs) string {
	if gw := netipOf(list.get(unix.RTA_GATEWAY)); gw.IsValid() {
		return gw.String()
	}
	if via := list.get(unix.RTA_VIA); len(via) > 2 {
		return netipOf(via[2:]).String()
	}
	return ""
}

func hopsText(w *words, hops []byte, dev string) {
	for b := hops; len(b) >= sizeofRtNexthop; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < sizeofRtNexthop || n > len(b) {
			return
		}
		w.add("nexthop")
		if gw := gatewayText(parseAttrs(b[sizeofRtNexthop:n])); gw != "" {
			w.add("via %s", gw)
		}
		if index := int(binary.NativeEndian.Uint32(b[4:])); index == 0 {
			w.add("dev %s", dev)
		} else if other, err := net.InterfaceByIndex(index); err == nil {
			w.add("dev %s", other.Name)
		}
		w.add("weight %d", int(b[3])+1)
		b = b[min(align4(n), len(b)):]
	}
}

// ruleText is priority 100 from all iif eth0 lookup 7 and so on.
func ruleText(rule []byte, dev string) string {
	list := parseAttrs(rule[sizeofRuleHdr:])
	var w words
	if binary.NativeEndian.Uint32(rule[8:])&fibRuleInvert != 0 {
		w.add("not")
	}
	w.add("priority %d", list.uint32(unix.FRA_PRIORITY))
	if src := netipOf(list.get(unix.FRA_SRC)); src.IsValid() {
		w.add("from %s/%d", src, rule[2])
	}
	if dst := netipOf(list.get(unix.FRA_DST)); dst.IsValid() {
		w.add("to %s/%d", dst, rule[1])
	}
	for _, f := range []struct {
		typ  uint16
		word string
	}{{unix.FRA_IIFNAME, "iif"}, {unix.FRA_OIFNAME, "oif"}} {
		if list.get(f.typ) != nil {
			w.add("%s %s", f.word, cmp.Or(list.text(f.typ), dev))
		}
	}
	if mark := list.uint32(unix.FRA_FWMARK); mark != 0 {
		w.add("fwmark 0x%x/0x%x", mark, list.uint32(unix.FRA_FWMASK))
	}
	w.add("lookup %d", cmp.Or(list.uint32(unix.FRA_TABLE), uint32(rule[4])))
	return w.String()
}

// neighText is 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent.
func neighText(neigh []byte, dev string) string {
	list := parseAttrs(neigh[sizeofNdMsg:])
	var w words
	w.add("%s", netipOf(list.get(unix.NDA_DST)))
	if mac := list.get(unix.NDA_LLADDR); mac != nil {
		w.add("lladdr %s", net.HardwareAddr(mac))
	}
	w.add("dev %s nud permanent", dev)
	return w.String()
}

// commands is c as an admin would give it to dev, or take it away again.
func (c Config) commands(verb string, dev string) (list []string) {
	if verb == "add" {
		c = c.sortForAdding()
	}
	ip := func(body []byte) string {
		if body[0] == unix.AF_INET6 {
			return "ip -6"
		}
		return "ip"
	}
	for _, a := range c.Addrs {
		list = append(list, fmt.Sprintf("%s address %s %s dev %s", ip(a), verb, addrText(a), dev))
	}
	for _, r := range c.Routes {
		if verb == "add" && r[5] == unix.RTPROT_KERNEL {
			continue // comes with its address
		}
		list = append(list, fmt.Sprintf("%s route %s %s", ip(r), verb, routeText(r, dev)))
	}
	for _, n := range c.Neighs {
		list = append(list, fmt.Sprintf("%s neighbour %s %s", ip(n), verb, neighText(n, dev)))
	}
	for _, r := range c.Rules {
		list = append(list, fmt.Sprintf("%s rule %s %s", ip(r), verb, ruleText(r, dev)))
	}
	return list
}

// words gathers words with blanks between them.
type words struct{ b strings.Builder }

func (w *words) add(format string, args ...any) {
	if w.b.Len() > 0 {
		w.b.WriteByte(' ')
	}
	fmt.Fprintf(&w.b, format, args...)
}

func (w *words) String() string { return w.b.String() }
