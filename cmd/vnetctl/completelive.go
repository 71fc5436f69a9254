package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/client"
	"vnetkit/switch/frame"
)

// maxCompletedVLANs keeps a port that is in all VLANs from flooding a terminal.
const maxCompletedVLANs = 64

// live completes what a switch says now. One that does not answer completes
// nothing.
func (a *app) live(cmd *cobra.Command, ask func(context.Context, *client.Client) ([]cobra.Completion, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := a.dial()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	list, err := ask(ctx, c)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}

// completeVLANs completes the VLANs that ports name.
func (a *app) completeVLANs(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.live(cmd, func(ctx context.Context, c *client.Client) (list []cobra.Completion, _ error) {
		ports, err := c.Ports(ctx)
		if err != nil {
			return nil, err
		}
		rows, err := vlanRows(ports)
		for _, r := range rows {
			for v := frame.MinVID; v <= frame.MaxVID && !r.Others && len(list) < maxCompletedVLANs; v++ {
				if r.set.Has(v) {
					list = append(list, cobra.CompletionWithDesc(fmt.Sprint(v), strings.Join(slices.Concat(r.Untagged, r.Tagged), " ")))
				}
			}
		}
		return list, err
	})
}

// completeVLANWord completes what vlan set takes after the port.
func (a *app) completeVLANWord(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := args[len(args)-1]
	if before == "native" {
		return natives, cobra.ShellCompDirectiveNoFileComp
	}
	if slices.Contains(vlanKeys, before) && before != "transparent" {
		return a.completeVLANs(cmd, args, word)
	}
	vlans, directive := a.completeVLANs(cmd, args, word)
	if key, _, ok := strings.Cut(word, "="); ok {
		if key == "native" {
			vlans = slices.Clone(natives)
		}
		for i := range vlans {
			vlans[i] = key + "=" + vlans[i]
		}
		return vlans, directive
	}
	words := []cobra.Completion{
		cobra.CompletionWithDesc("access", "one VLAN without tags"), cobra.CompletionWithDesc("trunk", "all or some VLANs with tags"),
		"pvid=", "tagged=", "native=", cobra.CompletionWithDesc("transparent=on", "tags are payload"),
	}
	return append(words, vlans...), directive | cobra.ShellCompDirectiveNoSpace
}

// completeSources completes what a mirror can show.
func (a *app) completeSources(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	port, _, directed := strings.Cut(word, ":")
	if directed {
		return []cobra.Completion{port + ":in", port + ":out", port + ":both"}, cobra.ShellCompDirectiveNoFileComp
	}
	names, directive := a.completePorts(cmd, args, word)
	return append(names, cobra.CompletionWithDesc("all", "every port")), directive
}

// completeMirrors completes the ports that show others.
func (a *app) completeMirrors(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.live(cmd, func(ctx context.Context, c *client.Client) (list []cobra.Completion, _ error) {
		ports, err := c.Ports(ctx)
		for _, p := range ports {
			if showsMirror(p) {
				list = append(list, cobra.CompletionWithDesc(p.Name, "shows "+p.Mirror))
			}
		}
		return list, err
	})
}

// completePortsAndDoors completes what port remove takes.
func (a *app) completePortsAndDoors(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list, directive := a.completePorts(cmd, args, word)
	doors, _ := a.live(cmd, func(ctx context.Context, c *client.Client) (list []cobra.Completion, _ error) {
		info, err := c.Info(ctx)
		for _, d := range info.Doors {
			list = append(list, cobra.CompletionWithDesc(d.Name, "door"))
		}
		return list, err
	})
	return append(list, doors...), directive
}

// completeMACs completes known addresses, for as many as a person may look
// through.
func (a *app) completeMACs(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.live(cmd, func(ctx context.Context, c *client.Client) (list []cobra.Completion, _ error) {
		info, err := c.Info(ctx)
		if err != nil || info.FDB.Entries > 1000 {
			return nil, err
		}
		entries, err := c.FDB(ctx, client.FDBFilter{})
		for _, e := range entries {
			list = append(list, cobra.CompletionWithDesc(e.MAC, e.PortName+" vlan "+strconv.Itoa(e.VLAN)))
		}
		return list, err
	})
}
