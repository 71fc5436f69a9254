package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

func (a *app) mirrorCommand() *cobra.Command {
	cmd := a.mirrorShow()
	cmd.Use, cmd.Args = "mirror", a.verb
	cmd.Short = "Show and change ports that only show what others carry"
	cmd.AddCommand(a.mirrorShow(), a.mirrorSet(), a.mirrorClear())
	return cmd
}

func (a *app) mirrorShow() *cobra.Command {
	return a.outputs(&cobra.Command{
		Use:   "show",
		Short: "List mirror ports and what they show",
		Example: `  vnetctl mirror show
  vnetctl mirror -o wide`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cannot(a.showMirrors(cmd.Context()), "list mirrors")
		},
	})
}

// mirrored is a source of a mirror port.
type mirrored struct {
	Mirror    string `json:"mirror"`    // the port that shows
	Port      string `json:"port"`      // the port that is shown, or "all"
	Direction string `json:"direction"` // "in", "out" or "both"
	Present   bool   `json:"present"`   // whether there is such a port now
}

// mirrorList is what mirror show --json prints.
type mirrorList struct {
	Mirrors []mirrored `json:"mirrors"`
}

func (a *app) showMirrors(ctx context.Context) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ports, err := c.Ports(ctx)
	if err != nil {
		return err
	}
	t := &table{columns: []column{
		{head: "MIRROR"}, {head: "SHOWS"}, {head: "DIRECTION"}, {head: "STATE", paint: paintState}, {head: "TX", right: true}, {head: "DROPS", right: true},
		{head: "PEER", wide: true}, {head: "NOTE", wide: true},
	}}
	list := mirrorList{[]mirrored{}}
	for _, p := range ports {
		if !showsMirror(p) {
			continue
		}
		t.names = append(t.names, p.Name)
		for _, m := range mirrorsOf(p, ports) {
			note := note(p)
			if !m.Present {
				note = "there is no such port now"
			}
			list.Mirrors = append(list.Mirrors, m)
			t.add(p.Name, m.Port, m.Direction, p.State, humanUint(p.Tx.Frames), humanUint(sum(p.Drops)), peerText(p), note)
		}
	}
	if a.json {
		return a.printJSON(list)
	}
	a.table(t)
	return nil
}

// mirrorsOf takes apart what p shows.
func mirrorsOf(p api.Port, ports []api.Port) (list []mirrored) {
	for source := range strings.SplitSeq(p.Mirror, "+") {
		ref, dir, _ := strings.Cut(source, ":")
		m := mirrored{Mirror: p.Name, Port: ref, Direction: dir, Present: ref == "all"}
		for _, q := range ports {
			if q.Name == ref || fmt.Sprint(q.ID) == ref {
				m.Port, m.Present = q.Name, true
			}
		}
		list = append(list, m)
	}
	return list
}

func (a *app) mirrorSet() *cobra.Command {
	var later bool
	cmd := &cobra.Command{
		Use:   "set PORT SOURCE...",
		Short: "Make a port show what others carry, and nothing else",
		Long: `Make a port show copies of what others carry. It takes no part in the switch any
more: what its peer sends is dropped. The sources replace those before.

A SOURCE is a port, or all; PORT:in shows only what comes in there, PORT:out
only what goes out. Frames are shown as they are on that link, tags and all. A
source that gets another name stays one.

To look at frames without a port of its own, see vnetctl capture.`,
		Example: `  vnetctl mirror set sniffer vm1 vm2:in
  vnetctl mirror set sniffer all`,
		Args: arguments(2, many, "PORT and at least one SOURCE"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.completePorts(cmd, args, word)
			}
			return a.completeSources(cmd, args, word)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.setMirror(cmd.Context(), args[0], args[1:], later), "make port %s a mirror", args[0])
		},
	}
	cmd.Flags().BoolVar(&later, "later", false, "name sources that are not there yet")
	return cmd
}

func (a *app) setMirror(ctx context.Context, ref string, sources []string, later bool) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	mirror := strings.ReplaceAll(strings.Join(sources, "+"), ",", "+")
	if !later {
		if err := checkSources(ctx, c, mirror); err != nil {
			return err
		}
	}
	p, err := c.SetPort(ctx, ref, api.PortChange{Mirror: &mirror})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(p)
	}
	fmt.Fprintf(a.out, "port %s (%d) shows %s\n", p.Name, p.ID, p.Mirror)
	return nil
}

// checkSources finds the ports that a mirror is to show.
func checkSources(ctx context.Context, c *client.Client, mirror string) error {
	for source := range strings.SplitSeq(mirror, "+") {
		port, _, _ := strings.Cut(source, ":")
		if port == "all" || port == "none" || port == "" {
			continue
		}
		if _, err := c.Port(ctx, port); err != nil {
			var e *api.Error
			if errors.As(err, &e) && e.Code == api.ErrNoPort {
				e.Hint = "vnetctl ports; if it comes later: vnetctl mirror set --later"
			}
			return err
		}
	}
	return nil
}

func (a *app) mirrorClear() *cobra.Command {
	return &cobra.Command{
		Use:               "clear PORT...",
		Aliases:           []string{"del", "delete", "remove", "rm"},
		Short:             "Make mirror ports ordinary ports again",
		Example:           "  vnetctl mirror clear sniffer",
		Args:              arguments(1, many, "at least one PORT"),
		ValidArgsFunction: a.completeMirrors,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.eachPort(cmd.Context(), args, "clear mirror %s", func(ctx context.Context, c *client.Client, ref string) error {
				none := "none"
				p, err := c.SetPort(ctx, ref, api.PortChange{Mirror: &none})
				if err == nil && !a.json {
					fmt.Fprintf(a.out, "port %s (%d) shows nothing\n", p.Name, p.ID)
				}
				return err
			})
		},
	}
}
