package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/tap/hostnet"
)

const cancelHelp = `Removes what "vnetctl create" made for a user: the switch, the TAPs and, if create
made it and nothing else is in it, the bridge. Addresses that were moved go back
exactly as they were. What vnetctl did not make it never removes, and what is
gone already is no error.

While virtual machines are plugged in nothing is removed, unless -f says so.`

func (a *app) cancelCommand() *cobra.Command {
	f := &hostFlags{}
	var bridge, uplink, group, console string // as create has them, for scripts that pass the same letters
	cmd := &cobra.Command{
		Use:   "cancel",
		Short: "Remove what create made, or one of it",
		Long:  cancelHelp,
		Example: `  vnetctl cancel -u alice
  vnetctl cancel -u alice --dry-run
  vnetctl cancel tap tap7
  vnetctl cancel bridge br1
  vnetctl cancel switch lab`,
		Args: a.verb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cannot(a.change(cmd, f, (*hostRun).cancelSet), "cancel")
		},
	}
	f.register(cmd)
	for letter, p := range map[string]*string{"b": &bridge, "i": &uplink, "g": &group, "S": &console} {
		name := map[string]string{"b": "bridge", "i": "uplink", "g": "group", "S": "console"}[letter]
		cmd.Flags().StringVarP(p, name, letter, "", "as for create; without effect: what create made is known")
		_ = cmd.Flags().MarkHidden(name)
	}
	for _, kind := range []string{"bridge", "tap", "switch"} {
		cmd.AddCommand(a.cancelPartCommand(kind))
	}
	return cmd
}

func (a *app) cancelPartCommand(kind string) *cobra.Command {
	f := &hostFlags{}
	word := map[string]string{"bridge": "bridge", "tap": "TAP", "switch": "switch"}[kind]
	cmd := &cobra.Command{
		Use:     kind + " NAME",
		Short:   "Remove a " + word + " that create made",
		Example: "  vnetctl cancel " + kind + " " + map[string]string{"bridge": "br1", "tap": "tap7", "switch": "lab"}[kind],
		Args:    arguments(1, 1, "the name of the "+word),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var list []cobra.Completion
			if s, err := hostnet.ReadState(hostnet.DefaultDir); err == nil {
				for _, o := range s.Objects {
					if o.Kind == kind {
						list = append(list, cobra.Completion(o.Name))
					}
				}
			}
			return list, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return cannot(a.change(cmd, f, func(r *hostRun) error { return r.cancelPart(kind, args[0]) }), "cancel %s %s", word, args[0])
		},
	}
	f.register(cmd)
	return cmd
}

// cancelSet plans the removal of what one create made, last first.
func (r *hostRun) cancelSet() error {
	dir, err := r.switchDir("")
	if err != nil {
		return err
	}
	set := setName(r.who, dir)
	found := false
	for _, o := range slices.Backward(r.state.Objects) {
		if o.Set != set {
			continue
		}
		found = true
		err := r.remove(o)
		if o.Kind == "bridge" && errors.Is(err, hostnet.ErrInUse) {
			var e *hostnet.Error
			errors.As(err, &e)
			if moved(o) == "" { // others use it: it is not only this user's
				r.notes = append(r.notes, fmt.Sprintf("bridge %s stays: %s", o.Name, e.Cause))
				continue
			}
		}
		if err != nil {
			return err
		}
	}
	for _, w := range r.absent() {
		if w.Set == set {
			found = true
			r.forget(w)
		}
	}
	if alone := r.madeAlone(dir); !found && len(alone) > 0 {
		r.notes = append(r.notes, fmt.Sprintf("nothing to cancel: %s has only what was made alone, and is cancelled alone: %s", r.who.name, strings.Join(alone, "; ")))
	} else if !found {
		r.notes = append(r.notes, fmt.Sprintf("nothing to cancel: vnetctl made nothing for %s and %s, or it is gone already", r.who.name, dir))
	}
	return nil
}

