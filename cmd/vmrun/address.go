package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/switch/frame"
)

// sources are where guests' addresses are found.
type sources struct {
	arp    string   // the kernel's neighbours, as in /proc/net/arp
	leases []string // patterns of dnsmasq's lease files
	status []string // patterns of libvirt's, which are JSON
}

var hostSources = sources{
	arp:    "/proc/net/arp",
	leases: []string{"/var/lib/misc/dnsmasq.leases", "/var/lib/dnsmasq/*.leases"},
	status: []string{"/var/lib/libvirt/dnsmasq/*.status"},
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

// neighbour reads the kernel's table: address, type, flags, MAC, mask, device.
// An entry is usable, whether fresh or stale, if it is complete (flag 2).
func (s sources) neighbour(mac frame.MAC, bridge string) (netip.Addr, bool) {
	b, _ := os.ReadFile(s.arp)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[2] == "0x0" || !sameMAC(f[3], mac) || bridge != "" && f[5] != bridge {
			continue
		}
		if a, err := netip.ParseAddr(f[0]); err == nil && !a.IsLoopback() {
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

// address is the guest's, as far as this host can know.
func (v *vm) address() (string, error) {
	for i, text := range v.Nets {
		n, err := netdev.ParseNet(text)
		if err != nil {
			return "", err
		}
		mac, err := frame.ParseMAC(v.MACs[i])
		if err != nil {
			return "", err
		}
		switch n.Mode {
		case "none", "null", "hostdev":
			continue
		case "user":
			return "127.0.0.1", nil
		}
		if a, ok := hostSources.find(mac, n.Get("br")); ok {
			return a.String(), nil
		}
	}
	return "", fmt.Errorf("not available: neither this host's neighbours nor any lease names %s", strings.Join(v.MACs, " or "))
}

func printIP(ctx context.Context, w io.Writer, name string, wait time.Duration) error {
	v, err := running(name)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(wait); ; {
		addr, err := v.address()
		if err == nil {
			if addr == "127.0.0.1" && v.SSH > 0 {
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
