package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/remote"
	"vnetkit/remote/shell"
)

// job is a verb on one host.
type job struct {
	*fleet
	host   remote.Host
	number int
	stdin  io.Reader // nil: its input only says that it may go on
	piped  []string  // with stdin: what to run

	out, err remote.Spool // what it prints, until it is its turn
	peer     peer
	heard    bool // it greeted
	greetOut *greeting
	greetErr greeting
	timer    *time.Timer
	cancel   context.CancelCauseFunc

	mu      sync.Mutex
	begun   time.Time // zero: it waits for its turn to run
	finish  time.Time
	status  string // for people who wait
	code    int
	failure error // what this side found wrong
}

// run carries the verb out and finds out how it went.
func (j *job) run(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j.cancel = cancel
	j.say("connecting")
	if j.limit > 0 {
		j.timer = time.AfterFunc(j.limit, func() { cancel(remote.ErrTimeout) })
		defer j.timer.Stop()
	}
	code, err := -1, context.Cause(ctx)
	if err == nil {
		code, err = j.reachIt(ctx)
	}
	j.code, j.failure = j.judge(code, err)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.finish = time.Now()
}

// reachIt runs vnetctl there, and brings it before if it must.
func (j *job) reachIt(ctx context.Context) (int, error) {
	words := append([]string{farProgram}, j.farArgs()...)
	if j.stdin != nil {
		return j.once(ctx, j.piped)
	}
	if j.pusher == nil {
		return j.once(ctx, words)
	}
	arch := ""
	for range 2 {
		code, err := j.once(ctx, j.pusher.command(j.farArgs()))
		if arch = j.pusher.wanted(code, j.before()); arch == "" || err != nil {
			return code, err
		}
		j.say("copying vnetctl")
		if err := j.pusher.push(ctx, j.ssh, j.host, arch); err != nil {
			return -1, err
		}
	}
	return -1, errors.New("it was copied there and is not there now")
}

// bringCure helps where vnetctl is not, or another one.
const bringCure = "install vnetkit there, or let vnetctl bring it: --push"

// farProgram is what the shell over there looks for in its PATH.
const farProgram = "vnetctl"

func (j *job) farArgs() []string {
	return append([]string{fmt.Sprintf("--far=%d", farVersion)}, j.words...)
}

// once runs words there; the two outputs go where they belong from the greeting
// on.
func (j *job) once(ctx context.Context, words []string) (int, error) {
	j.heard = false
	stdout := j.stdout()
	out := &greeting{to: stdout, failed: j.cancel, heard: func(words []string) {
		j.heard = true
		j.peer.set(words)
		j.say("running")
		if j.streams {
			j.noLimit()
		}
	}}
	j.greetOut = out
	j.greetErr = greeting{to: &j.err, failed: j.cancel}
	code, err := j.ssh.Run(ctx, remote.Run{Host: j.host, Words: words, Stdin: j.stdin, Hello: farHello, Stdout: out, Stderr: &j.greetErr})
	if filter, ok := stdout.(*lineFilter); ok && err == nil {
		_, err = filter.to.Write(filter.part)
	}
	return code, err
}

// noLimit lets it go on for as long as it wants.
func (j *job) noLimit() {
	if j.timer != nil {
		j.timer.Stop()
	}
}

// stdout is where its standard output goes.
func (j *job) stdout() io.Writer {
	if j.applied == nil {
		return &j.out
	}
	return &lineFilter{to: &j.out, take: func(line string) bool {
		if line != farApplied {
			return false
		}
		j.noLimit() // from now on there is the time for confirming
		j.say("waiting for the others")
		j.applied(j)
		return true
	}}
}

// before is what it said on its standard error instead of greeting.
func (j *job) before() string { return strings.TrimSpace(string(j.greetErr.before)) }

func (j *job) say(status string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.begun.IsZero() {
		j.begun = time.Now()
	}
	j.status = status
}

