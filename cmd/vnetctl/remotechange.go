package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/remote"
)

// A change that could cut a host off waits there for its confirmation, guarded by
// a process on that host. From here the confirmation comes by itself, over a new
// connection: that one gets through is what it is to prove. With --all-or-none
// every host waits so, until all have succeeded; then all are confirmed. When one
// fails the others are told to undo what they did, and a host that cannot be told
// does so by itself.

// change carries out create or cancel.
func (f *fleet) change(cmd *cobra.Command) error {
	flag := cmd.Flags().Lookup("all-or-none")
	dry := cmd.Flags().Lookup("dry-run")
	if flag == nil || !flag.Changed || flag.Value.String() != "true" || dry.Value.String() == "true" {
		f.applied = func(j *job) {
			go func() {
				if err := f.confirm(cmd.Context(), j); err != nil {
					// Its guardian undoes the change, and its vnetctl says so; only we know why.
					fmt.Fprintf(&j.err, "vnetctl: it could not be confirmed from here: %s\n", oneLine(err.Error()))
				}
			}()
		}
		return f.runAll(cmd.Context(), f.remote.parallel)
	}
	c := &changeOfAll{fleet: f, wait: len(f.hosts), decided: make(chan struct{}), settled: make(chan struct{}), made: map[int]*job{}, kept: map[int]bool{}, undone: map[int]bool{}}
	return c.run(cmd)
}

// ask runs a short verb on a host of a job; fresh: over a new connection.
func (f *fleet) ask(ctx context.Context, j *job, fresh bool, words ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, hostLimit, remote.ErrTimeout)
	defer cancel()
	args := append([]string{fmt.Sprintf("--far=%d", farVersion)}, words...)
	program := []string{farProgram}
	if f.pusher != nil {
		program, args = f.pusher.command(args), nil
	}
	var said tail
	errs := &greeting{to: &said}
	code, err := f.ssh.Run(ctx, remote.Run{Host: j.host, Words: append(program, args...), Hello: farHello, Stdout: io.Discard, Stderr: errs, Fresh: fresh})
	if err == nil && code != 0 {
		text := said.String()
		if text == "" {
			text = string(errs.before)
		}
		err = fmt.Errorf("exit code %d: %s", code, oneLine(strings.TrimSpace(text)))
	}
	return err
}

// confirm confirms a change from a new connection.
func (f *fleet) confirm(ctx context.Context, j *job) error {
	return f.ask(ctx, j, true, slices.Concat([]string{"confirm"}, f.privilege())...)
}

// privilege is -Z among the words of the verb.
func (f *fleet) privilege() []string {
	for _, w := range f.words {
		if strings.HasPrefix(w, "--privilege=") {
			return []string{w}
		}
	}
	return nil
}

// changeOfAll is a change that is made on all hosts or on none.
type changeOfAll struct {
	*fleet
	mu      sync.Mutex
	wait    int          // hosts that are neither done nor failed
	made    map[int]*job // who waits for its confirmation
	failed  string       // the first host that failed
	decided chan struct{}
	settled chan struct{} // what was decided has been done
	kept    map[int]bool  // who was told to keep it, and did
	undone  map[int]bool  // who was told to undo it, and did
	all     bool          // everybody was told to keep it
}

// confirmAll is how long every host waits for the slowest.
const confirmAll = 120 * time.Second

func (c *changeOfAll) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	c.applied = func(j *job) { c.arrive(ctx, j) }
	if flag := cmd.Flags().Lookup("confirm"); !flag.Changed {
		c.words = append(c.words[:len(c.words):len(c.words)], fmt.Sprintf("--confirm=%d", int(confirmAll.Seconds())))
		if dash := slices.Index(c.words, "--"); dash >= 0 { // flags go in front of it
			last := c.words[len(c.words)-1]
			c.words = slices.Insert(c.words[:len(c.words)-1], dash, last)
		}
	}
	wasJSON := c.json
	if !wasJSON {
		c.words = slices.Insert(c.words, 0, "--json")
		c.json = true
	}
	jobs := c.jobs()
	remote.Each(c.hosts, len(c.hosts), func(i int, _ remote.Host) {
		jobs[i].run(ctx)
		c.ended(ctx, jobs[i])
	})
	<-c.settled
	c.json = wasJSON
	return c.report(ctx, jobs)
}

