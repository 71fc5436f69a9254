//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"
)

// runAll measures every cell of every scenario. A cell that failed is not tried again: the report names it.
func runAll(b *bed, list []*scenario, o *options) *results {
	r, begun, wait := &results{}, time.Now(), &patience{left: 3 * time.Minute}
	if o.quick {
		wait.left = 30 * time.Second
	}
	for i, s := range list {
		reps := o.count
		if s.reps != nil {
			reps = s.reps(o.count)
		}
		fmt.Fprintf(os.Stderr, "[%d/%d] %s  %d x %d  (%v)\n", i+1, len(list), s.name, reps, len(s.cells), time.Since(begun).Round(time.Second))
		failed := map[string]bool{}
		for rep := range reps {
			for k := range s.cells {
				c := s.cells[(k+rep)%len(s.cells)] // nobody is always the first one of a turn
				if failed[c.name] {
					continue
				}
				one := measureCell(b, s, c, rep, wait)
				failed[c.name] = one.Error != ""
				r.add(one)
				if o.verbose {
					printSample(os.Stderr, one)
				}
			}
		}
	}
	return r
}

// Other programs on the machine do not merely slow a measurement down: when one CPU is taken, clients and switch share the
// other, wake each other without crossing CPUs, and round trips become several times faster. So a measurement beside
// which others used more than this is taken again.
const (
	foreignLimit = 25.0 // per cent of one CPU; a quiet machine shows 2 to 17, interrupts and the cost of idling included
	attempts     = 4
)

// patience is the time that measuring again may still cost in this run.
type patience struct{ left time.Duration }

func measureCell(b *bed, s *scenario, c cell, rep int, p *patience) sample {
	one := sample{Scenario: s.name, Cell: c.name, Peer: c.peer.name != self, Rep: rep}
	for try := 1; ; try++ {
		begun := time.Now()
		if c.direct != nil {
			var err error
			if one.Values, err = c.direct(b); err != nil {
				one.Error = err.Error()
			}
			return one
		}
		seen, err := b.measure(c.peer, c.plan)
		if err != nil {
			one.Error = err.Error()
			return one
		}
		one.Values = seen.traffic()
		if c.more != nil {
			c.more(seen, one.Values)
		}
		// The kernel bridge works in ksoftirqd, which counts as others.
		one.Disturbed = one.Values[mForeign] > foreignLimit && seen.cpu >= 0
		if !one.Disturbed || try == attempts || p.left <= 0 {
			return one
		}
		awaitQuiet(min(p.left, 15*time.Second))
		p.left -= time.Since(begun)
	}
}

// awaitQuiet returns when nothing else has run for a quarter of a second, or when it has waited long enough.
func awaitQuiet(most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); {
		const look = 250 * time.Millisecond
		was, err := idleTime()
		time.Sleep(look)
		is, err2 := idleTime()
		busy := time.Duration(runtime.NumCPU())*look - (is - was)
		if err != nil || err2 != nil || float64(busy) < float64(look)*foreignLimit/100 {
			return
		}
	}
}

func printSample(w io.Writer, s sample) {
	fmt.Fprintf(w, "    %d %-12s", s.Rep, s.Cell)
	for _, k := range slices.Sorted(maps.Keys(s.Values)) {
		fmt.Fprintf(w, " %s=%.4g", k, s.Values[k])
	}
	if s.Disturbed {
		fmt.Fprint(w, " disturbed")
	}
	fmt.Fprintln(w, "", s.Error)
}

// holdOne keeps the first cell of a scenario busy, for a profiler.
func holdOne(b *bed, s *scenario, d time.Duration) error {
	c := s.cells[0]
	p := *c.plan
	p.dur = d
	p.started = func(pid int) {
		fmt.Printf("%s on %s for %v, pid %d\n    perf record -g -p %d -- sleep %d\n", s.name, c.name, d, pid, pid, max(1, int(d.Seconds())-1))
	}
	held := c
	held.plan = &p
	one := measureCell(b, s, held, 0, &patience{})
	if one.Error != "" {
		return fmt.Errorf("%s on %s: %s", s.name, c.name, one.Error)
	}
	printSample(os.Stdout, one)
	return nil
}

func countMissed(r *results) int { return printTargets(io.Discard, r) }
