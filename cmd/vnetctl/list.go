package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the switches of this host",
		Long: `List the switches of this host: those in the usual directories, and all others
whose sockets the kernel shows. A switch that cannot be asked is listed with the
reason; that is no error of this command.`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.list(cmd.Context()) },
	}
}

// listed is an element of what list --json prints.
type listed struct {
	Dir   string     `json:"dir"`
	Info  *api.Info  `json:"info,omitempty"`
	Error *api.Error `json:"error,omitempty"`
}

func (a *app) list(ctx context.Context) error {
	found := client.Find(ctx)
	if a.json {
		return a.printJSON(listAnswer(found))
	}
	t := &table{columns: []column{
		{head: "NAME"}, {head: "DIRECTORY"}, {head: "PID", right: true}, {head: "USER"}, {head: "UPTIME", right: true},
		{head: "PORTS", right: true}, {head: "VERSION"}, {head: "NOTE"},
	}}
	for _, f := range found {
		if f.Err != nil {
			t.add(filepath.Base(f.Dir), f.Dir, "", "", "", "", "", f.Err.Error())
			continue
		}
		t.add(f.Info.Name, f.Dir, strconv.Itoa(f.Info.PID), f.Info.User, age(uptime(f.Info)), strconv.Itoa(f.Info.Ports), f.Info.Version, "")
	}
	if len(found) == 0 {
		fmt.Fprintln(a.err, "vnetctl: no switch runs on this host, as far as you may see; start one with: vswitch")
		return nil
	}
	a.table(t)
	return nil
}

func listAnswer(found []client.Found) any {
	list := make([]listed, 0, len(found))
	for _, f := range found {
		l := listed{Dir: f.Dir}
		if f.Err == nil {
			l.Info = &f.Info
		} else {
			_, e, _ := parts(f.Err)
			l.Error = &e
		}
		list = append(list, l)
	}
	return struct {
		Switches []listed `json:"switches"`
	}{list}
}

// switchRef is the shortest that -s can be given to mean dir.
func switchRef(dir string) string {
	name := filepath.Base(dir)
	if slices.Contains(api.Parents(), filepath.Dir(dir)) {
		if first, err := api.FindDir(name); err == nil && first == dir {
			return name
		}
	}
	return dir
}
