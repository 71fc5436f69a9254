package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
)

func (a *app) stpCommand() *cobra.Command {
	show := func(cmd *cobra.Command, _ []string) error {
		return cannot(a.showSTP(cmd), "show the spanning tree")
	}
	cmd := &cobra.Command{
		Use:   "stp",
		Short: "Show and change the spanning tree, which breaks rings",
		Long: `Show and change the spanning tree, which breaks rings of switches.

Modes: off; rstp, one tree for all VLANs (802.1D-2004, with STP for neighbours
that know no other); fstp, a tree for each VLAN as vde_switch -F has it. In both,
ports where a vde_switch -F is heard speak its dialect.

What is about one port is set with vnetctl port set: edge, cost, priority,
bpduguard, rootguard.`,
		Example: `  vnetctl stp
  vnetctl stp set mode=rstp priority=4096
  vnetctl port set vm1 edge=on bpduguard=on`,
		Args: a.verb,
		RunE: show,
	}
	cmd.AddCommand(
		&cobra.Command{
			Use:   "show",
			Short: "Show the trees and each port's place in them",
			Long: `Show the trees and each port's place in them.

Roles: root is the way to the root, designated is others' way, alternate and
backup break a ring. DESIGNATED is the best bridge and port on that cable.`,
			Example: `  vnetctl stp show
  vnetctl stp show --json | jq '.trees[].ports[] | select(.state != "forwarding")'`,
			Args: arguments(0, 0, "flags only"),
			RunE: show,
		},
		a.stpSet(),
	)
	return cmd
}

// stpSettings are the keys of stp set.
var stpSettings = map[string]func(*api.STPChange, string) error{
	"mode":          func(c *api.STPChange, v string) error { c.Mode = &v; return nil },
	"mac":           func(c *api.STPChange, v string) error { c.MAC = &v; return nil },
	"priority":      func(c *api.STPChange, v string) error { return number(&c.Priority, v) },
	"hello":         func(c *api.STPChange, v string) error { return number(&c.HelloSeconds, v) },
	"max-age":       func(c *api.STPChange, v string) error { return number(&c.MaxAgeSeconds, v) },
	"forward-delay": func(c *api.STPChange, v string) error { return number(&c.ForwardDelaySeconds, v) },
}

func (a *app) stpSet() *cobra.Command {
	return &cobra.Command{
		Use:   "set KEY=VALUE...",
		Short: "Change the spanning tree",
		Long: `Change the spanning tree. Several settings change at once or not at all.

  mode=M            off, rstp or fstp
  priority=N        the bridge with the lowest is the root: 0 to 65535, by custom
                    a multiple of 4096
  mac=ADDRESS       the switch's address, which decides between equal priorities
  hello=N           seconds from one hello to the next, 1 to 10
  max-age=N         seconds until a root is given up, 6 to 40
  forward-delay=N   seconds before each step where a neighbour cannot agree, 4 to 30`,
		Example: `  vnetctl stp set mode=rstp
  vnetctl stp set mode=off`,
		Args: arguments(1, many, "at least one KEY=VALUE"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var keys []cobra.Completion
			for _, key := range sortedKeys(stpSettings) {
				keys = append(keys, key+"=")
			}
			return keys, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var change api.STPChange
			for _, arg := range args {
				key, value, ok := strings.Cut(arg, "=")
				set := stpSettings[key]
				if !ok || set == nil {
					e := usage("stp set: %q is not a setting", arg)
					e.cause, e.cure = "the keys are "+strings.Join(sortedKeys(stpSettings), ", "), "vnetctl stp set --help"
					return e
				}
				if err := set(&change, value); err != nil {
					e := usage("stp set: %s: %v", arg, err)
					e.cure = "vnetctl stp set --help"
					return e
				}
			}
			return cannot(a.setSTP(cmd, change), "change the spanning tree")
		},
	}
}

func (a *app) setSTP(cmd *cobra.Command, change api.STPChange) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.SetSwitch(cmd.Context(), api.SwitchChange{STP: &change}); err != nil {
		return err
	}
	tree, err := c.SpanningTree(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(tree)
	}
	fmt.Fprintln(a.out, "spanning tree: "+stpMode(tree.STPSettings))
	return nil
}

func (a *app) showSTP(cmd *cobra.Command) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	tree, err := c.SpanningTree(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(tree)
	}
	fmt.Fprintln(a.out, "spanning tree: "+stpMode(tree.STPSettings))
	if len(tree.Trees) == 0 {
		return nil
	}
	for _, t := range tree.Trees {
		fmt.Fprintln(a.out, treeText(t))
	}
	a.table(stpTable(tree.Trees))
	return nil
}

// treeText says in a line where a tree's root is.
func treeText(t api.Tree) string {
	vlan := "all VLANs"
	if t.VLAN > 0 {
		vlan = fmt.Sprintf("VLAN %d", t.VLAN)
	}
	root := "this switch is the root"
	if t.RootPort != "" {
		root = fmt.Sprintf("root %s by %s, cost %d", t.Root, t.RootPort, t.RootCost)
	}
	return fmt.Sprintf("%s: %s (id %s), %d topology changes", vlan, root, t.ID, t.Changes)
}

func stpTable(trees []api.Tree) *table {
	t := &table{columns: []column{
		{head: "VLAN"}, {head: "PORT"}, {head: "ROLE"}, {head: "STATE"}, {head: "COST", right: true}, {head: "EDGE"}, {head: "SPEAKS"},
		{head: "DESIGNATED"}, {head: "RX", right: true}, {head: "TX", right: true}, {head: "NOTE"},
	}}
	for _, tree := range trees {
		vlan := "all"
		if tree.VLAN > 0 {
			vlan = strconv.Itoa(tree.VLAN)
		}
		for _, p := range tree.Ports {
			note := ""
			switch {
			case p.Guarded:
				note = "root guard: a better root is behind it"
			case p.Disputed:
				note = "the neighbour does not hear us"
			}
			edge := map[bool]string{true: "yes", false: "no"}[p.Edge]
			t.add(vlan, p.Name, p.Role, p.State, strconv.FormatUint(p.Cost, 10), edge, p.Speaks,
				p.DesignatedBridge+"/"+p.DesignatedPort, humanUint(p.RxBPDUs), humanUint(p.TxBPDUs), note)
			t.names = append(t.names, p.Name)
		}
	}
	return t
}

// stpMode says how the spanning tree is set.
func stpMode(s api.STPSettings) string {
	if s.Mode == "off" || s.Mode == "" {
		return "off"
	}
	return fmt.Sprintf("%s, priority %d, hello %d s, max-age %d s, forward-delay %d s", s.Mode, s.Priority, s.HelloSeconds, s.MaxAgeSeconds, s.ForwardDelaySeconds)
}

// stpText is a port's place in the tree in two words.
func stpText(p *api.PortTree) string {
	if p == nil {
		return ""
	}
	text := p.Role + "/" + p.State
	if p.Guarded {
		text += " (root guard)"
	}
	if p.Blocked > 0 && p.State == "forwarding" {
		text += fmt.Sprintf(" (blocked in %d)", p.Blocked)
	}
	return text
}
