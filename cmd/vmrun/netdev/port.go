package netdev

import (
	"errors"
	"strings"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// portKeys are what can be set on the switch's port that a card is plugged into,
// in the words of its port specs; the switch also says what they may be.
var portKeys = settings("vlan", "native", "tagged", "transparent", "isolated", "allowmac", "impair", "maclimit", "storm", "bpduguard", "rootguard")

func settings(names ...string) (keys []key) {
	for _, n := range names {
		keys = append(keys, key{n, setting, ""})
	}
	return keys
}

// checkSetting asks the switch whether a port can have this.
func (k key) checkSetting(value string) error {
	asked := value
	if k.name == "allowmac" {
		asked = fillOwn(value, frame.MAC{0x02})
	}
	_, err := vswitch.ParsePortConfig(k.name + "=" + comma(asked))
	if err == nil {
		return nil
	}
	if _, why, ok := strings.Cut(err.Error(), "="+asked+": "); ok {
		err = errors.New(strings.TrimPrefix(why, vswitch.ErrInvalid.Error()+": ")) // the caller has said of what
	}
	return err
}

// own is the card's own address, in allowmac=.
const own = "own"

// fillOwn puts the card's address into addresses joined by plus signs.
func fillOwn(text string, mac frame.MAC) string {
	parts := strings.Split(text, "+")
	for i, p := range parts {
		if p == own {
			parts[i] = mac.String()
		}
	}
	return strings.Join(parts, "+")
}

// WithOwn returns n, whose card has the address mac, with this instead of the word
// own in allowmac=.
func (n Net) WithOwn(mac frame.MAC) Net {
	if v := n.Get("allowmac"); v != "" {
		n = n.Set("allowmac", fillOwn(v, mac))
	}
	return n
}

// Port is what n asks of the switch's port, as stands behind the address in a
// port spec; "": nothing. A VLAN alone is an access port, whatever the switch's own
// default is for tagged frames.
func (n Net) Port() string {
	var set []string
	for _, k := range portKeys {
		switch {
		case n.Has(k.name):
			set = append(set, k.name+"="+comma(n.Get(k.name)))
		case k.name == "tagged" && n.Has("vlan"):
			set = append(set, "tagged=none")
		}
	}
	return strings.Join(set, ",")
}

// checkPort makes sure that nobody is plugged in without what was asked of the
// port: a switch's open door makes ports without settings, and a bridge knows
// only one, which the script of the caller sets.
func (n Net) checkPort() error {
	set := n.Port()
	switch {
	case set == "" || n.Has("listen") && !n.Has("br") && n.Get("door") != "vde":
		return nil
	case n.Mode == "bridge" || n.Mode == "tap":
		if n.Has("script") || n.Get("isolated") == "off" {
			return nil
		}
		return badf("use --net bridge=BRIDGE as root, for a VM with a disk or a kernel; or --net switch", "--net %s,isolated=on can be had only of a TAP that vmrun itself puts into the bridge", n.Mode)
	case n.Has("br"):
		return badf("use --net switch=NAME; for isolated=on alone --net bridge="+n.Get("br")+" as root", "--net %s: %s is set on a switch's port, and %s is a bridge", n.Mode, set, n.Get("br"))
	}
	return badf("leave door= out, and give the VM a disk or a kernel", "--net %s: %s is set on a port of the VM's own, and this one would be at the switch's open door", n.Mode, set)
}