// arrive notes that a host has done its part, and waits.
func (c *changeOfAll) arrive(ctx context.Context, j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made[j.number] = j
	c.wait--
	c.decide(ctx)
}

// ended notes that a host's run has come to an end: it failed, or had nothing to
// do, or what it did was decided.
func (c *changeOfAll) ended(ctx context.Context, j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made[j.number] == nil {
		c.wait--
	}
	if j.code != 0 && c.failed == "" {
		c.failed = j.host.String()
	}
	c.decide(ctx)
}

// decide begins the second half as soon as it can be known which. The caller
// holds c.mu.
func (c *changeOfAll) decide(ctx context.Context) {
	select {
	case <-c.decided:
		return
	default:
	}
	if c.wait > 0 { // even if one failed: what the rest does can be undone only when it is done
		return
	}
	close(c.decided)
	list := make([]*job, 0, len(c.made))
	for _, j := range c.made {
		list = append(list, j)
	}
	good := c.failed == "" && ctx.Err() == nil
	go c.settle(ctx, list, good)
}

// settle confirms all hosts, or has them undo what they did.
func (c *changeOfAll) settle(ctx context.Context, list []*job, good bool) {
	defer close(c.settled)
	if good {
		err := c.onAll(list, func(j *job) error { return c.ask(ctx, j, true, "list", "--interval=0") })
		if err == nil {
			err = c.onAll(list, func(j *job) error {
				err := c.confirm(ctx, j)
				c.mu.Lock()
				defer c.mu.Unlock()
				c.kept[j.number] = err == nil
				return err
			})
		}
		if err == nil {
			c.all = true
			return
		}
		c.mu.Lock()
		c.failed = err.Error()
		c.mu.Unlock()
	}
	// Not the command's context: an interrupt is a reason to undo, not to stop undoing.
	_ = c.onAll(list, func(j *job) error { // whom it does not reach undoes it when its time is over
		err := c.ask(context.WithoutCancel(ctx), j, false, slices.Concat([]string{"recover", "--force"}, c.privilege())...)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.undone[j.number] = err == nil
		return err
	})
}

