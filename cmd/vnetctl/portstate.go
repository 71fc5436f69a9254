package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// portSwitch makes the verbs up and down.
func (a *app) portSwitch(verb string, down bool) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " PORT...",
		Short:             map[bool]string{false: "Let ports carry frames", true: "Let ports carry nothing; they stay plugged in"}[down],
		Example:           "  vnetctl port " + verb + " vm1 vm2",
		Args:              arguments(1, many, "at least one PORT"),
		ValidArgsFunction: a.completePorts,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.eachPort(cmd.Context(), args, "set port %s "+verb, func(ctx context.Context, c *client.Client, ref string) error {
				p, err := c.SetPort(ctx, ref, api.PortChange{Down: &down})
				if err == nil && !a.json {
					fmt.Fprintf(a.out, "port %s (%d) is %s\n", p.Name, p.ID, p.State)
				}
				return err
			})
		},
	}
}

func (a *app) portRemove() *cobra.Command {
	return &cobra.Command{
		Use:     "remove PORT...",
		Aliases: []string{"rm", "delete", "del"},
		Short:   "Remove ports and doors; what is not there is no error",
		Long: `Remove ports by number or name, and doors by the name that vnetctl info shows.

A client that was plugged in is cut off. Removing a door leaves the ports of its
clients as they are. What is not there is no error: the exit code is 0, and a
note says so.`,
		Example: `  vnetctl port remove vm1
  vnetctl port remove stream:tcp:127.0.0.1:5558`,
		Args:              arguments(1, many, "at least one PORT"),
		ValidArgsFunction: a.completePortsAndDoors,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.eachPort(cmd.Context(), args, "remove port %s", func(ctx context.Context, c *client.Client, ref string) error {
				err := c.RemovePort(ctx, ref)
				switch {
				case errors.Is(err, api.ErrNoPort):
					fmt.Fprintf(a.err, "vnetctl: nothing to remove: %s\n", printable(err.Error()))
					return nil
				case err == nil && !a.json:
					fmt.Fprintf(a.out, "port %s removed\n", printable(ref))
				}
				return err
			})
		},
	}
}

// eachPort does something to several ports. One that fails does not keep it
// from the others; the exit code is the worst.
func (a *app) eachPort(ctx context.Context, refs []string, what string, do func(context.Context, *client.Client, string) error) error {
	c, err := a.dial()
	if err != nil {
		return cannot(err, what, refs[0])
	}
	defer c.Close()
	worst := api.ExitOK
	for _, ref := range refs {
		if err := do(ctx, c, ref); err != nil {
			worst = max(worst, a.report(cannot(err, what, ref)))
		}
	}
	if worst != api.ExitOK {
		return errSilent(worst)
	}
	return nil
}
