package plug

import (
	"fmt"
	"net/netip"

	"vnetkit/switch/link"
)

// Mcast is the port kind "mcast": one frame in each datagram, to all who have
// joined a group.
func Mcast() link.Kind {
	return netKind("mcast", `mcast:GROUP:PORT[,if=ADDRESS|NAME][,ttl=1]
                                 QEMU's -netdev socket,mcast= or dgram: a cable to all who have joined the group`, parseMcast)
}

// place tells where a cable leads: to a group, however far its frames go; "": to
// where the whole Spec says.
func (s netSpec) place() string {
	if !s.group {
		return ""
	}
	return fmt.Sprintf("mcast:%v,if=%s", s.remote, s.iface)
}

func parseMcast(spec link.Spec, _ int) (s netSpec, err error) {
	s.group, s.longest = true, maxDatagram
	if s.remote, err = parseEndpoint(spec.Addr); err != nil {
		return s, err
	}
	if a := s.remote.Addr(); !a.Is4() || !a.IsMulticast() {
		return s, link.Errorf("group %v: want an IPv4 address from 224.0.0.0 to 239.255.255.255, for example 239.192.0.1 (QEMU has no IPv6 groups)", a)
	}
	s.local = s.remote
	if v, ok := spec.Take("if"); ok {
		if a, err := netip.ParseAddr(v); v == "" || err == nil && !a.Is4() {
			return s, link.Errorf("if=%s: want an IPv4 address of an interface, or its name", v)
		}
		s.iface = v
	}
	ttl, err := takeNumber(&spec, "ttl", 1, 255)
	if err != nil {
		return s, err
	}
	s.ttl = int(ttl)
	return s, spec.Done("if", "ttl")
}