// madeAlone are the commands that remove what the user has and was made by parts:
// create switch, create tap.
func (r *hostRun) madeAlone(dir string) (commands []string) {
	for _, o := range r.state.Objects {
		if o.Set == "" && (o.Kind == "switch" && o.Name == dir || o.Kind != "bridge" && o.UID == r.who.uid) {
			commands = append(commands, fmt.Sprintf("vnetctl cancel %s %s", o.Kind, o.Name))
		}
	}
	return commands
}

// moved names the uplink whose addresses a bridge has.
func moved(o hostnet.Object) string {
	for _, s := range o.Steps {
		if m, ok := s.(*hostnet.Move); ok {
			return m.From
		}
	}
	return ""
}

func (r *hostRun) cancelPart(kind, name string) error {
	if kind == "switch" {
		dir, err := r.switchDir(name)
		if err != nil {
			return err
		}
		name = dir
	} else if err := hostnet.CheckName(name); err != nil {
		return err
	}
	o, ok := r.state.Find(kind, name)
	if ok {
		return r.remove(o)
	}
	for _, w := range r.absent() {
		if w.Kind == kind && w.Name == name {
			r.forget(w)
			return nil
		}
	}
	if _, err := r.host.Link(name); kind != "switch" && err == nil {
		return &hostnet.Error{Code: hostnet.ErrNotOurs, Cause: fmt.Sprintf("vnetctl did not make %s, or has no record of it, so it stays", name), Cure: "if nobody needs it: ip link delete " + name}
	}
	if c, err := client.Dial(name); kind == "switch" && err == nil {
		c.Close()
		return &hostnet.Error{Code: hostnet.ErrNotOurs, Cause: fmt.Sprintf("vnetctl did not start the switch that runs in %s, or has no record of it, so it stays", name), Cure: "if nobody needs it: vnetctl -s " + name + " exec shutdown"}
	}
	r.notes = append(r.notes, fmt.Sprintf("there is no %s %s of vnetctl's", kind, name))
	return nil
}

// remove plans the removal of an object that nobody uses.
func (r *hostRun) remove(o hostnet.Object) error {
	if o.Kind == "switch" && !r.flags.force {
		if err := r.nobodyIn(o); err != nil {
			return err
		}
	}
	return r.host.PlanRemove(r.plan, r.state, o, r.flags.force)
}

// leaving is how long cancel waits for guests that have just been stopped: the
// switch sees their ends a moment later.
const leaving = 300 * time.Millisecond

// nobodyIn refuses while a switch has clients.
func (r *hostRun) nobodyIn(o hostnet.Object) error {
	run, ok := o.Steps[len(o.Steps)-1].(*hostnet.Switch)
	if !ok || run.PID() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.cmd.Context(), 5*time.Second)
	defer cancel()
	for begin := time.Now(); ; time.Sleep(leaving / 10) {
		ports, err := portsAt(ctx, run.Ready)
		if err != nil {
			return &hostnet.Error{Code: hostnet.ErrInUse, Cause: fmt.Sprintf("switch %s (process %d) does not say who is plugged in", o.Name, run.PID()), Err: err, Cure: "vnetctl -s " + o.Name + " info; or use -f"}
		}
		var guests []string
		for _, p := range ports {
			if p.State == api.StateUp && !strings.HasPrefix(p.Kind, "tap") {
				guests = append(guests, strings.TrimSpace(fmt.Sprintf("%s %s", p.Name, peerText(p))))
			}
		}
		if len(guests) == 0 {
			return nil
		}
		if time.Since(begin) > leaving {
			return &hostnet.Error{Code: hostnet.ErrInUse, Cause: fmt.Sprintf("switch %s has %d plugged in: %s", o.Name, len(guests), strings.Join(guests, ", ")), Cure: "stop them first, or use -f"}
		}
	}
}

func portsAt(ctx context.Context, socket string) ([]api.Port, error) {
	c, err := client.Dial(socket)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Ports(ctx)
}
