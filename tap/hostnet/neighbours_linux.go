package hostnet

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbour is a station that the kernel has talked to.
type Neighbour struct {
	Addr   netip.Addr
	MAC    net.HardwareAddr
	Device string
}

// Neighbours lists the kernel's neighbours of both families whose MAC is known
// and was not found wrong.
func (h *Host) Neighbours() ([]Neighbour, error) {
	entries, err := h.nl.NeighList(0, unix.AF_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	links, err := h.Links()
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Index] = l.Name
	}
	var list []Neighbour
	for _, e := range entries {
		a, ok := netip.AddrFromSlice(e.IP)
		if !ok || len(e.HardwareAddr) != 6 || e.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE|netlink.NUD_NOARP) != 0 || e.Flags&netlink.NTF_PROXY != 0 {
			continue
		}
		list = append(list, Neighbour{a.Unmap(), e.HardwareAddr, names[e.LinkIndex]})
	}
	return list, nil
}
