package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/term"

	"vnetkit/mgmt/api"
	"vnetkit/remote"
	"vnetkit/remote/shell"
)

// terminals tells whether a person sits here.
func terminals() bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
}

// attached runs a verb on one host that has this process's standard input: with
// its terminal, or as a pipe.
func (f *fleet) attached(ctx context.Context, terminal bool) error {
	words := append([]string{farProgram}, f.words...)
	if f.pusher != nil {
		if err := f.bring(ctx); err != nil {
			return err
		}
		words = f.pusher.command(f.words)
	}
	if terminal {
		return f.onTerminal(ctx, words)
	}
	return f.piped(ctx, words)
}

// bring sees to it that the other side has this version: the verb itself cannot,
// since its input comes only once.
func (f *fleet) bring(ctx context.Context) error {
	first := *f
	first.words = []string{"list", "--interval=0"}
	j := first.jobs()[0]
	j.run(ctx)
	_ = j.out.Close() // nobody wants what list says, nor its exit code
	_ = j.err.Close()
	return j.failure
}

// beginScript says that what follows is a verb's, and no log-in's any more.
const beginScript = `command -v "$1" >/dev/null || { echo "$1: not found" >&2; exit 127; }
echo "$0"; echo "$0" >&2; exec "$@"`

// piped gives the verb this process's input, and hands on what it says.
func (f *fleet) piped(ctx context.Context, words []string) error {
	f.streams = true // --timeout is for the beginning
	j := f.jobs()[0]
	j.stdin, j.piped = os.Stdin, append([]string{"sh", "-c", beginScript, fmt.Sprintf("%s %d", farGreets, farVersion)}, words...)
	now := func(write func()) { write() }
	out, errs := &lineWriter{to: f.out, lock: now}, &lineWriter{to: f.err, lock: now}
	_ = j.out.Release(out) // nothing has come yet
	_ = j.err.Release(errs)
	j.run(ctx)
	out.flush()
	errs.flush()
	if j.failure != nil {
		return j.failure
	}
	return errSilent(j.code)
}

// knownCode is an exit code that is documented.
func knownCode(code int) int {
	if codeWords[code] == "" {
		return api.ExitFailed
	}
	return code
}

// screenAbandon is screenLeave for a screen that may not be another page at all:
// 1049 would move the cursor then.
const screenAbandon = "\x1b[?25h\x1b[?1047l\r"

// onTerminal gives the verb this process's terminal.
func (f *fleet) onTerminal(ctx context.Context, words []string) error {
	h := f.hosts[0]
	f.ssh.Connect = f.limit
	code, err := f.ssh.Terminal(ctx, h, words)
	if slices.Contains(f.words, "top") && (err != nil || code == remote.ConnectionFailed) {
		fmt.Fprint(f.out, screenAbandon) // nobody there can give the terminal back any more
	}
	switch {
	case errors.Is(err, context.Canceled):
		return cannot(err, "go on at %s", h)
	case err != nil:
		return cannot(err, "reach %s", h)
	case code == remote.ConnectionFailed:
		return cannot(&api.Error{Code: api.ErrUnreachable, Message: "the connection was not made, or was cut", Hint: "see what ssh says: " + shell.Quote(f.ssh.Try(h, "true"))}, "go on at %s", h)
	case code == 127:
		return cannot(&api.Error{Code: api.ErrFailed, Message: "it is not installed there", Hint: bringCure}, "run vnetctl on %s", h)
	}
	return errSilent(knownCode(code))
}