// judge is the exit code for a host, and the error if its vnetctl did not say
// one itself.
func (j *job) judge(code int, err error) (int, error) {
	host := j.host.String()
	unreachable := func(cause, cure string) (int, error) {
		return api.ExitUnreachable, cannot(&api.Error{Code: api.ErrUnreachable, Message: cause, Hint: cure}, "reach %s", host)
	}
	failed := func(cause, cure string) (int, error) {
		return api.ExitFailed, cannot(&api.Error{Code: api.ErrFailed, Message: cause, Hint: cure}, "run vnetctl on %s", host)
	}
	said := lastLine(j.before())
	switch {
	case errors.Is(err, remote.ErrTimeout) && j.heard:
		return unreachable(fmt.Sprintf("it began, and did not come to an end within %v", j.limit), "give it more time: --timeout")
	case errors.Is(err, remote.ErrTimeout):
		return unreachable(strings.TrimSuffix(fmt.Sprintf("no answer within %v; %s", j.limit, said), "; "), "see whether it answers at all: "+j.tryIt())
	case errors.Is(err, context.Canceled) && j.heard && code >= 0 && code != remote.ConnectionFailed:
		return code, nil // it was told, and came to its own end
	case errors.Is(err, context.Canceled):
		return failed("interrupted", "")
	case errors.Is(err, errPush):
		return unreachable(err.Error(), "")
	case err != nil:
		var typed *api.Error
		if errors.As(err, &typed) {
			return api.ExitFailed, cannot(typed, "run vnetctl on %s", host)
		}
		return failed(err.Error(), "")
	case !j.heard && code == remote.ConnectionFailed:
		return unreachable(cmp.Or(lastLines(j.before()), "the connection was cut before it began"), "see what ssh says: "+j.tryIt())
	case !j.heard && strings.Contains(j.before(), "unknown flag: --far"):
		return failed("vnetctl there is older than this one, and cannot be used from here", bringCure)
	case !j.heard && code == api.ExitUsage && strings.HasPrefix(j.before(), "vnetctl: "):
		return api.ExitUsage, cannot(&api.Error{Code: "usage", Message: oneLine(j.before()), Hint: "is it of another version? " + bringCure}, "run this on %s", host)
	case !j.heard && code == 127:
		return failed("it is not installed there: "+said, bringCure)
	case !j.heard && code == 126:
		return failed("it cannot be run there: "+said, "is it for another architecture? "+bringCure)
	case !j.heard:
		said = cmp.Or(said, lastLine(string(j.greetOut.before)))
		return failed(fmt.Sprintf("it does not answer as vnetctl does: %q (exit code %d)", said, code), "does something print at log-in, and end it? "+j.tryIt())
	case j.peer.check() != nil:
		return api.ExitFailed, cannot(j.peer.check(), "run vnetctl on %s", host)
	case code == remote.ConnectionFailed:
		return unreachable("the connection was cut, or vnetctl there killed, before it came to its end", "see what it left: vnetctl -r "+host+" check")
	case codeWords[code] == "": // a shell's for a signal, say
		return failed(fmt.Sprintf("it ended with exit code %d, which is none of its own; was it killed?", code), "see what it left: vnetctl -r "+host+" check")
	}
	return code, nil
}

// tryIt is a command that shows what ssh says.
func (j *job) tryIt() string {
	return shell.Quote(j.ssh.Try(j.host, "true"))
}

// lastLine is the last line of a text that says something.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// lastLines are the last two lines of a text: ssh says what became of the
// connection behind what was the matter.
func lastLines(text string) string {
	last := lastLine(text)
	before := lastLine(strings.TrimSuffix(strings.TrimSpace(text), last))
	return strings.TrimPrefix(before+"; "+last, "; ")
}

// lineFilter passes on all lines but those that take wants.
type lineFilter struct {
	to   io.Writer
	take func(line string) bool
	part []byte
}

func (f *lineFilter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		f.part, rest = append(f.part, line...), after
		if !whole && len(f.part) <= longestLine {
			break
		}
		if whole && f.take(string(f.part)) {
			f.part = f.part[:0]
			continue
		}
		if whole {
			f.part = append(f.part, '\n')
		}
		_, err := f.to.Write(f.part)
		f.part = f.part[:0]
		if err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
