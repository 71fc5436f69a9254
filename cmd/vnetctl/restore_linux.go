package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/tap/hostnet"
)

// keep makes an object of the plan, or one that it found, survive reboots if
// --persist says so.
func (r *hostRun) keep(f *createFlags, w hostnet.Wish) {
	if !f.persist {
		return
	}
	w.User, w.UID = r.who.name, r.who.uid
	if r.plan.Keep(r.state, w) {
		r.notes = append(r.notes, fmt.Sprintf("%s %s is made anew after a reboot", w.Kind, w.Name))
		return
	}
	r.because("%s %s is not made anew after a reboot: vnetctl did not make it", w.Kind, w.Name)
}

// absent are the persistent objects that are not there: not made anew yet.
func (r *hostRun) absent() []hostnet.Wish {
	list, err := hostnet.Persistent(hostnet.DefaultLib)
	if err != nil {
		r.notes = append(r.notes, err.Error())
		return nil
	}
	return slices.DeleteFunc(list, func(w hostnet.Wish) bool { _, ok := r.state.Find(w.Kind, w.Name); return ok })
}

// forget takes away what is not there from what survives reboots.
func (r *hostRun) forget(w hostnet.Wish) {
	r.plan.Removes = append(r.plan.Removes, w.Key())
	r.notes = append(r.notes, fmt.Sprintf("%s %s is not there, and will not be made anew after a reboot", w.Kind, w.Name))
}

func (a *app) restoreCommand() *cobra.Command {
	f := &hostFlags{}
	var boot bool
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make anew what create --persist made, after a reboot",
		Long: `Makes what "vnetctl create --persist" made and is not there now: what one call
made in one transaction, so that one that fails does not keep the others from
coming back. The plan is made anew: of an uplink, the addresses are moved that it
has now. The service vnetctl-recover calls it at boot; "vnetctl cancel" takes out
of the list what it removes.

--boot waits for nobody's confirmation: the change was confirmed when it was made.`,
		Example: `  vnetctl restore
  vnetctl restore --dry-run
  systemctl enable vnetctl-recover                 do it at each boot`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if boot {
				f.confirm, f.force = "0", true
			}
			return a.restore(cmd, f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&boot, "boot", false, "nobody is asked to confirm")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only print the steps, as ip commands")
	flags.StringVar(&f.confirm, "confirm", "", "as for create, in `SECONDS`")
	flags.IntVarP(&f.debug, "debug", "d", 0, "`LEVEL` from 1 on: say each step")
	return cmd
}

func (a *app) restore(cmd *cobra.Command, f *hostFlags) error {
	if !mayChangeNetwork() {
		return cannot(becomeRoot(""), "restore")
	}
	list, err := hostnet.Persistent(hostnet.DefaultLib)
	if err != nil {
		return cannot(err, "restore")
	}
	answer := restoreAnswer{Sets: []restored{}}
	for _, set := range together(list) {
		run, err := a.fulfil(cmd, f, set)
		r := restored{User: set[0].User, State: "unchanged", Objects: []hostObject{}}
		for _, w := range set {
			r.Objects = append(r.Objects, hostObject{w.Kind, w.Name})
		}
		switch {
		case err != nil:
			_, e, _ := parts(err)
			r.State, r.Error = "failed", &e
			answer.Failures++
		case len(run.plan.Steps) > 0 && f.dryRun:
			r.State = "planned"
		case len(run.plan.Steps) > 0:
			r.State = "made"
		}
		answer.Sets = append(answer.Sets, r)
		if f.dryRun && err == nil && !a.json {
			if err := run.print(true); err != nil {
				return err
			}
		}
	}
	if a.json {
		err = a.printJSON(answer)
	} else {
		answer.print(a)
	}
	if err == nil && answer.Failures > 0 {
		err = errSilent(api.ExitFailed)
	}
	return err
}

func (r restoreAnswer) print(a *app) {
	if len(r.Sets) == 0 {
		fmt.Fprintln(a.out, "nothing to restore")
	}
	for _, s := range r.Sets {
		for _, o := range s.Objects {
			fmt.Fprintf(a.out, "%s %s %s\n", s.State, o.Kind, printable(o.Name))
		}
		if s.Error != nil {
			fmt.Fprintf(a.out, "  cause: %s\n  cure:  %s\n", printable(s.Error.Message), printable(s.Error.Hint))
		}
	}
}

// together puts what one call made into one list, in the order of the first.
func together(list []hostnet.Wish) (sets [][]hostnet.Wish) {
	for _, w := range list {
		i := slices.IndexFunc(sets, func(s []hostnet.Wish) bool { return w.Set != "" && s[0].Set == w.Set })
		if i < 0 {
			sets = append(sets, nil)
			i = len(sets) - 1
		}
		sets[i] = append(sets[i], w)
	}
	return sets
}

// fulfil makes what one call made.
func (a *app) fulfil(cmd *cobra.Command, f *hostFlags, set []hostnet.Wish) (*hostRun, error) {
	who, err := lookupAccount(set[0].User)
	if err == nil && who.uid != set[0].UID {
		err = &hostnet.Error{Code: hostnet.ErrInvalid, Cause: fmt.Sprintf("user %s had number %d when this was made, and has %d now", who.name, set[0].UID, who.uid), Cure: "vnetctl cancel -u " + who.name + ", then create it anew with --persist"}
	}
	if err != nil {
		return nil, err
	}
	return a.carryOut(cmd, f, who, func(r *hostRun) error {
		for _, w := range set {
			if _, err := r.host.PlanWish(r.plan, r.state, w); err != nil {
				return err
			}
		}
		return nil
	})
}
