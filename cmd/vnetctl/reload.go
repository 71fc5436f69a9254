package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) reloadCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Make a switch what its config file says now, as SIGHUP does",
		Long: `Make a switch what its config file says now, as SIGHUP does.

Only the difference is applied, all of it or, if any part fails, nothing. Ports
that do not change keep their links and counters; ports with other settings keep
their links. What was changed with other verbs and not saved is undone:
vnetctl config diff shows beforehand what will happen.`,
		Example: `  vnetctl config diff; vnetctl reload
  vnetctl -s lab reload --json`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cannot(a.reload(cmd.Context()), "reload")
		},
	}
}

func (a *app) reload(ctx context.Context) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Reload(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	for _, text := range r.Changes {
		fmt.Fprintln(a.out, printable(text))
	}
	for _, text := range r.Restart {
		fmt.Fprintf(a.out, "not changed, takes a restart: %s\n", printable(text))
	}
	for _, text := range r.Overridden {
		fmt.Fprintf(a.out, "not changed, overruled: %s\n", printable(text))
	}
	fmt.Fprintln(a.out, printable(r.Summary))
	return nil
}
