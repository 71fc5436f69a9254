package hostnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Move puts an uplink into a bridge and gives the bridge what made the uplink
// reachable. The bridge is up, has the uplink's MAC and no addresses.
type Move struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Config Config `json:"config"` // From's, when the plan was made
}

// Do puts the uplink into the bridge, waits until the bridge carries frames, and
// moves, in one write. Until then the host answers over the uplink as before:
// with the addresses on a bridge that does not carry yet, the first ARP request
// would be lost, and the next one comes after a second.
func (s *Move) Do(h *Host) error {
	from, to, err := s.devices(h)
	if err != nil {
		return err
	}
	if err := h.raw.batch([]request{masterRequest(from, to)}); err != nil {
		return err
	}
	h.awaitCarrier(s.To)
	if err := h.raw.batch(append(s.Config.removals(from), s.Config.additions(to)...)); err != nil {
		return fmt.Errorf("move addresses from %s to %s: %w", s.From, s.To, err)
	}
	return h.settle(to, s.Config)
}

// carrierTime is how long a bridge may take to carry frames. The kernel does
// that in a work queue of its own, at most once a second (net/core/link_watch.c).
const carrierTime = 1500 * time.Millisecond

// awaitCarrier returns when an interface carries frames, or after carrierTime:
// the uplink may have no cable.
func (h *Host) awaitCarrier(name string) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(carrierTime); time.Now().Before(deadline); <-tick.C {
		if l, err := h.nl.LinkByName(name); err != nil || l.Attrs().OperState == netlink.OperUp {
			return
		}
	}
}

func (s *Move) devices(h *Host) (from, to device, err error) {
	f, err := h.Link(s.From)
	if err != nil {
		return from, to, err
	}
	t, err := h.Link(s.To)
	return device{f.Name, f.Index}, device{t.Name, t.Index}, err
}

// settle corrects what a move left different: routes that came with an address
// though there were none before, and routes whose gateway could only be
// reached through another route that came later.
func (h *Host) settle(dev device, want Config) error {
	for range 3 {
		extra, lacking, err := h.differences(dev, want)
		if err != nil || extra.empty() && lacking.empty() {
			return err
		}
		if err := h.raw.batch(append(extra.removals(dev), lacking.additions(dev)...)); err != nil {
			return err
		}
	}
	return h.hasConfig(dev, want)
}

// differences is what dev has and should not, and what it lacks. What a router
// has announced meanwhile is nobody's mistake.
func (h *Host) differences(dev device, want Config) (extra, lacking Config, err error) {
	now, err := h.config(dev)
	if err != nil {
		return extra, lacking, err
	}
	extra, lacking = now.missing(want), want.missing(now)
	extra.Addrs = slices.DeleteFunc(extra.Addrs, announced)
	extra.Routes = slices.DeleteFunc(extra.Routes, func(r []byte) bool { return r[5] == unix.RTPROT_RA || announcedPrefix(r) })
	return extra, lacking, nil
}

// announced tells whether a router's announcement made the address.
func announced(addr []byte) bool {
	proto := parseAttrs(addr[sizeofIfAddrmsg:]).get(ifaProto)
	return proto != nil && proto[0] == ifaProtoRA
}

// announcedPrefix tells whether a route is a prefix that will expire.
func announcedPrefix(route []byte) bool {
	return route[0] == unix.AF_INET6 && route[5] == unix.RTPROT_KERNEL && parseAttrs(route[sizeofRtMsg:]).get(unix.RTA_EXPIRES) != nil
}

// hasConfig returns what is different.
func (h *Host) hasConfig(dev device, want Config) error {
	extra, lacking, err := h.differences(dev, want)
	if err != nil {
		return err
	}
	var list []string
	for _, text := range lacking.commands("add", dev.name) {
		list = append(list, "missing: "+text)
	}
	for _, text := range extra.commands("add", dev.name) {
		list = append(list, "too much: "+text)
	}
	if list == nil {
		if !extra.empty() || !lacking.empty() {
			return fmt.Errorf("the routes that belong to addresses of %s are not as planned", dev.name)
		}
		return nil
	}
	return fmt.Errorf("the configuration of %s is not as planned: %s", dev.name, strings.Join(list, "; "))
}

// Done reads back.
func (s *Move) Done(h *Host) error {
	if err := (&Join{s.From, s.To}).Done(h); err != nil {
		return err
	}
	from, to, err := s.devices(h)
	if err != nil {
		return err
	}
	return errors.Join(h.hasConfig(to, s.Config), h.hasConfig(from, Config{}))
}

