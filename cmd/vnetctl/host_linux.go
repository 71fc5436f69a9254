package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/tap/hostnet"
)

// hostCommands are the verbs that change the host, or undo a change.
func (a *app) hostCommands() []*cobra.Command {
	return []*cobra.Command{a.createCommand(), a.cancelCommand(), a.checkCommand(), a.listallCommand(), a.confirmCommand(), a.recoverCommand(), a.restoreCommand(), a.guardianCommand()}
}

// hostFlags are flags of the verbs that change the host.
type hostFlags struct {
	owner   string // -u
	force   bool   // -f
	dryRun  bool
	explain bool
	confirm string
	how     string // -Z
	debug   int    // -d
	terse   bool   // -X
	bare    bool   // -n
}

// confirmDefault is how long a change of the way to the admin waits for him.
const confirmDefault = 60 * time.Second

func (f *hostFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.owner, "user", "u", "", "for `USER[.GROUP]` (default who calls, also through sudo)")
	flags.BoolVarP(&f.force, "force", "f", false, "do it although it looks dangerous, or although somebody uses it")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only print the steps, as ip commands")
	flags.BoolVar(&f.explain, "explain", false, "say where each choice comes from")
	flags.StringVar(&f.confirm, "confirm", "", "undo it unless \"vnetctl confirm\" comes within `SECONDS` (default 60 where it may cut you off, else 0: not needed)")
	privilegeFlag(cmd, &f.how)
	flags.IntVarP(&f.debug, "debug", "d", 0, "`LEVEL` from 1 on: say each step")
	flags.BoolVarP(&f.terse, "terse", "X", false, "print nothing but errors")
	flags.BoolVarP(&f.bare, "no-title", "n", false, "without effect here; for scripts that pass it to every verb")
	_ = flags.MarkHidden("no-title")
}

// confirmTime is the time for confirming a plan.
func (f *hostFlags) confirmTime(critical string) (time.Duration, error) {
	if f.confirm == "" {
		if critical != "" {
			return confirmDefault, nil
		}
		return 0, nil
	}
	d, err := time.ParseDuration(f.confirm)
	if seconds, e := strconv.Atoi(f.confirm); e == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 || d > time.Hour {
		return 0, usage("--confirm wants seconds up to 3600, not %q", f.confirm)
	}
	if d == 0 && critical != "" && !f.force {
		e := usage("--confirm 0 would leave nothing to save you: %s", critical)
		e.cure = "leave it away, or add -f when you sit at the console"
		return 0, e
	}
	return d, nil
}

// account is for whom something is made.
type account struct {
	name   string
	uid    int
	gid    int
	groups []uint32
	group  bool // it was named
}

// change is the shape of a verb that changes the host: it lets wish make the
// plan, and prints it or carries it out.
func (a *app) change(cmd *cobra.Command, f *hostFlags, wish func(*hostRun) error) error {
	if err := becomeRoot(f.how); err != nil {
		return err
	}
	who, err := lookupAccount(f.owner)
	if err != nil {
		return err
	}
	run, err := a.carryOut(cmd, f, who, wish)
	if err != nil {
		return err
	}
	return run.print(f.dryRun)
}

// carryOut takes the lock, plans, and does it unless it is --dry-run.
func (a *app) carryOut(cmd *cobra.Command, f *hostFlags, who account, wish func(*hostRun) error) (*hostRun, error) {
	h, err := hostnet.Open()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	e := &hostnet.Engine{Host: h, Dir: hostnet.DefaultDir, Lib: hostnet.DefaultLib, Guardian: []string{"/proc/self/exe", "guardian"}, Point: faultPoint}
	if f.debug > 0 && !a.json {
		e.Said = func(text string) { fmt.Fprintln(a.err, "vnetctl:", printable(text)) }
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), lockPatience)
	state, err := e.Begin(ctx)
	cancel()
	if err != nil {
		return nil, err
	}
	defer e.End()
	run := &hostRun{app: a, flags: f, cmd: cmd, host: h, state: state, who: who, plan: hostnet.NewPlan(strings.TrimPrefix(cmd.CommandPath(), "vnetctl "))}
	if err := wish(run); err != nil {
		return nil, err
	}
	if run.plan.Confirm, err = f.confirmTime(run.plan.Critical); err != nil {
		return nil, err
	}
	if f.dryRun {
		return run, nil
	}
	if err := e.Apply(cmd.Context(), state, run.plan); err != nil {
		return nil, err
	}
	if run.plan.Confirm > 0 && len(run.plan.Steps) > 0 {
		return run, run.await(cmd.Context(), e)
	}
	return run, nil
}

// faultPoint is nil but in tests, which kill the process at a point.
var faultPoint func(string)

// hostRun is one run of such a verb.
type hostRun struct {
	*app
	flags *hostFlags
	cmd   *cobra.Command
	host  *hostnet.Host
	state *hostnet.State
	plan  *hostnet.Plan
	who   account
	notes []string
}

func (r *hostRun) because(format string, args ...any) {
	r.plan.Reasons = append(r.plan.Reasons, fmt.Sprintf(format, args...))
}

