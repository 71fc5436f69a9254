package packet

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// An interface may be a way into a bridge of the kernel: as the bridge itself, by
// the other end of a veth pair, or as one of the bridge's ports. In the last case a
// packet socket is at the port's cable and not in the bridge: what it sends goes
// out there, and it hears only what comes in.

// iface is what rtnetlink(7) says of an interface.
type iface struct {
	index  int
	name   string
	kind   string // bridge, veth ...
	master int    // interface whose port it is; 0: none
	peer   int    // other end, if that is in the same network namespace
}

// Cable implements link.Cabled. What is known is good until there is news of some
// interface.
func (s *source) Cable() link.Cable {
	if c := s.cable.Load(); c != nil {
		return *c
	}
	// The kernel's answer is about the namespace of the thread that asks.
	netns := netnsInode()
	if netns == 0 || netns != s.netns {
		return link.Cable{}
	}
	list, err := interfaces()
	if err != nil {
		return link.Cable{}
	}
	c := cableOf(list, s.want.name, netns)
	s.cable.Store(&c)
	return c
}

// netnsInode is the network namespace of this thread; 0: not known.
func netnsInode() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return 0
	}
	return st.Ino
}

// cableOf finds out where the interface called name leads.
func cableOf(list map[int]iface, name string, netns uint64) link.Cable {
	var own iface
	for _, i := range list {
		if i.name == name {
			own = i
		}
	}
	way := fmt.Sprintf("interface %d in %d", own.index, netns)
	to := func(bridge iface) link.Cable { return link.Bridge(netns, bridge.index, bridge.name, way) }
	peer := list[own.peer]
	switch {
	case own.index == 0:
		return link.Cable{}
	case own.kind == "bridge":
		return to(own)
	case list[own.master].kind == "bridge":
		c := to(list[own.master])
		c.Deaf = true
		return c
	case own.kind == "veth" && list[peer.master].kind == "bridge":
		return to(list[peer.master])
	case own.kind == "veth" && peer.index != 0:
		return link.Cable{Place: fmt.Sprintf("veth %d in %d", min(own.index, peer.index), netns), Name: "the cable of " + own.name + " and " + peer.name, Way: way}
	}
	return link.Cable{Place: way, Name: "interface " + name, Way: way}
}

// interfaces asks the kernel for all interfaces.
func interfaces() (map[int]iface, error) {
	data, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return nil, err
	}
	return parseInterfaces(data)
}

func parseInterfaces(data []byte) (map[int]iface, error) {
	msgs, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return nil, err
	}
	list := map[int]iface{}
	for i := range msgs {
		m := &msgs[i]
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			return nil, err
		}
		own := iface{index: int(int32(binary.NativeEndian.Uint32(m.Data[4:])))}
		elsewhere := false
		for _, a := range attrs {
			switch a.Attr.Type &^ unix.NLA_F_NESTED {
			case unix.IFLA_IFNAME:
				own.name = cString(a.Value)
			case unix.IFLA_MASTER:
				own.master = number(a.Value)
			case unix.IFLA_LINK:
				own.peer = number(a.Value)
			case unix.IFLA_LINK_NETNSID:
				elsewhere = true
			case unix.IFLA_LINKINFO:
				own.kind = infoKind(a.Value)
			}
		}
		if elsewhere {
			own.peer = 0
		}
		list[own.index] = own
	}
	return list, nil
}

func number(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(b)))
}

// infoKind finds IFLA_INFO_KIND among the attributes in IFLA_LINKINFO.
func infoKind(b []byte) string {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return ""
		}
		if binary.NativeEndian.Uint16(b[2:]) == unix.IFLA_INFO_KIND {
			return cString(b[unix.SizeofRtAttr:size])
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return ""
}

func cString(b []byte) string { return unix.ByteSliceToString(b) }
