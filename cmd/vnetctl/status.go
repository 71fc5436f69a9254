package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// statusPorts is how many ports of a switch the status screen shows.
const statusPorts = 16

// switchStatus is one switch on the status screen.
type switchStatus struct {
	listed
	Ports   []api.Port `json:"ports,omitempty"`
	Trouble []string   `json:"trouble"` // sentences; none: all is well
}

// statusScreen is what vnetctl --json prints without a verb.
type statusScreen struct {
	Switches []switchStatus `json:"switches"`
}

// status is what vnetctl does without a verb.
func (a *app) status(cmd *cobra.Command, _ []string) error {
	ctx := cmd.Context()
	var found []client.Found
	if a.where == "" {
		found = client.Find(ctx)
	} else {
		c, err := a.dial()
		if err != nil {
			return cannot(err, "look at switch %s", a.where)
		}
		info, err := c.Info(ctx)
		c.Close()
		if err != nil {
			return cannot(err, "look at switch %s", a.where)
		}
		found = []client.Found{{Dir: c.Dir(), Info: info}}
	}
	screen := make([]switchStatus, 0, len(found))
	for _, f := range found {
		screen = append(screen, a.inspect(ctx, f))
	}
	if a.json {
		return a.printJSON(statusScreen{screen})
	}
	if len(screen) == 0 {
		fmt.Fprint(a.out, "No switch runs on this host, as far as you may see.\n\n  start one:    vswitch\n  plug a VM in: vmrun --name vm1 -- -m 1G -drive file=vm1.qcow2,if=virtio\n  all verbs:    vnetctl --help\n")
		return nil
	}
	for i, s := range screen {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		a.showStatus(s)
	}
	return nil
}

// inspect looks at one switch and for what is wrong with it.
func (a *app) inspect(ctx context.Context, f client.Found) switchStatus {
	s := switchStatus{listed: listed{Dir: f.Dir}, Trouble: []string{}}
	var c *client.Client
	err := f.Err
	if err == nil {
		c, err = client.Dial(f.Dir)
	}
	if err == nil {
		defer c.Close()
		c.Timeout = a.timeout
		s.Ports, err = c.Ports(ctx)
	}
	if err != nil {
		_, e, _ := parts(err)
		s.Error = &e
		s.Trouble = append(s.Trouble, strings.TrimSuffix(e.Message+"; "+e.Hint, "; "))
		return s
	}
	s.Info = &f.Info
	for _, p := range s.Ports {
		switch {
		case p.State == api.StateWaiting:
			s.Trouble = append(s.Trouble, strings.TrimSuffix(fmt.Sprintf("port %s (%d) has no link: %s", p.Name, p.ID, p.Reason), ": "))
		case p.Drops["ring-full"] > 0:
			s.Trouble = append(s.Trouble, fmt.Sprintf("port %s (%d) reads too slowly: %d frames dropped so far, %d wait", p.Name, p.ID, p.Drops["ring-full"], p.Queue))
		}
	}
	if n := f.Info.FDB.Unlearned; n > 0 {
		s.Trouble = append(s.Trouble, fmt.Sprintf("%d addresses were not learned because of a limit: their frames are flooded (vnetctl -s %s fdb)", n, switchRef(f.Dir)))
	}
	return s
}

func (a *app) showStatus(s switchStatus) {
	ref := switchRef(s.Dir)
	if s.Info == nil {
		fmt.Fprintf(a.out, "%s  not reachable\n", printable(ref))
	} else {
		up := 0
		for _, p := range s.Ports {
			if p.State == api.StateUp {
				up++
			}
		}
		fmt.Fprintf(a.out, "%s  %s  pid %d  user %s  up %s  %d of %d ports up  %d addresses\n", printable(s.Info.Name), printable(s.Dir),
			s.Info.PID, printable(s.Info.User), age(uptime(*s.Info)), up, len(s.Ports), s.Info.FDB.Entries)
	}
	if len(s.Ports) > 0 {
		shown := s.Ports[:min(len(s.Ports), statusPorts)]
		a.table(portTable(shown, false))
		if rest := len(s.Ports) - len(shown); rest > 0 {
			fmt.Fprintf(a.out, "and %d more: vnetctl -s %s ports\n", rest, ref)
		}
	} else if s.Info != nil && len(s.Info.Doors) > 0 {
		fmt.Fprintf(a.out, "nobody is plugged in; plug a VM in: vmrun -s %s --name vm1 -- -m 1G -drive file=vm1.qcow2,if=virtio\n", ref)
	}
	for i, t := range s.Trouble {
		if i == statusPorts {
			fmt.Fprintf(a.out, "! and %d more\n", len(s.Trouble)-i)
			break
		}
		fmt.Fprintf(a.out, "! %s\n", printable(t))
	}
}
