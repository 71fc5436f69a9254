package main

import (
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/cmd/vmrun/netdev"
)

// completeVM offers what a verb's arguments can be: the names of the VMs that there
// are, and where the use says so up and down.
func completeVM(use string) cobra.CompletionFunc {
	words := strings.Fields(use)[1:]
	return func(_ *cobra.Command, args []string, _ string) (offers []string, _ cobra.ShellCompDirective) {
		switch {
		case len(words) > 0 && len(args) == 0:
			vms, _, _ := all()
			for _, v := range vms {
				offers = append(offers, v.Name)
			}
		case len(args) > 0 && words[len(words)-1] == "up|down" && len(args) < len(words):
			offers = []string{"up", "down"}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlags offers the modes of a card and the accelerators.
func completeFlags(cmd *cobra.Command) {
	names, help := netdev.Modes()
	var modes []string
	for i, name := range names {
		modes = append(modes, cobra.CompletionWithDesc(name, help[i]))
	}
	// They fail only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("net", cobra.FixedCompletions(modes, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
	_ = cmd.RegisterFlagCompletionFunc("accel", cobra.FixedCompletions([]string{"auto", "kvm", "tcg"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("vmfile", "kdl")
	_ = cmd.MarkFlagFilename("xml", "xml")
}