// await waits until the plan is confirmed, or undone.
func (r *hostRun) await(ctx context.Context, e *hostnet.Engine) error {
	e.End() // confirming takes the lock
	switch {
	case r.remote.far != "":
		fmt.Fprintln(r.out, farApplied)
	case !r.flags.terse:
		fmt.Fprintf(r.err, "vnetctl: done, and undone again in %v unless you log in anew and say: vnetctl confirm\n", r.plan.Confirm)
	}
	if !e.Await(ctx, r.plan.ID, r.plan.Confirm+30*time.Second) {
		return &hostnet.Error{Code: hostnet.ErrJournal, Cause: "it is not decided yet; the guardian goes on watching", Cure: "vnetctl confirm, or vnetctl recover -f"}
	}
	if !e.Kept(r.plan) {
		return &hostnet.Error{Code: hostnet.ErrRolledBack, Cause: fmt.Sprintf("nobody confirmed within %v, and all is as it was before", r.plan.Confirm), Cure: "vnetctl confirm, from a new connection and in time; --confirm SECONDS gives more of it"}
	}
	return nil
}

func (r *hostRun) print(dry bool) error {
	p := r.plan
	answer := changeAnswer{
		Changed: len(p.Steps)+len(p.Removes) > 0 && !dry, DryRun: dry, Made: []hostObject{}, Removed: []hostObject{}, Steps: []hostStep{},
		Reasons: append([]string{}, p.Reasons...), Notes: append([]string{}, r.notes...), Danger: p.Critical, Confirm: p.Confirm.Seconds(),
	}
	for _, o := range p.Makes {
		answer.Made = append(answer.Made, hostObject{o.Kind, o.Name})
	}
	for _, key := range p.Removes {
		kind, name, _ := strings.Cut(key, ":")
		answer.Removed = append(answer.Removed, hostObject{kind, name})
	}
	for _, s := range p.Steps {
		text, commands := s.Text()
		_, undo := s.UndoText()
		answer.Steps = append(answer.Steps, hostStep{text, append([]string{}, commands...), append([]string{}, undo...)})
	}
	switch {
	case r.json:
		return r.printJSON(answer)
	case r.flags.terse && !dry:
		return nil
	}
	if r.flags.explain || dry {
		for _, reason := range p.Reasons {
			fmt.Fprintf(r.out, "# %s\n", printable(reason))
		}
	}
	remark := map[bool]string{true: "# "}[dry] // what --dry-run prints is a script
	for _, note := range r.notes {
		fmt.Fprintln(r.out, remark+printable(note))
	}
	if dry {
		answer.printSteps(r.app)
		return nil
	}
	for _, o := range answer.Removed {
		fmt.Fprintf(r.out, "removed %s %s\n", o.Kind, printable(o.Name))
	}
	for _, o := range answer.Made {
		fmt.Fprintf(r.out, "made %s %s\n", o.Kind, printable(o.Name))
	}
	if !answer.Changed {
		fmt.Fprintln(r.out, "unchanged")
	}
	return nil
}

// printSteps writes a script that could be run.
func (c changeAnswer) printSteps(a *app) {
	if c.Danger != "" {
		fmt.Fprintf(a.out, "# careful: %s; undone after %gs unless confirmed\n", c.Danger, c.Confirm)
	}
	for _, s := range c.Steps {
		fmt.Fprintf(a.out, "# %s\n", printable(s.Text))
		for _, line := range s.Commands {
			fmt.Fprintln(a.out, printable(line))
		}
	}
	if len(c.Steps) == 0 {
		fmt.Fprintln(a.out, "# nothing to do")
	}
}

// hostParts makes what report needs from an error of hostnet's.
func hostParts(err error) (hint string, code int, ok bool) {
	var e *hostnet.Error
	if !errors.As(err, &e) {
		return "", 0, false
	}
	switch {
	case errors.Is(err, hostnet.ErrStuck):
		code = api.ExitFailed
	case errors.Is(err, hostnet.ErrRolledBack):
		code = api.ExitRolledBack
	case errors.Is(err, hostnet.ErrForbidden):
		code = api.ExitForbidden
	default:
		code = api.ExitFailed
	}
	return e.Cure, code, true
}

// becomeRoot replaces this process by one that may change the network, if it may
// not itself and -Z says how. It never tries a second way.
func becomeRoot(how string) error {
	if mayChangeNetwork() {
		return nil
	}
	allow := map[string]bool{}
	var order []string
	for _, word := range strings.FieldsFunc(strings.ToUpper(how), func(r rune) bool { return r == ',' || r == ' ' || r == '|' }) {
		switch word {
		case "ALL":
			allow["KSU"], allow["SUDO"] = true, true
			order = append(order, "KSU", "SUDO")
		case "SUDO", "KSU":
			allow[word] = true
			order = append(order, word)
		case "NOSUDO", "NOKSU":
			allow[word[2:]] = false
		default:
			e := usage("-Z wants SUDO, NOSUDO, KSU, NOKSU or ALL, not %q", word)
			return e
		}
	}
	for _, word := range order {
		if allow[word] {
			if err := execAs(word); !errors.Is(err, errNoSuchWay) {
				return err
			}
		}
	}
	return &hostnet.Error{Code: hostnet.ErrForbidden, Cause: fmt.Sprintf("user %d has not the capability CAP_NET_ADMIN", os.Geteuid()), Cure: cmp.Or("sudo "+strings.Join(os.Args, " "), "sudo vnetctl")}
}
