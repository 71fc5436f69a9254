package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/cmd/vmrun/qemu"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/switch/frame"
)

// sources are where guests' addresses are found.
type sources struct {
	neighbours func() []neighbour // the kernel's
	leases     []string           // patterns of dnsmasq's lease files
	status     []string           // patterns of libvirt's, which are JSON
}

var hostSources = sources{
	neighbours: kernelNeighbours,
	leases:     []string{"/var/lib/misc/dnsmasq.leases", "/var/lib/dnsmasq/*.leases"},
	status:     []string{"/var/lib/libvirt/dnsmasq/*.status"},
}

// neighbour is a station that this host has talked to.
type neighbour struct {
	addr   netip.Addr
	mac    frame.MAC
	device string
}

// find looks for the address of a card. Only an entry with exactly this MAC is
// the guest's, and on a bridge only one that was seen there.
func (s sources) find(mac frame.MAC, bridge string) (netip.Addr, bool) {
	if a, ok := s.neighbour(mac, bridge); ok {
		return a, true
	}
	for _, file := range glob(s.leases) {
		b, _ := os.ReadFile(file)
		for line := range strings.Lines(string(b)) { // expiry mac address name client
			f := strings.Fields(line)
			if len(f) >= 3 && sameMAC(f[1], mac) {
				if a, err := netip.ParseAddr(f[2]); err == nil {
					return a, true
				}
			}
		}
	}
	for _, file := range glob(s.status) {
		var leases []struct {
			MAC string `json:"mac-address"`
			IP  string `json:"ip-address"`
		}
		b, _ := os.ReadFile(file)
		if json.Unmarshal(b, &leases) != nil {
			continue
		}
		for _, l := range leases {
			if a, err := netip.ParseAddr(l.IP); err == nil && sameMAC(l.MAC, mac) {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

// neighbour looks among those whom the kernel has talked to.
func (s sources) neighbour(mac frame.MAC, bridge string) (netip.Addr, bool) {
	var found []netip.Addr
	for _, n := range s.neighbours() {
		if n.mac == mac && (bridge == "" || n.device == bridge) {
			found = append(found, n.addr)
		}
	}
	return choose(found)
}

// choose takes what most programs can use: the first of IPv4, else the first of
// IPv6 that is good beyond one interface.
func choose(list []netip.Addr) (best netip.Addr, ok bool) {
	for _, a := range list {
		switch {
		case a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast() && a.Is6():
		case a.Is4():
			return a, true
		case !best.IsValid():
			best = a
		}
	}
	return best, best.IsValid()
}

// switchOf is the directory of the switch that a card is plugged into, as far as
// its path tells; "": none.
func switchOf(n netdev.Net) string {
	switch n.Mode {
	case "switch", "network", "server", "vde":
		return n.Get("sock")
	case "stream":
		if path, ok := strings.CutPrefix(n.Get("addr"), "unix:"); ok {
			return filepath.Dir(path)
		}
	case "vhost-user":
		return filepath.Dir(n.Get("sock"))
	}
	return ""
}

// fromSwitch asks the card's switch what the guest has said its address is; the
// latest counts.
func fromSwitch(ctx context.Context, n netdev.Net, mac frame.MAC) (netip.Addr, bool) {
	dir := switchOf(n)
	if dir == "" {
		return netip.Addr{}, false
	}
	c, err := client.Dial(dir)
	if err != nil {
		return netip.Addr{}, false
	}
	defer c.Close()
	entries, err := c.IPs(ctx, client.FDBFilter{MAC: mac.String()})
	if err != nil {
		return netip.Addr{}, false // older, or gone: others may know
	}
	slices.SortStableFunc(entries, func(a, b api.IPEntry) int { return cmp.Compare(a.AgeSeconds, b.AgeSeconds) })
	var found []netip.Addr
	for _, e := range entries {
		if a, err := netip.ParseAddr(e.IP); err == nil {
			found = append(found, a)
		}
	}
	return choose(found)
}

// fromAgent asks the guest itself. It is the last to be asked, for it may take a
// second to find out that no agent is there.
func fromAgent(ctx context.Context, path string, macs []frame.MAC) (netip.Addr, bool) {
	if len(macs) == 0 {
		return netip.Addr{}, false
	}
	addrs, err := qemu.GuestAddrs(ctx, path)
	if err != nil {
		return netip.Addr{}, false // none there, or none that makes sense
	}
	for _, mac := range macs {
		if a, ok := choose(addrs[mac]); ok {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func sameMAC(text string, mac frame.MAC) bool {
	m, err := net.ParseMAC(text)
	return err == nil && len(m) == 6 && frame.MAC(m) == mac
}

func glob(patterns []string) (files []string) {
	for _, p := range patterns {
		m, _ := filepath.Glob(p) // fails only for a bad pattern
		files = append(files, m...)
	}
	return files
}

// hostAddress is where a guest behind QEMU's NAT is reached, by its ports.
const hostAddress = "127.0.0.1"

// address is the guest's, as far as this host can know.
func (v *vm) address(ctx context.Context) (string, error) {
	var macs []frame.MAC
	for i, text := range v.Nets {
		n, err := netdev.ParseNet(text)
		if err != nil {
			return "", err
		}
		switch n.Mode {
		case "none", "null", "hostdev":
			continue
		case "user":
			return hostAddress, nil
		}
		mac, err := frame.ParseMAC(v.MACs[i])
		if err != nil {
			return "", err
		}
		if a, ok := fromSwitch(ctx, n, mac); ok {
			return a.String(), nil
		}
		if a, ok := hostSources.find(mac, n.Get("br")); ok {
			return a.String(), nil
		}
		macs = append(macs, mac)
	}
	if a, ok := fromAgent(ctx, v.path("agent"), macs); ok {
		return a.String(), nil
	}
	if len(macs) == 0 {
		return "", errors.New("not available: it has no card of which this host could know")
	}
	return "", fmt.Errorf("not available: neither the card's switch nor this host's neighbours nor any lease nor an agent in the guest knows %s", strings.ReplaceAll(strings.Trim(fmt.Sprint(macs), "[]"), " ", " or "))
}

func printIP(ctx context.Context, w io.Writer, name string, wait time.Duration) error {
	v, err := running(name)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(wait); ; {
		addr, err := v.address(ctx)
		if err == nil {
			if addr == hostAddress && v.SSH > 0 {
				addr += fmt.Sprintf(" port %d", v.SSH)
			}
			_, err = fmt.Fprintln(w, addr)
			return err
		}
		if !time.Now().Before(deadline) {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// seconds is a time that a user gives as a number of seconds, or as 1m30s.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }
func (s *seconds) Type() string   { return "seconds" }

// Set implements pflag.Value.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text)
	if n, e := strconv.ParseUint(text, 10, 31); e == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < 0 {
		return errors.New("want seconds, or a time such as 1m30s")
	}
	*s = seconds(d)
	return nil
}
