package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/client"
)

// completeTimeout keeps a hanging switch from hanging the shell.
const completeTimeout = 2 * time.Second

// completePorts completes the names of ports that are there now.
func (a *app) completePorts(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return a.live(cmd, func(ctx context.Context, c *client.Client) (names []cobra.Completion, _ error) {
		ports, err := c.Ports(ctx)
		for _, p := range ports {
			names = append(names, cobra.CompletionWithDesc(p.Name, p.Kind+" "+p.State+" "+peerText(p)))
		}
		return names, err
	})
}

// completeSwitch completes the names of switches that are there now.
func (a *app) completeSwitch(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	var names []cobra.Completion
	for _, f := range client.Find(ctx) {
		if f.Err == nil {
			names = append(names, cobra.CompletionWithDesc(switchRef(f.Dir), f.Info.User), cobra.CompletionWithDesc(filepath.Clean(f.Dir), f.Info.User))
		}
	}
	return names, cobra.ShellCompDirectiveDefault
}
