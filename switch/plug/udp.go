package plug

import (
	"context"
	"net/netip"
	"strconv"

	"vnetkit/switch/link"
)

// UDP is the port kind "udp": one frame in each datagram, from one address to
// another and back.
func UDP() link.Kind {
	return netKind("udp", `udp:LADDR:LPORT,remote=RADDR:RPORT
                                 QEMU's -netdev dgram or socket,udp= at RADDR:RPORT; nobody else is listened to`, parseUDP)
}

// netSpec is a Spec of one of the kinds on IP, understood.
type netSpec struct {
	text          string         // the Spec, without common keys
	local, remote netip.AddrPort // remote: a group if there is one; ports are 0 without UDP
	group         bool           // frames for everybody who has joined
	iface         string         // of a group: address or name of the interface; "": as routes say
	ttl           int            // of a group
	tunnel        *l2tp          // what stands before each frame; nil: nothing
	longest       int            // frame that the other side can take
}

// maxDatagram is what fits into a UDP datagram over IPv4.
const maxDatagram = 65535 - 20 - 8

func netKind(name, help string, parse func(link.Spec, int) (netSpec, error)) link.Kind {
	return link.Kind{
		Name: name,
		Help: help,
		Check: func(spec link.Spec) (bool, error) {
			_, err := parse(spec, 0)
			return false, err
		},
		Open: func(_ context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
			s, err := parse(spec, opt.MTU)
			if err != nil {
				return nil, err
			}
			s.text = spec.String()
			return newNetSource(s, opt)
		},
	}
}

func parseUDP(spec link.Spec, _ int) (s netSpec, err error) {
	s.longest = maxDatagram
	if s.local, err = parseEndpoint(spec.Addr); err != nil {
		return s, err
	}
	if s.remote, err = takeRemote(&spec, s.local, parseEndpoint); err != nil {
		return s, err
	}
	return s, spec.Done("remote")
}

// takeRemote takes the key remote, whose address must be of local's family.
func takeRemote(spec *link.Spec, local netip.AddrPort, parse func(string) (netip.AddrPort, error)) (netip.AddrPort, error) {
	v, ok := spec.Take("remote")
	if !ok {
		return netip.AddrPort{}, link.Errorf("%s:%s: remote=ADDRESS:PORT is missing: where are frames to go?", spec.Kind, spec.Addr)
	}
	remote, err := parse(v)
	switch {
	case err != nil:
		return remote, link.Errorf("remote=%s: %w", v, err)
	case remote.Addr().Is4() != local.Addr().Is4():
		return remote, link.Errorf("%v and remote=%v: one is IPv4, the other IPv6", local.Addr(), remote.Addr())
	case remote.Addr().IsMulticast() || remote.Addr().IsUnspecified():
		return remote, link.Errorf("remote=%v: want the address of one host (for a group: mcast:GROUP:PORT)", remote.Addr())
	case remote == local:
		return remote, link.Errorf("remote=%s: that is this end itself", v)
	}
	return remote, nil
}

// parseEndpoint reads [ADDRESS]:PORT. Names are not looked up: an answer that
// changes would cut the cable.
func parseEndpoint(text string) (netip.AddrPort, error) {
	whole := text
	if len(text) > 0 && text[0] == ':' {
		whole = "127.0.0.1" + text
	}
	ap, err := netip.ParseAddrPort(whole)
	if err != nil {
		return ap, link.Errorf("address %q: want ADDRESS:PORT with a numeric address, an IPv6 one in brackets, for example 127.0.0.1:5000", text)
	}
	if ap.Port() == 0 {
		return ap, link.Errorf("address %q: port 0: want 1 to 65535", text)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// takeNumber takes a key whose value is a number, or returns def.
func takeNumber(spec *link.Spec, key string, def, hi uint64) (uint64, error) {
	v, ok := spec.Take(key)
	if !ok {
		return def, nil
	}
	n, err := strconv.ParseUint(v, 0, 64)
	if err != nil || n > hi {
		return 0, link.Errorf("%s=%s: want a number from 0 to %d", key, v, hi)
	}
	return n, nil
}
