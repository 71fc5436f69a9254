package vmfile

import (
	"errors"
	"strings"

	"vnetkit/cmd/vmrun/kdl"
	"vnetkit/cmd/vmrun/netdev"
)

// defaultBridge is vmctl's.
const defaultBridge = "br0"

// types are vmctl's. Each has what --net calls it, and what its settings are
// called there.
var types = map[string]struct {
	mode     string
	settings []setting
}{
	"user": {"user", []setting{{"mac", "mac"}}}, // mac is ours: vmctl has none
	"tap":  {"bridge", []setting{{"bridge", "br"}, {"mac", "mac"}}},
	"vnic": {"vnic", []setting{{"name", "name"}, {"mac", "mac"}}},
	"none": {mode: "none"},
}

type setting struct{ name, key string }

// network understands a VM's card.
func (v *VM) network(n *kdl.Node) (net netdev.Net, err error) {
	name := "user"
	if len(n.Args) > 0 {
		if name, err = text(n); err != nil {
			return net, err
		}
	}
	typ, ok := types[name]
	if !ok {
		return net, lineError(n.Line, "unknown network type %q; there are user, tap, vnic, none", name)
	}
	var known []string
	words := []string{typ.mode}
	for _, s := range typ.settings {
		known = append(known, s.name)
		value, line, err := s.of(n)
		switch {
		case err != nil:
			return net, err
		case value == "" && s.name == "bridge":
			value = defaultBridge
		case value == "":
			continue
		case s.name == "mac":
			if _, err := netdev.ParseMAC(value); err != nil {
				return net, lineError(line, "network mac: %v", err)
			}
		}
		words = append(words, s.key+"="+strings.ReplaceAll(value, ",", ",,"))
	}
	v.extras(n, 1, known...)
	v.strangers(n, known...)
	if net, err = netdev.ParseNet(strings.Join(words, ",")); err != nil {
		var bad *netdev.UsageError
		if errors.As(err, &bad) && bad.Cure != "" {
			return net, &netdev.UsageError{What: lineError(n.Line, "%v", err).Error(), Cure: bad.Cure}
		}
		return net, lineError(n.Line, "%v", err)
	}
	return net, nil
}

// of is what a network has for a setting, in its block or its properties.
func (s setting) of(n *kdl.Node) (value string, line int, err error) {
	prop, has := n.Props[s.name]
	line = prop.Line
	if has && (prop.Kind != kdl.String || prop.Text == "") {
		return "", line, lineError(line, `network %s: want a text, as in %s="..."`, s.name, s.name)
	}
	value = prop.Text
	for _, c := range n.Children {
		if c.Name != s.name {
			continue
		}
		inBlock, err := text(c)
		if err != nil {
			return "", c.Line, err
		}
		if value != "" && value != inBlock {
			return "", c.Line, lineError(c.Line, "network %s is %q here and %q before", s.name, inBlock, value)
		}
		value, line = inBlock, c.Line
	}
	return value, line, nil
}
