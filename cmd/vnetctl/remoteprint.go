package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"vnetkit/mgmt/api"
)

// printer prints what hosts say, one after the other in the order they were
// given. The first that is not finished prints at once; those behind it wait.
// What streams is printed as it comes, with the host in front of each line.
type printer struct {
	*fleet
	jobs     []*job
	many     bool
	progress *progress

	mu   sync.Mutex
	next int // whose turn it is
	done map[int]bool
	outs []*lineWriter // of each host, from its turn on
	errs []*lineWriter
}

func newPrinter(f *fleet, jobs []*job) *printer {
	p := &printer{fleet: f, jobs: jobs, many: len(jobs) > 1, done: map[int]bool{}, outs: make([]*lineWriter, len(jobs)), errs: make([]*lineWriter, len(jobs))}
	p.progress = newProgress(f, p.many && !f.streams)
	if f.streams {
		for _, j := range jobs {
			p.release(j)
		}
	}
	return p
}

// release lets a host print.
func (p *printer) release(j *job) {
	host := ""
	if p.many {
		host = j.host.String() + ": "
	}
	out := &lineWriter{to: p.out, lock: p.progress.print, text: true}
	switch {
	case p.streams && p.json:
		out.wrap = func(line []byte) []byte { return p.jsonLine(j, line) }
	case p.streams:
		out.prefix = host
	}
	p.outs[j.number] = out
	p.errs[j.number] = &lineWriter{to: p.err, lock: p.progress.print, text: true, prefix: host}
	if p.json && !p.streams {
		return // one object, when all has come
	}
	if p.many && !p.streams {
		p.progress.print(func() { fmt.Fprintf(p.out, "=== %s\n", j.host) })
	}
	_ = j.out.Release(out) // a temporary file that cannot be read; what there is is printed
	_ = j.err.Release(p.errs[j.number])
}

// turn lets the next host print.
func (p *printer) turn() {
	if p.next < len(p.jobs) && !p.streams {
		p.release(p.jobs[p.next])
	}
}

// finished prints the rest of a host, if it is its turn, and of those who have
// waited for it.
func (p *printer) finished(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[j.number] = true
	if p.streams {
		p.end(j)
		return
	}
	for p.done[p.next] {
		p.end(p.jobs[p.next])
		p.next++
		p.turn()
	}
}

// end prints the last of a host.
func (p *printer) end(j *job) {
	if p.json && !p.streams {
		p.object(j)
		return
	}
	p.outs[j.number].flush()
	if j.failure == nil {
		p.errs[j.number].flush()
		return
	}
	if p.streams && p.json {
		p.progress.print(func() {
			_ = jsonLines(p.out).Encode(hostAnswer{Host: j.host.String(), Exit: j.code, Error: failureOf(j.failure)})
		})
		return
	}
	p.errs[j.number].flush()
	what, e, _ := parts(j.failure)
	w := p.errs[j.number]
	fmt.Fprintf(w, "vnetctl: %s\n", what)
	if e.Message != "" {
		fmt.Fprintf(w, "  cause: %s\n", oneLine(e.Message))
	}
	if e.Hint != "" {
		fmt.Fprintf(w, "  cure:  %s\n", oneLine(e.Hint))
	}
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }

// sum prints the sum and returns the worst exit code.
func (p *printer) sum() error {
	text, worst := sumUpHosts(p.jobs)
	if p.many && !p.json {
		fmt.Fprintf(p.err, "vnetctl: %s\n", printable(text))
	}
	return errSilent(worst)
}

// hostAnswer is what every verb prints with -r and --json: one object for each
// host, in the order they were given, each on a line. A verb that goes on until it
// is interrupted prints one for each of its own lines, as they come.
type hostAnswer struct {
	Host   string          `json:"host"`             // as in -r
	Exit   int             `json:"exit"`             // the exit code there
	Answer json.RawMessage `json:"answer,omitempty"` // what the verb prints with --json on that host
	Error  *api.Error      `json:"error,omitempty"`  // of that host's vnetctl, or why there is no answer
}

// object prints the answer of one host.
func (p *printer) object(j *job) {
	answer := hostAnswer{Host: j.host.String(), Exit: j.code}
	var out, errs bytes.Buffer
	if err := errors.Join(j.out.Release(&out), j.err.Release(&errs)); err != nil && j.failure == nil {
		j.code, j.failure = api.ExitFailed, err
	}
	if text := bytes.TrimSpace(out.Bytes()); len(text) > 0 {
		if json.Valid(text) {
			answer.Answer = text
		} else if j.failure == nil {
			j.code, j.failure = api.ExitFailed, &api.Error{Code: api.ErrBadAnswer, Message: fmt.Sprintf("%s: its answer is no JSON: %.80q", j.host, text)}
		}
	}
	var theirs api.Failure
	for line := range bytes.Lines(errs.Bytes()) {
		if json.Unmarshal(line, &theirs) != nil {
			fmt.Fprintf(p.err, "%s: %s\n", j.host, clean(string(bytes.TrimSuffix(line, []byte("\n")))))
		}
	}
	answer.Exit, answer.Error = j.code, theirs.Error
	if j.failure != nil {
		answer.Error = failureOf(j.failure)
	}
	p.progress.print(func() { _ = jsonLines(p.out).Encode(answer) })
}

// jsonLine puts a line of a host's into an object that names the host.
func (p *printer) jsonLine(j *job, line []byte) []byte {
	if !json.Valid(line) {
		return nil
	}
	text, err := json.Marshal(hostAnswer{Host: j.host.String(), Answer: json.RawMessage(line)})
	if err != nil {
		return nil
	}
	return text
}

// lineWriter passes on whole lines, without what could play tricks on a terminal.
type lineWriter struct {
	to     io.Writer
	lock   func(func()) // around each write
	prefix string
	text   bool
	wrap   func(line []byte) []byte // makes a line of a line; nil: none
	part   []byte
}

// longestLine is how much of a line waits for its end.
const longestLine = 1 << 20

func (w *lineWriter) Write(p []byte) (n int, err error) {
	n = len(p)
	var lines []byte
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			break
		}
		lines = w.line(lines, append(w.part, p[:i]...))
		w.part, p = w.part[:0], p[i+1:]
	}
	if w.part = append(w.part, p...); len(w.part) > longestLine {
		lines = w.line(lines, w.part)
		w.part = w.part[:0]
	}
	if len(lines) > 0 {
		w.lock(func() { _, err = w.to.Write(lines) })
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errOutput, err)
	}
	return n, nil
}

func (w *lineWriter) line(to, line []byte) []byte {
	if w.wrap != nil {
		if line = w.wrap(line); line == nil {
			return to
		}
		return append(append(to, line...), '\n')
	}
	return append(append(append(to, w.prefix...), clean(string(line))...), '\n')
}

// flush writes a last line that has no end.
func (w *lineWriter) flush() {
	if len(w.part) > 0 {
		_, _ = w.Write([]byte("\n")) // the next to write sees it, too
	}
}

// clean is printable, but for tabs.
func clean(line string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, line)
}
