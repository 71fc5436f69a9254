package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

func (a *app) listCommand() *cobra.Command {
	var interval time.Duration
	var ctys, bare, terse bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the switches of this host",
		Long: `List the switches of this host: those in the usual directories, and all others
whose sockets the kernel shows. A switch that cannot be asked is listed with the
reason; that is no error of this command.

RX/s are the frames that came in per second during --interval: each switch is
asked twice, all at the same time. With --interval 0 no rates are shown, and the
answer comes at once. -o name prints what -s takes.`,
		Example: `  vnetctl list
  vnetctl list --interval 0 -o name
  vnetctl list -X                                  for scripts that know ctys-vnetctl
  vnetctl list --json | jq '.switches[] | {dir, rate: .rates.rx_frames_per_second}'`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval < 0 {
				return usage("list: --interval %v is before now", interval)
			}
			a.noHeaders = a.noHeaders || bare || terse
			if (ctys || terse) && !a.json {
				a.ctysTable(client.Find(cmd.Context()), false)
				return nil
			}
			return a.list(cmd.Context(), interval)
		},
	}
	cmd.Flags().BoolVar(&ctys, "ctys", false, "print the table of ctys-vnetctl: directory, owner, group, access, host")
	cmd.Flags().BoolVarP(&bare, "no-title", "n", false, "without the header, as --no-headers")
	cmd.Flags().BoolVarP(&terse, "terse", "X", false, "the table of ctys-vnetctl without its header")
	cmd.Flags().DurationVar(&interval, "interval", 200*time.Millisecond, "time over which to count frames; 0: no rates")
	return a.outputs(cmd)
}

// listed is an element of what list --json prints.
type listed struct {
	Dir   string     `json:"dir"`
	Info  *api.Info  `json:"info,omitempty"`
	Error *api.Error `json:"error,omitempty"`

	Rates *client.Rate `json:"rates,omitempty"` // sums over its ports
}

// listOfSwitches is what list --json prints.
type listOfSwitches struct {
	Switches []listed `json:"switches"`
}

func (a *app) list(ctx context.Context, interval time.Duration) error {
	found := client.Find(ctx)
	var rates []*client.Rate
	if interval > 0 && a.form != formName {
		rates = ratesOf(ctx, found, interval)
	}
	if a.json {
		return a.printJSON(listAnswer(found, rates))
	}
	t := &table{columns: []column{
		{head: "NAME"}, {head: "DIRECTORY"}, {head: "PID", right: true}, {head: "USER"}, {head: "UPTIME", right: true},
		{head: "PORTS", right: true}, {head: "RX/s", right: true}, {head: "RX-bit/s", right: true, wide: true}, {head: "DROPS/s", right: true, wide: true},
		{head: "MACS", right: true, wide: true}, {head: "VERSION"}, {head: "NOTE"},
	}}
	for i, f := range found {
		t.names = append(t.names, switchRef(f.Dir))
		if f.Err != nil {
			t.add(filepath.Base(f.Dir), f.Dir, "", "", "", "", "", "", "", "", "", f.Err.Error())
			continue
		}
		var frames, bits, drops string
		if rates != nil && rates[i] != nil {
			frames, bits, drops = human(rates[i].RxFrames), human(rates[i].RxBits), human(rates[i].Drops)
		}
		t.add(f.Info.Name, f.Dir, strconv.Itoa(f.Info.PID), f.Info.User, age(uptime(f.Info)), strconv.Itoa(f.Info.Ports), frames, bits, drops,
			strconv.Itoa(f.Info.FDB.Entries), f.Info.Version, "")
	}
	if len(found) == 0 {
		fmt.Fprintln(a.err, "vnetctl: no switch runs on this host, as far as you may see; start one with: vswitch")
		return nil
	}
	a.table(t)
	return nil
}

// ratesOf asks the switches that answered twice. What cannot be measured, for
// example because a switch has just gone, is nil.
func ratesOf(ctx context.Context, found []client.Found, interval time.Duration) []*client.Rate {
	rates := make([]*client.Rate, len(found))
	var wait sync.WaitGroup
	for i, f := range found {
		if f.Err != nil {
			continue
		}
		wait.Go(func() {
			c, err := client.Dial(f.Dir)
			if err != nil {
				return
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(ctx, interval+time.Second)
			defer cancel()
			if r, err := readRates(ctx, c, interval); err == nil {
				rates[i] = &r.Totals
			}
		})
	}
	wait.Wait()
	return rates
}

func listAnswer(found []client.Found, rates []*client.Rate) listOfSwitches {
	list := make([]listed, 0, len(found))
	for i, f := range found {
		l := listed{Dir: f.Dir}
		if rates != nil {
			l.Rates = rates[i]
		}
		if f.Err == nil {
			l.Info = &f.Info
		} else {
			_, e, _ := parts(f.Err)
			l.Error = &e
		}
		list = append(list, l)
	}
	return listOfSwitches{list}
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