// Undo moves back. Where the bridge is gone its addresses went with it, but not
// the rules that name it. Where the uplink is gone there is nobody to give them
// to: they go with the bridge.
func (s *Move) Undo(h *Host) error {
	from, to, err := s.devices(h)
	if from.index == 0 && errors.Is(err, ErrNotFound) {
		return h.raw.batch(Config{Rules: s.Config.Rules}.removals(device{name: s.To}))
	}
	if from.index == 0 {
		return err
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if s.Undone(h) == nil {
		return nil
	}
	var reqs []request
	if l, err := h.Link(s.From); err == nil && l.Master == s.To {
		reqs = append(reqs, masterRequest(from, device{}))
	}
	if to.index != 0 {
		reqs = append(reqs, s.Config.removals(to)...)
	} else {
		reqs = append(reqs, Config{Rules: s.Config.Rules}.removals(device{name: s.To})...)
	}
	reqs = append(reqs, s.Config.additions(from)...)
	if err := h.raw.batch(reqs); err != nil {
		return fmt.Errorf("move addresses back from %s to %s: %w", s.To, s.From, err)
	}
	return h.settle(from, s.Config)
}

// Undone reads back.
func (s *Move) Undone(h *Host) error {
	if err := (&Join{s.From, s.To}).Undone(h); err != nil {
		return err
	}
	l, err := h.Link(s.From)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.hasConfig(device{l.Name, l.Index}, s.Config)
}

// Text says what it does.
func (s *Move) Text() (string, []string) {
	commands := []string{fmt.Sprintf("ip link set dev %s master %s", s.From, s.To), "ip address flush dev " + s.From + " scope global"}
	return fmt.Sprintf("put %s into bridge %s and move its addresses and routes there", s.From, s.To),
		append(commands, s.Config.commands("add", s.To)...)
}

// UndoText says how it is undone.
func (s *Move) UndoText() (string, []string) {
	commands := []string{"ip link set dev " + s.From + " nomaster", "ip address flush dev " + s.To + " scope global"}
	return fmt.Sprintf("take %s out of bridge %s and move its addresses and routes back", s.From, s.To),
		append(commands, s.Config.commands("add", s.From)...)
}

// CopySettings gives a new interface the kernel settings (net.ipv4.conf,
// net.ipv6.conf) of another that it takes the place of. They go with the
// interface, so undoing is nothing.
type CopySettings struct {
	To     string            `json:"to"`
	Values map[string]string `json:"values"` // "ipv4/conf/rp_filter": "2"
}

// settings are those that decide whether frames are taken and answered. What is
// not here is left to the new interface.
var settings = []string{
	"ipv4/conf/rp_filter", "ipv4/conf/accept_local", "ipv4/conf/accept_redirects", "ipv4/conf/secure_redirects", "ipv4/conf/send_redirects",
	"ipv4/conf/accept_source_route", "ipv4/conf/arp_ignore", "ipv4/conf/arp_announce", "ipv4/conf/arp_filter", "ipv4/conf/arp_accept",
	"ipv4/conf/proxy_arp", "ipv4/conf/forwarding", "ipv4/conf/src_valid_mark", "ipv4/conf/route_localnet", "ipv4/conf/promote_secondaries",
	"ipv6/conf/disable_ipv6", "ipv6/conf/forwarding", "ipv6/conf/accept_ra", "ipv6/conf/accept_ra_defrtr", "ipv6/conf/accept_ra_pinfo",
	"ipv6/conf/accept_ra_rt_info_max_plen", "ipv6/conf/autoconf", "ipv6/conf/use_tempaddr", "ipv6/conf/accept_redirects", "ipv6/conf/proxy_ndp",
}

func settingPath(setting, name string) string {
	return filepath.Join("/proc/sys/net", filepath.Dir(setting), name, filepath.Base(setting))
}

// settingsOf reads the settings of an interface in which it is not like a new one.
func settingsOf(name string) map[string]string {
	values := map[string]string{}
	for _, s := range settings {
		own, err1 := os.ReadFile(settingPath(s, name))
		fresh, err2 := os.ReadFile(settingPath(s, "default"))
		if err1 == nil && err2 == nil && string(own) != string(fresh) {
			values[s] = strings.TrimSpace(string(own))
		}
	}
	return values
}

// Do copies.
func (s *CopySettings) Do(*Host) error {
	for _, setting := range settings {
		if value, ok := s.Values[setting]; ok {
			if err := os.WriteFile(settingPath(setting, s.To), []byte(value), 0); err != nil {
				return fmt.Errorf("set %s of %s to %s: %w", setting, s.To, value, err)
			}
		}
	}
	return nil
}

// Done reads back.
func (s *CopySettings) Done(*Host) error {
	for setting, value := range s.Values {
		if text, err := os.ReadFile(settingPath(setting, s.To)); err != nil || strings.TrimSpace(string(text)) != value {
			return fmt.Errorf("setting %s of %s is not %s", setting, s.To, value)
		}
	}
	return nil
}

// Undo has nothing to do.
func (s *CopySettings) Undo(*Host) error { return nil }

// Undone has nothing to read back.
func (s *CopySettings) Undone(*Host) error { return nil }

// Text says what it does.
func (s *CopySettings) Text() (string, []string) {
	var list []string
	for _, setting := range settings {
		if value, ok := s.Values[setting]; ok {
			list = append(list, "echo "+value+" >"+settingPath(setting, s.To))
		}
	}
	return "copy kernel settings to " + s.To, list
}

// UndoText says how it is undone.
func (s *CopySettings) UndoText() (string, []string) {
	return "leave the kernel settings of " + s.To + " to vanish with it", nil
}
