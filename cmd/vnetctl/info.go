package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
)

func (a *app) infoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Show the switch as a whole",
		Example: `  vnetctl info
  vnetctl -s lab info --json | jq .fdb`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cannot(a.info(cmd), "show the switch")
		},
	}
}

func (a *app) info(cmd *cobra.Command) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	info, err := c.Info(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(info)
	}
	mode := "learning"
	if info.Hub {
		mode = "hub: floods everything"
	}
	fdb := fmt.Sprintf("%d of %d addresses, ageing %gs", info.FDB.Entries, info.FDB.Cap, info.AgeingSeconds)
	if info.FDB.Unlearned > 0 {
		fdb += fmt.Sprintf("; %d not learned because of a limit", info.FDB.Unlearned)
	}
	rights := "may look, not change"
	if info.MayChange {
		rights = "may change it"
	}
	t := &table{columns: []column{{}, {}}}
	t.add("switch", info.Name)
	t.add("directory", info.Dir)
	t.add("process", fmt.Sprintf("pid %d, user %s, up %s", info.PID, info.User, age(uptime(info))))
	t.add("version", fmt.Sprintf("%s (commit %s)", info.Version, info.Commit))
	t.add("mode", mode)
	t.add("stp", stpMode(info.STP))
	for i, l := range info.Loops {
		t.add([]string{"LOOP", " "}[min(i, 1)], fmt.Sprintf("frames go round between %s and %s (%d moves of addresses in a second)", l.Ports[0], l.Ports[1], l.MovesPerSecond))
	}
	t.add("ports", fmt.Sprint(info.Ports))
	t.add("fdb", fdb)
	t.add("workers", fmt.Sprint(info.Workers))
	for i, d := range info.Doors {
		t.add([]string{"doors", " "}[min(i, 1)], d.Spec)
	}
	if info.Captures > 0 {
		t.add("captures", fmt.Sprint(info.Captures))
	}
	t.add("you", rights)
	t.print(a.out, false, a.colour)
	return nil
}

func uptime(info api.Info) time.Duration {
	return time.Duration(info.UptimeSeconds * float64(time.Second))
}

// drops writes counts by reason: "mtu 3, ring-full 120".
func drops(by map[string]uint64) string {
	var list []string
	for _, reason := range sortedKeys(by) {
		list = append(list, fmt.Sprintf("%s %d", reason, by[reason]))
	}
	return strings.Join(list, ", ")
}
