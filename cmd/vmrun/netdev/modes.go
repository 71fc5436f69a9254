package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// kind is what a key's value is.
type kind int

const (
	text   kind = iota
	toggle      // on or off
	number      // decimal, or hexadecimal with 0x
	list        // text, may be given more than once
	mac
	socketPath
	endpoint // HOST:PORT
	group    // GROUP:PORT
	setting  // of a switch's port
)

func (k kind) example() string {
	return map[kind]string{
		text: "give it a value", toggle: "on or off", number: "a number", list: "give it a value", mac: "for example 52:54:00:12:34:56",
		socketPath: "choose a path of at most 107 bytes", endpoint: "for example 192.0.2.1:5558", group: "for example 239.192.0.1:5558",
		setting: "vnetctl port add --help says what a port can be set to",
	}[k]
}

// key is one that a mode has. qemu is the name of the same option of QEMU's
// backend; "": it is not passed on as it is.
type key struct {
	name string
	kind kind
	qemu string
}

func (k key) check(value string) error {
	switch k.kind {
	case text, list:
		if value == "" {
			return errors.New("the value is missing")
		}
	case toggle:
		if _, ok := onOff[value]; !ok {
			return errors.New("want on or off")
		}
	case number:
		if _, err := strconv.ParseUint(value, 0, 64); err != nil {
			return errors.New("want a number")
		}
	case mac:
		_, err := ParseMAC(value)
		return err
	case socketPath:
		if value == "" || len(value) > maxPath {
			return fmt.Errorf("a socket's path has 1 to %d bytes, this one has %d; QEMU would start and have no network", maxPath, len(value))
		}
	case endpoint:
		_, _, err := splitEndpoint(value)
		return err
	case group:
		host, _, err := splitEndpoint(value)
		if a, e := netip.ParseAddr(host); err == nil && (e != nil || !a.Is4() || !a.IsMulticast()) {
			err = errors.New("a group's address is from 224.0.0.0 to 239.255.255.255")
		}
		return err
	case setting:
		return k.checkSetting(value)
	}
	return nil
}

// maxPath is the longest path that fits into a socket address (unix(7)).
const maxPath = 107

var onOff = map[string]bool{"on": true, "yes": true, "true": true, "off": false, "no": false, "false": false}

func splitEndpoint(text string) (host, port string, err error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return "", "", errors.New("want HOST:PORT")
	}
	host, port = strings.Trim(text[:i], "[]"), text[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return host, port, nil
}

// mode is a way to give a card a network.
type mode struct {
	name   string
	help   string
	first  string // the key that MODE=VALUE gives
	keys   []key
	needs  []string // keys that must be there
	refuse string   // why it cannot be had
	cure   string
}

// cardKeys are those of the card itself, whatever it is plugged into.
var cardKeys = []key{
	{"mac", mac, ""}, {"model", text, ""}, {"mtu", number, ""}, {"boot", number, ""}, {"link", text, ""},
	{"queues", number, ""}, {"rxqueue", number, ""}, {"txqueue", number, ""},
	{"device", list, ""}, // any property of QEMU's card: device=csum=off
}

func qemuKeys(k kind, names ...string) (keys []key) {
	for _, n := range names {
		keys = append(keys, key{n, k, n})
	}
	return keys
}

func keys(groups ...[]key) []key { return slices.Concat(groups...) }

var userKeys = keys(
	qemuKeys(text, "hostname", "net", "host", "tftp", "bootfile", "dhcpstart", "dns", "domainname", "ipv6-prefix", "ipv6-host", "ipv6-dns", "smb", "smbserver", "tftp-server-name"),
	qemuKeys(toggle, "restrict", "ipv4", "ipv6"), qemuKeys(number, "ipv6-prefixlen"), qemuKeys(list, "hostfwd", "guestfwd", "dnssearch"),
	[]key{{"ssh", text, ""}})

var tapKeys = keys(qemuKeys(text, "ifname", "fd", "fds", "vhostfd", "vhostfds"), qemuKeys(number, "sndbuf", "poll-us"), qemuKeys(toggle, "vnet_hdr", "vhost", "vhostforce"))

var l2tpKeys = keys(qemuKeys(text, "src", "dst", "srcport", "dstport"), qemuKeys(toggle, "ipv6", "udp", "cookie64", "counter", "pincounter"),
	qemuKeys(number, "txcookie", "rxcookie", "txsession", "rxsession", "offset"))

