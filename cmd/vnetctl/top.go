package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
)

// minTop is the shortest time between two readings of top.
const minTop = 100 * time.Millisecond

func (a *app) topCommand() *cobra.Command {
	o := topOptions{}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch the busiest ports",
		Long: `Watch the busiest ports: frames and bits per second, drops per second with the
reason of most of them (WHY), and frames that wait for a slow receiver (QUEUE).
A narrow terminal shows fewer columns.

Keys: q quits; r, d, u and n sort by rate, drops, queue and name; i turns the
order round; j and k, or the arrows, scroll; space reads anew.

With --batch it prints plain tables, one for each --interval, for scripts and
logs; with --json one object a line, as stats --json has it.`,
		Example: `  vnetctl top
  vnetctl top --sort drops --interval 5s
  vnetctl top -b -n 2
  vnetctl top --json -n 10 | jq -c '.rates.totals'`,
		Args: arguments(0, 0, "flags only"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if o.batch || a.json {
				return cannot(a.topBatch(cmd.Context(), o), "watch ports")
			}
			return a.topLive(cmd.Context(), o)
		},
	}
	cmd.Flags().DurationVarP(&o.interval, "interval", "d", time.Second, "time between two readings")
	cmd.Flags().IntVarP(&o.count, "count", "n", 0, "stop after so many readings; 0: never")
	cmd.Flags().BoolVarP(&o.batch, "batch", "b", false, "print plain tables one after the other")
	cmd.Flags().StringVar(&o.sort, "sort", "rate", strings.Join(sortNames, ", "))
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(sortNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

type topOptions struct {
	interval time.Duration
	count    int
	batch    bool
	sort     string
}

func (o topOptions) check() error {
	switch {
	case o.interval < minTop:
		return usage("top: --interval %v is too short: want at least %v", o.interval, minTop)
	case o.count < 0:
		return usage("top: --count %d: want 0 (for ever) or more", o.count)
	case !slices.Contains(sortNames, o.sort):
		e := usage("top: --sort wants %s, not %q", strings.Join(sortNames, ", "), o.sort)
		if near := api.Nearest(o.sort, sortNames); near != "" {
			e.cause = fmt.Sprintf("did you mean %q?", near)
		}
		e.cure = "vnetctl top --help"
		return e
	}
	return nil
}

// topBatch prints a table for each interval.
func (a *app) topBatch(ctx context.Context, o topOptions) error {
	c, err := a.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	v := topView{sort: o.sort}
	st, err := c.Stats(ctx)
	for n := 0; err == nil; {
		v.add(st)
		if n > 0 {
			if err := a.topPrint(&v); err != nil {
				return err
			}
		}
		if n++; o.count > 0 && n > o.count {
			return nil
		}
		select {
		case <-time.After(o.interval):
		case <-ctx.Done():
			return nil // interrupting is how one ends it
		}
		st, err = c.Stats(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (a *app) topPrint(v *topView) error {
	if a.json {
		return jsonLines(a.out).Encode(statsAnswer{Stats: v.now, Rates: v.rates})
	}
	if _, err := fmt.Fprintln(a.out, v.now.Time.Local().Format("15:04:05")+"  "+v.summary()); err != nil {
		return err
	}
	t := v.table()
	t.print(a.out, !a.noHeaders, a.colour)
	_, err := fmt.Fprintln(a.out)
	return err
}

// topLive shows a screen until q is pressed.
func (a *app) topLive(ctx context.Context, o topOptions) error {
	out, ok := a.outFile()
	if !ok {
		out = nil
	}
	s, err := newScreen(os.Stdin, out)
	if err != nil {
		e := usage("top: %v", err)
		e.cause, e.cure = "the live view needs a terminal to draw on and to read keys from", "vnetctl top --batch"
		return e
	}
	c, err := a.dial()
	if err != nil {
		return cannot(err, "watch ports")
	}
	defer c.Close()
	// A lost SSH session ends it too.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	t := &top{view: topView{sort: o.sort, colour: a.colour}, screen: s, read: c.Stats, interval: o.interval, count: o.count}
	return cannot(t.run(ctx), "watch ports")
}

// top is the live view.
type top struct {
	view     topView
	screen   *screen
	read     func(context.Context) (api.Stats, error)
	interval time.Duration
	count    int // readings after the first; 0: no limit

	hurry chan struct{} // read now
}

// reading is what came of asking for the counters.
type reading struct {
	stats    api.Stats
	err      error
	panicked any
}

// run draws until it is told to stop. However it ends, by a key, a signal or a
// panic, the terminal is as it was.
func (t *top) run(ctx context.Context) (err error) {
	if err := t.screen.enter(); err != nil {
		return err
	}
	defer func() {
		if e := t.screen.leave(); err == nil {
			err = e
		}
	}()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	ctx, cancel := context.WithCancel(ctx)
	readings := t.start(ctx)
	defer func() {
		cancel()
		for range readings { // until the reader has ended
		}
	}()
	for n := 0; ; {
		if err := t.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
		case r := <-readings:
			t.take(r)
			if n++; t.count > 0 && n > t.count {
				return t.draw()
			}
		case key, ok := <-t.screen.keys:
			if !ok || key == "q" || key == "Q" || key == "\x03" || key == "\x04" {
				return nil // the terminal is gone, or the user has seen enough
			}
			if key == " " || key == "\r" {
				select {
				case t.hurry <- struct{}{}:
				default: // it reads already
				}
			}
			t.view.key(key)
		}
	}
}

// start reads the counters again and again, beside the one who draws: a switch
// that hangs must not keep a key from working.
func (t *top) start(ctx context.Context) <-chan reading {
	readings := make(chan reading)
	t.hurry = make(chan struct{})
	go func() {
		defer close(readings)
		// The first rates come soon.
		for pause := min(t.interval, 250*time.Millisecond); ; pause = t.interval {
			select {
			case readings <- t.once(ctx):
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(pause):
			case <-t.hurry:
			case <-ctx.Done():
				return
			}
		}
	}()
	return readings
}

// once reads the counters. What goes wrong badly is for the one who can give
// the terminal back.
func (t *top) once(ctx context.Context) (r reading) {
	defer func() { r.panicked = recover() }()
	r.stats, r.err = t.read(ctx)
	return r
}

// take shows a reading. A switch that does not answer may come back.
func (t *top) take(r reading) {
	if r.panicked != nil {
		panic(r.panicked)
	}
	if r.err != nil {
		t.view.trouble = printable(r.err.Error())
		return
	}
	t.view.trouble = ""
	t.view.add(r.stats)
}

func (t *top) draw() error {
	w, h := t.screen.size()
	return t.screen.draw(t.view.lines(w, h), w)
}
