package vswitch

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// ipTable remembers which IP addresses stations say are their own. They say so to
// all: in ARP requests (RFC 826) and announcements, in what they ask a DHCP server
// for (dhcp.go), and in IPv6 to link-local groups (RFC 4861, RFC 3810). So only what
// is flooded is looked at, and a frame that goes to one receiver costs nothing. What
// a station says, nobody checks.
//
// The table has a fixed size: a flood of lies pushes out what was heard longest
// ago, and allocates nothing. Who finds it locked goes on without: stations repeat
// themselves.
type ipTable struct {
	recent [1024]atomic.Uint64 // hashes of what was noted, each good for some seconds

	mu   sync.Mutex
	sets [ipSets][ipWays]ipSlot
}

const (
	ipSets = 1024
	ipWays = 4
	ipRest = 8 // seconds in which a repetition is not noted
)

// ipSlot is empty while port is nil.
type ipSlot struct {
	addr netip.Addr
	mac  frame.MAC
	vid  frame.VID
	port *Port
	last uint32 // second of the switch's life
}

// IPEntry is an IP address that a station has said is its own.
type IPEntry struct {
	Addr netip.Addr
	MAC  frame.MAC
	VID  frame.VID
	Port int
	Age  time.Duration // since it said so, to a few seconds
}

// look notes what f says, which came in by p in a VLAN.
func (t *ipTable) look(p *Port, vid frame.VID, f frame.Frame, now uint32) {
	a, ok := saidIP(f)
	if !ok {
		return
	}
	b := a.As16()
	const prime = 0x9e3779b97f4a7c15
	set := (binary.BigEndian.Uint64(b[:])*prime ^ binary.BigEndian.Uint64(b[8:]) ^ uint64(vid)) * prime
	key := (set ^ f.Src().Uint64() ^ uint64(p.id)<<48 ^ uint64(now/ipRest)*prime) * prime
	recent := &t.recent[key>>54]
	if recent.Load() == key || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	recent.Store(key)
	slots := &t.sets[set>>54]
	oldest := &slots[0]
	for i := range slots {
		s := &slots[i]
		if s.port != nil && s.addr == a && s.vid == vid {
			oldest = s
			break
		}
		if s.port == nil || oldest.port != nil && s.last < oldest.last {
			oldest = s
		}
	}
	*oldest = ipSlot{a, f.Src(), vid, p, now}
}

// saidIP is the address that f's sender says is its own, to all of its network.
func saidIP(f frame.Frame) (netip.Addr, bool) {
	if len(f) < frame.HeaderLen || f[0]&1 == 0 {
		return netip.Addr{}, false
	}
	var a netip.Addr
	switch typ, b := f.Network(); typ {
	case frame.TypeARP:
		// Ethernet and IPv4, and the sender is who has sent it: no proxy.
		if len(b) < 28 || binary.BigEndian.Uint64(b)>>16 != 0x0001_0800_0604 || frame.MAC(b[8:14]) != f.Src() {
			return a, false
		}
		a = netip.AddrFrom4([4]byte(b[14:18]))
	case frame.TypeIPv4:
		a = askedIP(b, f.Src())
	case frame.TypeIPv6:
		if len(b) < 40 || b[0]>>4 != 6 || b[24] != 0xff || b[25]&0xf != 2 { // ff02::: no router has passed it on
			return a, false
		}
		a = netip.AddrFrom16([16]byte(b[8:24]))
		if a.IsUnspecified() && b[6] == protoICMPv6 && len(b) >= 64 && b[40] == neighbourSolicitation {
			a = netip.AddrFrom16([16]byte(b[48:64])) // it asks whether anybody has what it is about to take
		}
	}
	return a, a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && !a.Is4In6() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

const (
	protoICMPv6           = 58
	neighbourSolicitation = 135 // RFC 4861, 4.3
)

// IPs lists the IP addresses of stations that the filter selects, by address.
// Those behind ports that are gone are not listed.
func (s *Switch) IPs(f FDBFilter) ([]IPEntry, error) {
	s.mu.Lock()
	match, err := s.matcher(f)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	top, now := s.top.Load(), s.seconds()
	var list []IPEntry
	s.ips.mu.Lock()
	for i := range s.ips.sets {
		for j := range s.ips.sets[i] {
			e := &s.ips.sets[i][j]
			if e.port == nil {
				continue
			}
			if v := top.get(e.port.id); v == nil || v.port != e.port {
				*e = ipSlot{} // and the port with it
				continue
			}
			if match(fdb.Entry{VID: e.vid, MAC: e.mac, Port: e.port.id}) {
				list = append(list, IPEntry{e.addr, e.mac, e.vid, e.port.id, time.Duration(now-min(now, e.last)) * time.Second})
			}
		}
	}
	s.ips.mu.Unlock()
	slices.SortFunc(list, func(a, b IPEntry) int { return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.VID, b.VID)) })
	return list, nil
}