// modes lists all. The first is the default.
var modes = []mode{
	{name: "switch", help: "a port of a switch", first: "name", keys: keys([]key{{"name", text, ""}, {"door", text, ""}, {"sock", socketPath, ""}, {"listen", socketPath, ""}}, portKeys)},
	{name: "user", help: "QEMU's own NAT, DHCP and DNS", keys: userKeys},
	{name: "passt", help: "NAT by passt", keys: []key{{"sock", socketPath, ""}, {"tcp-ports", list, ""}, {"udp-ports", list, ""}, {"address", text, ""}, {"gateway", text, ""}, {"interface", text, ""}, {"fd", text, ""}, {"listen", socketPath, ""}}},
	{name: "tap", help: "a TAP device, in a bridge if br= is given", first: "ifname", keys: keys(tapKeys, []key{{"br", text, ""}, {"script", text, "script"}}, settings("isolated"))},
	{name: "bridge", help: "a bridge of this host", first: "br", keys: keys([]key{{"br", text, ""}, {"helper", text, "helper"}, {"script", text, "script"}}, tapKeys, settings("isolated")), needs: []string{"br"}},
	{name: "ethernet", help: "a TAP device and a script that sets it up", first: "ifname", keys: keys(tapKeys, []key{{"script", text, "script"}, {"downscript", text, "downscript"}, {"managed", toggle, ""}})},
	{name: "direct", help: "a macvtap device on an interface", first: "dev", keys: keys([]key{{"dev", text, ""}, {"mode", text, ""}}, tapKeys), needs: []string{"dev"}},
	{name: "network", help: "a switch or a bridge of this name", first: "name", keys: keys([]key{{"name", text, ""}, {"sock", socketPath, ""}, {"listen", socketPath, ""}, {"br", text, ""}, {"fd", text, "fd"}}, portKeys), needs: []string{"name"}},
	{name: "mcast", help: "a multicast group", first: "addr", keys: []key{{"addr", group, "mcast"}, {"localaddr", text, "localaddr"}}, needs: []string{"addr"}},
	{name: "server", help: "others connect to this address over TCP", first: "addr", keys: []key{{"addr", endpoint, "listen"}, {"sock", socketPath, ""}, {"listen", socketPath, ""}}, needs: []string{"addr"}},
	{name: "client", help: "connects to this address over TCP", first: "addr", keys: []key{{"addr", endpoint, "connect"}}, needs: []string{"addr"}},
	{name: "udp", help: "UDP from one address to another", first: "addr", keys: []key{{"addr", endpoint, "udp"}, {"local", endpoint, "localaddr"}}, needs: []string{"addr", "local"}},
	{name: "stream", help: "QEMU's -netdev stream", first: "addr", keys: []key{{"addr", text, ""}, {"server", toggle, ""}, {"reconnect", number, ""}}, needs: []string{"addr"}},
	{name: "dgram", help: "QEMU's -netdev dgram", first: "local", keys: []key{{"local", text, ""}, {"remote", text, ""}}},
	{name: "vde", help: "a VDE switch", first: "sock", keys: keys([]key{{"sock", text, "sock"}}, qemuKeys(number, "port"), qemuKeys(text, "group"), []key{{"mode", text, ""}}), needs: []string{"sock"}},
	{name: "l2tpv3", help: "an L2TPv3 pseudowire", keys: l2tpKeys, needs: []string{"src", "dst", "txsession"}},
	{name: "vhost-user", help: "shared memory with a vhost-user backend", first: "sock", keys: []key{{"sock", socketPath, ""}, {"server", toggle, ""}, {"reconnect", number, ""}}, needs: []string{"sock"}},
	{name: "hubport", help: "QEMU's own hub", first: "hubid", keys: []key{{"hubid", number, "hubid"}, {"netdev", text, "netdev"}}, needs: []string{"hubid"}},
	{name: "vdpa", help: "a vDPA device", first: "dev", keys: keys([]key{{"dev", text, "vhostdev"}}, qemuKeys(text, "vhostfd")), needs: []string{"dev"}},
	{name: "hostdev", help: "a PCI device of this host, by VFIO", first: "host", keys: []key{{"host", text, ""}}, needs: []string{"host"}},
	{name: "null", help: "a card without a network"},
	{name: "none", help: "no card"},
	{name: "vnic", first: "name", keys: []key{{"name", text, ""}}, refuse: "VNICs are a thing of illumos", cure: "on Linux use tap, bridge, or direct"},
	{name: "internal", first: "name", keys: []key{{"name", text, ""}}, refuse: "this is a network of VirtualBox's", cure: "use switch=NAME: a switch that is plugged into nothing else"},
	{name: "vds", first: "switchid", keys: []key{{"switchid", text, ""}, {"portid", text, ""}, {"portgroupid", text, ""}, {"connectionid", text, ""}}, refuse: "a distributed switch of VMware's", cure: "use switch=NAME, or bridge=BRIDGE"},
}

// aliases are other names of modes.
var aliases = map[string]string{"macvtap": "direct", "vhostuser": "vhost-user", "vhost-vdpa": "vdpa", "slirp": "user"}

// Modes lists the modes and what each is, for the help.
func Modes() (names, help []string) {
	for _, m := range modes {
		if m.refuse == "" {
			names, help = append(names, m.name), append(help, m.help)
		}
	}
	return names, help
}

func findMode(name string) (*mode, error) {
	if a, ok := aliases[name]; ok {
		name = a
	}
	names := make([]string, len(modes))
	for i := range modes {
		if modes[i].name == name {
			return &modes[i], nil
		}
		names[i] = modes[i].name
	}
	return nil, badf(hint(name, names), "--net: unknown mode %q", name)
}

func (m *mode) find(name string) (key, error) {
	all := keys(m.keys, cardKeys)
	names := make([]string, len(all))
	for i, k := range all {
		if k.name == name {
			return k, nil
		}
		names[i] = k.name
	}
	return key{}, badf(hint(name, names), "--net %s: unknown key %q", m.name, name)
}

// complete tells whether all keys are there that the mode needs.
func (m *mode) complete(n Net) error {
	for _, k := range m.needs {
		if !n.Has(k) {
			return badf("give it: --net "+m.name+","+k+"=...", "--net %s: %s= is missing", m.name, k)
		}
	}
	if l := n.Get("link"); l != "" && l != "up" && l != "down" {
		return badf("link=up or link=down", "--net %s: link=%s", m.name, l)
	}
	return nil
}
