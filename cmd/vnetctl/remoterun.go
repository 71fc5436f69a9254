package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/remote"
)

// fleet is one verb on all hosts of -r.
type fleet struct {
	*app
	ssh     *remote.SSH
	hosts   []remote.Host
	words   []string      // verb, flags and arguments
	limit   time.Duration // for each host; 0: none
	streams bool          // it goes on until interrupted; limit is for the beginning
	pusher  *pusher       // nil: what is there is used
	applied func(*job)    // what to do when a change waits for its confirmation, soon; nil: nothing waits
}

// nearVerbs are always carried out here.
var nearVerbs = map[string]bool{"completion": true, "help": true, "guardian": true, "link": true,
	cobra.ShellCompRequestCmd: true, cobra.ShellCompNoDescRequestCmd: true}

// elsewhere carries the verb out on the hosts that the command line names, and
// returns errSilent then; with none it returns nil, and the verb is for this
// host. On the other side it greets.
func (a *app) elsewhere(cmd *cobra.Command, args []string) error {
	if a.remote.far != "" {
		return a.greet(cmd)
	}
	if nearVerbs[cmd.Name()] || cmd.HasParent() && nearVerbs[cmd.Parent().Name()] {
		return nil
	}
	args, err := a.target(cmd, args)
	if err != nil {
		return err
	}
	if a.remote.list == "" {
		for _, name := range []string{"login", "ssh", "push", "parallel", "all-or-none"} {
			if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
				e := usage("%s--%s is about other hosts, and there is no -r", prefix(cmd), name)
				e.cure = cmd.CommandPath() + " -r HOSTS"
				return e
			}
		}
		return nil
	}
	if who := os.Getenv("SUDO_UID"); who != "" && who != "0" && os.Geteuid() == 0 {
		// Who may run vnetctl as root may not therefore run ssh as root.
		e := usage("%s-r does not go with sudo", prefix(cmd))
		e.cause, e.cure = "ssh would be root's, with root's keys", "without sudo; -Z SUDO becomes root on the other side"
		return e
	}
	f, err := a.newFleet(cmd, args)
	if err != nil {
		return err
	}
	return f.dispatch(cmd)
}

// newFleet reads the flags.
func (a *app) newFleet(cmd *cobra.Command, args []string) (*fleet, error) {
	f := &fleet{app: a, limit: hostLimit, words: a.farWords(cmd, args)}
	var err error
	if f.hosts, err = a.remote.hosts(a.remote.list); err != nil {
		return nil, err
	}
	if f.ssh, err = a.remote.reach(); err != nil {
		return nil, err
	}
	if a.remote.parallel < 1 || a.remote.parallel > 1000 {
		return nil, usage("%s--parallel wants 1 to 1000, not %d", prefix(cmd), a.remote.parallel)
	}
	if flag := cmd.Flags().Lookup("timeout"); flag != nil && flag.Changed {
		f.limit = a.timeout
	}
	if flag := cmd.Flags().Lookup("interval"); flag != nil && flag.Changed && f.limit > 0 {
		if d, err := time.ParseDuration(flag.Value.String()); err == nil && d > 0 {
			f.limit += d
		}
	}
	if a.remote.push {
		if f.pusher, err = newPusher(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// dispatch carries the verb out as it needs to be.
func (f *fleet) dispatch(cmd *cobra.Command) error {
	one := len(f.hosts) == 1
	only := func(what string) error {
		e := usage("%s%s with %d hosts", prefix(cmd), what, len(f.hosts))
		e.cure = "name one host"
		return e
	}
	switch path := strings.TrimPrefix(cmd.CommandPath(), "vnetctl "); path {
	case "console":
		if !one {
			return only("there is one terminal, or one standard input,")
		}
		return f.attached(cmd.Context(), terminals())
	case "capture":
		if !one {
			return only("a capture is of one switch, not")
		}
		return f.capture(cmd)
	case "top":
		if batch := cmd.Flags().Lookup("batch"); !f.json && (batch == nil || !batch.Changed) {
			if !one {
				return only("there is one screen (top --batch has none), not one for each,")
			}
			return f.attached(cmd.Context(), true)
		}
		f.streams = true
	case "monitor":
		f.streams = true
	case "create", "create bridge", "create tap", "create switch", "cancel", "cancel bridge", "cancel tap", "cancel switch", "restore":
		return f.change(cmd)
	}
	return f.runAll(cmd.Context(), f.remote.parallel)
}

// runAll runs the verb everywhere and prints what comes of it.
func (f *fleet) runAll(ctx context.Context, parallel int) error {
	jobs := f.jobs()
	p := newPrinter(f, jobs)
	stop := p.progress.run(jobs)
	p.turn() // the first host has nobody to wait for
	remote.Each(f.hosts, parallel, func(i int, _ remote.Host) {
		jobs[i].run(ctx)
		p.finished(jobs[i])
	})
	stop()
	return p.sum()
}

func (f *fleet) jobs() []*job {
	jobs := make([]*job, len(f.hosts))
	for i, h := range f.hosts {
		jobs[i] = &job{fleet: f, host: h, number: i}
	}
	return jobs
}

// failureOf is an error as JSON has it.
func failureOf(err error) *api.Error {
	what, e, _ := parts(err)
	e.Message = strings.TrimPrefix(what+": "+e.Message, ": ")
	return &e
}

// codeWords say what exit codes mean, for sums.
var codeWords = map[int]string{
	api.ExitOK: "done", api.ExitFailed: "failed", api.ExitUsage: "not understood", api.ExitForbidden: "not permitted",
	api.ExitUnreachable: "not reached", api.ExitRolledBack: "undone",
}

// sumUpHosts is the last line about many hosts: how many went how, and which.
func sumUpHosts(jobs []*job) (text string, worst int) {
	counts := map[int][]string{}
	for _, j := range jobs {
		code := j.code
		if codeWords[code] == "" {
			code = api.ExitFailed
		}
		worst = max(worst, code)
		counts[code] = append(counts[code], j.host.String())
	}
	text = fmt.Sprintf("%d hosts", len(jobs))
	sep := ": "
	for code := range len(codeWords) {
		names := counts[code]
		if len(names) == 0 {
			continue
		}
		text += fmt.Sprintf("%s%d %s", sep, len(names), codeWords[code])
		if code != api.ExitOK {
			if more := len(names) - 10; more > 0 {
				names = append(names[:10:10], fmt.Sprintf("and %d more", more))
			}
			text += " (" + strings.Join(names, ", ") + ")"
		}
		sep = ", "
	}
	return text, worst
}

var errOutput = errors.New("cannot write the output")