// onAll asks all hosts at the same time. The error names those that failed.
func (c *changeOfAll) onAll(list []*job, f func(*job) error) error {
	texts := make([]string, len(list))
	var wait sync.WaitGroup
	for i, j := range list {
		wait.Go(func() {
			if err := f(j); err != nil {
				texts[i] = fmt.Sprintf("%s: %v", j.host, err)
			}
		})
	}
	wait.Wait()
	texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" })
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// report prints what became of all hosts, and undoes what was confirmed on some
// when others could not be.
func (c *changeOfAll) report(ctx context.Context, jobs []*job) error {
	p := newPrinter(c.fleet, jobs)
	good := true
	for _, j := range jobs {
		switch {
		case c.all && c.kept[j.number] && j.code == api.ExitUnreachable:
			// It was done everywhere. That a connection broke afterwards undoes nothing.
			j.code, j.failure = api.ExitOK, nil
			_ = j.out.Close()
			fmt.Fprintln(&j.err, "done and confirmed; the connection was cut before it said more")
		case j.code != 0 && c.undone[j.number] && !c.kept[j.number]:
			j.code, j.failure = api.ExitRolledBack, c.notKept(j)
		}
		good = good && j.code == 0
	}
	left := ""
	if !good {
		left = c.takeBack(ctx, jobs)
	}
	for _, j := range jobs {
		if c.json {
			p.object(j)
			continue
		}
		c.text(j)
	}
	if !good && !c.json {
		fmt.Fprintf(c.err, "vnetctl: %s, since not all %d hosts succeeded: %s\n", cmp.Or(left, "nothing was changed"), len(jobs), printable(c.failed))
	}
	return p.sum()
}

func (c *changeOfAll) notKept(j *job) error {
	return cannot(&api.Error{Code: api.ErrFailed, Message: "undone, since not all hosts succeeded: " + c.failed}, "keep what was made on %s", j.host)
}

// takeBack removes what hosts made that were confirmed although another was not:
// the connection to that one broke in between. It returns what is not undone now.
func (c *changeOfAll) takeBack(ctx context.Context, jobs []*job) (left string) {
	var changed, waiting []string
	for _, j := range jobs {
		switch {
		case c.made[j.number] == nil || j.code == api.ExitRolledBack:
			continue
		case j.code != 0 && !c.kept[j.number]: // it heard nothing from us
			waiting = append(waiting, j.host.String())
			continue
		}
		if err := c.takeBackOne(ctx, j); err != nil {
			j.code, j.failure = api.ExitFailed, cannot(err, "undo what was done on %s", j.host)
			changed = append(changed, j.host.String())
			continue
		}
		j.code, j.failure = api.ExitRolledBack, c.notKept(j)
	}
	if len(changed) > 0 {
		left = "still changed: " + strings.Join(changed, ", ")
	}
	if len(waiting) > 0 {
		left += "; not told to undo it, and doing so when the time for confirming is over: " + strings.Join(waiting, ", ")
	}
	return strings.TrimPrefix(left, "; ")
}

func (c *changeOfAll) takeBackOne(ctx context.Context, j *job) error {
	var answer changeAnswer
	text, err := c.answerOf(j)
	switch {
	case j.code != 0:
		err = errors.New("it was confirmed, and its connection cut before it said what it had made")
	case err == nil:
		err = json.Unmarshal(text, &answer)
	}
	for _, o := range slices.Backward(answer.Made) {
		words := slices.Concat([]string{"cancel", o.Kind, "--confirm=0", "--force"}, c.privilege(), []string{"--", o.Name})
		err = errors.Join(err, c.ask(context.WithoutCancel(ctx), j, false, words...))
	}
	if err == nil {
		return nil
	}
	return &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: "vnetctl -r " + j.host.String() + " check"}
}

// answerOf is what a host printed; it can be read once more.
func (c *changeOfAll) answerOf(j *job) ([]byte, error) {
	var b strings.Builder
	if err := j.out.Release(&b); err != nil {
		return nil, err
	}
	j.out = remote.Spool{}
	_, err := io.WriteString(&j.out, b.String())
	return []byte(b.String()), err
}

// text prints a host's answer for people.
func (c *changeOfAll) text(j *job) {
	fmt.Fprintf(c.fleet.out, "=== %s\n", j.host)
	var answer changeAnswer
	text, err := c.answerOf(j)
	if j.code == 0 && err == nil && json.Unmarshal(text, &answer) == nil {
		for _, note := range answer.Notes {
			fmt.Fprintln(c.fleet.out, printable(note))
		}
		for _, o := range answer.Made {
			fmt.Fprintf(c.fleet.out, "made %s %s\n", printable(o.Kind), printable(o.Name))
		}
		if !answer.Changed {
			fmt.Fprintln(c.fleet.out, "unchanged")
		}
		return
	}
	var e *api.Error
	if j.failure != nil {
		e = failureOf(j.failure)
	} else {
		var b strings.Builder
		_ = j.err.Release(&b) // what is missing is said below
		var theirs api.Failure
		if json.Unmarshal([]byte(lastLine(b.String())), &theirs) == nil && theirs.Error != nil {
			e = theirs.Error
		} else {
			e = &api.Error{Message: oneLine(strings.TrimSpace(b.String()))}
		}
	}
	fmt.Fprintf(c.fleet.err, "%s: vnetctl: %s\n", j.host, printable(e.Message))
	if e.Hint != "" {
		fmt.Fprintf(c.fleet.err, "%s:   cure:  %s\n", j.host, printable(e.Hint))
	}
}
