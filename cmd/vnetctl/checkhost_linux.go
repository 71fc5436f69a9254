package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vnetkit/tap/hostnet"
)

// devices looks at the device files that guests and TAPs need.
func (e *exam) devices(who account) {
	for _, d := range []struct{ path, without, load string }{
		{"/dev/net/tun", "no TAP can be opened", "modprobe tun"},
		{"/dev/kvm", "guests run in software, many times slower", "modprobe kvm_intel or kvm_amd; in a VM, let it have nested virtualization"},
	} {
		var st unix.Stat_t
		path := filepath.Join(e.root, d.path)
		if err := unix.Stat(path, &st); err != nil {
			report := e.warn
			if d.path == "/dev/net/tun" {
				report = e.fail
			}
			report(d.path, "is not there: "+d.without, d.load)
			continue
		}
		if may(st, who) {
			e.ok(d.path, "user "+who.name+" may open it")
			continue
		}
		cure := fmt.Sprintf("chgrp kvm %s; chmod 660 %s; usermod -a -G kvm %s", d.path, d.path, who.name)
		if group, err := user.LookupGroupId(strconv.Itoa(int(st.Gid))); err == nil && st.Mode>>3&0o6 == 0o6 {
			cure = fmt.Sprintf("usermod -a -G %s %s, and log in anew", group.Name, who.name)
		}
		if d.path == "/dev/net/tun" {
			e.ok(d.path, fmt.Sprintf("user %s may not open it, and need not: vnetctl hands TAPs over", who.name))
			continue
		}
		e.warn(d.path, fmt.Sprintf("user %s may not open it: %s", who.name, d.without), cure)
	}
}

// may tells whether a user may read and write by mode alone.
func may(st unix.Stat_t, who account) bool {
	const readWrite = 0o6
	switch {
	case who.uid == 0:
		return true
	case int(st.Uid) == who.uid:
		return st.Mode>>6&readWrite == readWrite
	}
	for _, g := range append([]uint32{uint32(who.gid)}, who.groups...) {
		if st.Gid == g && st.Mode>>3&readWrite == readWrite {
			return true
		}
	}
	return st.Mode&readWrite == readWrite
}

// setting reads a kernel setting: net/bridge/bridge-nf-call-iptables; empty: there
// is none.
func (e *exam) setting(name string) string {
	text, _ := os.ReadFile(filepath.Join(e.root, "proc/sys", name))
	return strings.TrimSpace(string(text))
}

// firewall looks for the usual reason why bridged guests hear nothing: bridged
// frames go through a FORWARD chain that drops, as Docker sets it.
func (e *exam) firewall() {
	chains, err := hostnet.ForwardChains()
	e.judge(chains, err)
}

func (e *exam) judge(chains []hostnet.Chain, err error) {
	const what = "br_netfilter"
	const cure = "let bridged frames pass: iptables -I DOCKER-USER -m physdev --physdev-is-bridged -j ACCEPT (without Docker: -I FORWARD), or sysctl net.bridge.bridge-nf-call-iptables=0"
	passes := map[string]bool{"bridge": true}
	for family, name := range map[string]string{"ip": "iptables", "ip6": "ip6tables"} {
		on := e.setting("net/bridge/bridge-nf-call-"+name) == "1"
		passes[family], passes["inet"] = on, passes["inet"] || on
	}
	before := len(e.findings)
	for _, c := range chains {
		if c.Drops && passes[c.Family] {
			e.fail(what, fmt.Sprintf("bridged frames pass chain %s of table %s %s, which drops what no rule lets pass", c.Name, c.Family, c.Table),
				map[bool]string{false: cure, true: fmt.Sprintf("nft chain %s %s %s '{ policy accept; }'", c.Family, c.Table, c.Name)}[c.Family == "bridge"])
		}
	}
	tables, _ := os.ReadFile(filepath.Join(e.root, "proc/net/ip_tables_names")) // of iptables-legacy
	switch {
	case len(e.findings) > before:
	case !passes["inet"]:
		e.ok(what, "bridged frames do not pass the firewall")
	case errors.Is(err, unix.EPERM):
		e.warn(what, "bridged frames pass the firewall, and only root may look whether it drops them", "sudo vnetctl check")
	case err != nil:
		e.warn(what, "bridged frames pass the firewall: "+err.Error(), cure)
	case slices.Contains(strings.Fields(string(tables)), "filter"):
		e.warn(what, "bridged frames pass the firewall, an iptables-legacy whose policy cannot be seen from here", "iptables-legacy -S FORWARD; if it says DROP, "+cure)
	default:
		e.ok(what, "bridged frames pass the firewall, and no chain of it drops what it does not know")
	}
}

// managers says who looks after the interface that carries the default route: it
// is the one that -i auto would take.
func (e *exam) managers() {
	name, err := e.host.DefaultUplink()
	if err != nil {
		return // none
	}
	l, err := e.host.Link(name)
	if err != nil {
		return
	}
	what := "interface " + name
	if !l.Carrier {
		e.fail(what, "carries the default route, and has no carrier", "look at its cable, and at the other end of it")
	}
	m := hostnet.ManagerOf(e.root, l)
	switch {
	case m == nil:
		e.ok(what, "carries the default route, and no program that is known manages it")
	case m.Moves:
		e.ok(what, fmt.Sprintf("carries the default route, and %s manages it (%s): -i %s would be refused", m.Name, m.Sign, name))
	default:
		e.ok(what, fmt.Sprintf("carries the default route, and %s set it up (%s)", m.Name, m.Sign))
	}
}

// sysctls looks at the settings of a bridge that has the host's addresses.
func (e *exam) sysctls(bridge string) {
	conf := "net/ipv6/conf/" + bridge + "/"
	if e.setting(conf+"forwarding") == "1" && e.setting(conf+"accept_ra") == "1" {
		e.warn("bridge "+bridge, "ignores what IPv6 routers announce: it forwards, and accept_ra is 1", "sysctl net.ipv6.conf."+bridge+".accept_ra=2")
		return
	}
	e.ok("bridge "+bridge, "its kernel settings let the host be reached")
}

// processes looks for switches that vnetctl started and has no record of.
func (e *exam) processes(s *hostnet.State) {
	for _, file := range hostnet.LostSwitches(hostnet.DefaultDir, s) {
		e.warn("switch process", file+" names a switch that runs, and vnetctl has no record of it", "vnetctl listall shows it; if nobody needs it, kill it and rm "+file)
	}
}
