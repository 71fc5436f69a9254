package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows on a terminal which hosts are being worked on, a line for each,
// below what has been printed.
type progress struct {
	mu    sync.Mutex
	w     *os.File // nil: nothing is shown
	lines int      // that are on the screen now
}

// slowHost is how long a host may take without being shown.
const slowHost = 500 * time.Millisecond

func newProgress(f *fleet, many bool) *progress {
	p := &progress{}
	if w, ok := f.err.(*os.File); ok && many && !f.json && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(w.Fd())) {
		p.w = w
	}
	return p
}

// print removes the lines for as long as something else is printed.
func (p *progress) print(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	f()
}

func (p *progress) erase() {
	if p.lines > 0 {
		fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.lines)
		p.lines = 0
	}
}

// run shows the lines until stop is called.
func (p *progress) run(jobs []*job) (stop func()) {
	if p.w == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(slowHost / 2)
		defer tick.Stop()
		for {
			select {
			case <-done:
				p.print(func() {})
				return
			case now := <-tick.C:
				width, height, err := term.GetSize(int(p.w.Fd()))
				if err != nil || width < 10 {
					width, height = 80, 24
				}
				p.print(func() { p.lines = showJobs(p.w, jobs, now, width-1, height-2) })
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// showJobs writes a line for each host that has been worked on for a while, and
// one for the rest; it returns how many lines.
func showJobs(w io.Writer, jobs []*job, now time.Time, width, height int) (lines int) {
	var list []string
	finished, waiting := 0, 0
	for _, j := range jobs {
		j.mu.Lock()
		begun, finish, status := j.begun, j.finish, j.status
		j.mu.Unlock()
		switch {
		case !finish.IsZero():
			finished++
		case begun.IsZero():
			waiting++
		case now.Sub(begun) >= slowHost:
			list = append(list, fmt.Sprintf("  %s: %s, %.0f s", j.host, printable(status), now.Sub(begun).Seconds()))
		}
	}
	if len(list) == 0 {
		return 0
	}
	if over := len(list) - max(height-1, 1); over > 0 {
		list = append(list[:len(list)-over], fmt.Sprintf("  and %d more", over))
	}
	list = append(list, fmt.Sprintf("%d of %d hosts finished, %d not begun", finished, len(jobs), waiting))
	for i, line := range list {
		if len(line) > width {
			list[i] = line[:width]
		}
	}
	fmt.Fprintln(w, strings.Join(list, "\n"))
	return len(list)
}
