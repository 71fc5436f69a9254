package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// fdbFlags select addresses.
type fdbFlags struct {
	client.FDBFilter
	static, learned bool
}

func (f *fdbFlags) add(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Port, "port", "", "only those behind this port")
	cmd.Flags().IntVar(&f.VLAN, "vlan", 0, "only those in this VLAN")
	cmd.Flags().StringVar(&f.MAC, "mac", "", "only this address")
	_ = cmd.RegisterFlagCompletionFunc("port", a.completePorts)
	_ = cmd.RegisterFlagCompletionFunc("vlan", a.completeVLANs)
	_ = cmd.RegisterFlagCompletionFunc("mac", a.completeMACs)
}

func (a *app) fdbCommand() *cobra.Command {
	cmd := a.fdbShow()
	cmd.Use, cmd.Args = "fdb", a.verb
	cmd.Short = "Show and change the forwarding table: which address is behind which port"
	cmd.AddCommand(a.fdbShow(), a.fdbAdd(), a.fdbDel(), a.fdbFlush())
	return cmd
}

func (a *app) fdbShow() *cobra.Command {
	var f fdbFlags
	cmd := &cobra.Command{
		Use:   "show",
		Short: "List known addresses by VLAN",
		Example: `  vnetctl fdb show
  vnetctl fdb --vlan 10 --learned
  vnetctl fdb --port vm1 -o name`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.static && f.learned {
				e := usage("fdb: --static and --learned leave nothing over")
				e.cause, e.cure = "each shows only its own kind", "vnetctl fdb, which shows both"
				return e
			}
			return cannot(a.showFDB(cmd.Context(), f), "list addresses")
		},
	}
	f.add(a, cmd)
	cmd.Flags().BoolVar(&f.static, "static", false, "only static ones")
	cmd.Flags().BoolVar(&f.learned, "learned", false, "only learned ones")
	return a.outputs(cmd)
}

func (a *app) showFDB(ctx context.Context, f fdbFlags) error {
	if f.static || f.learned {
		f.Static = &f.static
	}
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	entries, err := c.FDB(ctx, f.FDBFilter)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(api.FDB{Entries: entries})
	}
	t := &table{columns: []column{{head: "VLAN", right: true}, {head: "MAC"}, {head: "PORT", right: true}, {head: "NAME"}, {head: "AGE", right: true}, {head: "SECONDS", right: true, wide: true}}}
	for _, e := range entries {
		seen := "static"
		if !e.Static {
			seen = age(time.Duration(e.AgeSeconds) * time.Second)
		}
		t.add(strconv.Itoa(e.VLAN), e.MAC, strconv.Itoa(e.Port), e.PortName, seen, strconv.FormatInt(e.AgeSeconds, 10))
		t.names = append(t.names, e.MAC)
	}
	a.table(t)
	return nil
}

func (a *app) fdbAdd() *cobra.Command {
	var vlan int
	cmd := &cobra.Command{
		Use:     "add MAC PORT",
		Short:   "Add a static address: it neither ages nor moves",
		Example: "  vnetctl fdb add 52:54:00:12:34:56 vm1 --vlan 10",
		Args:    arguments(2, 2, "MAC and PORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.addFDB(cmd.Context(), api.FDBAdd{MAC: args[0], VLAN: vlan, Port: args[1]}), "add address %s to port %s", args[0], args[1])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return a.completePorts(cmd, args, word)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().IntVar(&vlan, "vlan", 0, "VLAN of the address (default: the port's own)")
	_ = cmd.RegisterFlagCompletionFunc("vlan", a.completeVLANs)
	return cmd
}

func (a *app) addFDB(ctx context.Context, add api.FDBAdd) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	e, err := c.AddFDB(ctx, add)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(e)
	}
	fmt.Fprintf(a.out, "%s is behind port %s (%d) in VLAN %d, static\n", e.MAC, e.PortName, e.Port, e.VLAN)
	return nil
}

func (a *app) fdbDel() *cobra.Command {
	var f fdbFlags
	cmd := &cobra.Command{
		Use:               "del MAC",
		Aliases:           []string{"delete", "remove", "rm"},
		Short:             "Forget an address, static or learned; one that is not there is no error",
		Example:           "  vnetctl fdb del 52:54:00:12:34:56 --vlan 10",
		Args:              arguments(1, 1, "one MAC"),
		ValidArgsFunction: a.completeMACs,
		RunE: func(cmd *cobra.Command, args []string) error {
			all := true
			f.MAC, f.Static = args[0], &all
			return cannot(a.flush(cmd.Context(), f.FDBFilter), "forget address %s", args[0])
		},
	}
	cmd.Flags().StringVar(&f.Port, "port", "", "only behind this port")
	cmd.Flags().IntVar(&f.VLAN, "vlan", 0, "only in this VLAN")
	_ = cmd.RegisterFlagCompletionFunc("port", a.completePorts)
	_ = cmd.RegisterFlagCompletionFunc("vlan", a.completeVLANs)
	return cmd
}

func (a *app) fdbFlush() *cobra.Command {
	var f fdbFlags
	cmd := &cobra.Command{
		Use:   "flush",
		Short: "Forget learned addresses; their next frames are flooded",
		Example: `  vnetctl fdb flush
  vnetctl fdb flush --port vm1 --static`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.static {
				f.Static = &f.static
			}
			return cannot(a.flush(cmd.Context(), f.FDBFilter), "forget addresses")
		},
	}
	f.add(a, cmd)
	cmd.Flags().BoolVar(&f.static, "static", false, "static ones too")
	return cmd
}

func (a *app) flush(ctx context.Context, f client.FDBFilter) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	n, err := c.FlushFDB(ctx, f)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(api.Removed{Removed: n})
	}
	fmt.Fprintf(a.out, "%d forgotten\n", n)
	return nil
}
