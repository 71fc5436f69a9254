package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Run is one command on one host.
type Run struct {
	Host  Host
	Words []string // the command and its arguments

	// Stdin is what the command reads; nil: Hello, and then nothing, until the run
	// is to end. So a command can tell by the end of its standard input that nobody
	// wants it any more.
	Stdin io.Reader
	Hello string

	Stdout, Stderr io.Writer
	Fresh          bool // over a new connection of its own
}

// ConnectionFailed is the exit code of ssh when it could not connect, or the
// connection or the command over there was cut off.
const ConnectionFailed = 255

// ErrTimeout is the cause to cancel a run with that takes too long. One that ends
// for any cause but context.Canceled is not waited for as long as one that a
// person interrupts.
var ErrTimeout = errors.New("no answer in time")

// How long a command may take to leave when it is told to.
const (
	patience       = 5 * time.Second
	shortPatience  = 300 * time.Millisecond
	afterSIGTERM   = 500 * time.Millisecond
	afterItsOutput = time.Second // others may hold its output open: the connection does, while the command lives
)

// Run runs r and returns the exit code of the command, or ssh's. The error is for
// what kept it from running, or why ctx ended it.
func (s *SSH) Run(ctx context.Context, r Run) (code int, err error) {
	if err := context.Cause(ctx); err != nil {
		return -1, err
	}
	cmd := exec.Command(s.Command[0], s.args(r.Host, r.Fresh, false, r.Words...)...)
	cmd.Stdin = r.Stdin
	cmd.WaitDelay = afterItsOutput // for an input that does not end
	cmd.SysProcAttr = alone()
	hangUp := func() {}
	if r.Stdin == nil {
		in, err := cmd.StdinPipe()
		if err != nil {
			return -1, err
		}
		hangUp = sync.OnceFunc(func() { _ = in.Close() })
		go func() { _, _ = io.WriteString(in, r.Hello) }() // fails if ssh ends at once
	}
	outs, err := connect(cmd, r.Stdout, r.Stderr)
	if err == nil {
		err = cmd.Start()
		outs.started()
	}
	if err != nil {
		hangUp()
		outs.await()
		return -1, fmt.Errorf("start %s: %w", s.Command[0], err)
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ended:
		case <-ctx.Done():
			hangUp()
			end(cmd.Process.Pid, ended, !errors.Is(context.Cause(ctx), context.Canceled) || r.Stdin != nil)
		}
	}()
	_ = cmd.Wait() // ProcessState says how it ended
	close(ended)
	<-stopped
	for _, o := range outs {
		o.finish(ctx.Done())
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, ErrTimeout) {
			s.forget(r)
		}
		return cmd.ProcessState.ExitCode(), cause
	}
	return cmd.ProcessState.ExitCode(), nil
}

// alone has ssh run without this process's terminal. Ctrl-C is for us, who tell
// the other side. And the ssh to a jump host does not know of our BatchMode: with
// a terminal at hand it would ask there for a password, and be stopped for that.
func alone() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// end waits until ssh has ended, and helps.
func end(pid int, ended <-chan struct{}, hurry bool) {
	first := patience
	if hurry {
		first = shortPatience
	}
	for _, step := range []struct {
		wait   time.Duration
		signal syscall.Signal
	}{{first, syscall.SIGTERM}, {afterSIGTERM, syscall.SIGKILL}} {
		select {
		case <-ended:
			return
		case <-time.After(step.wait):
			_ = syscall.Kill(-pid, step.signal) // fails if it has just ended
		}
	}
}

// forget has the next run make a new connection: the one there is may be what
// does not answer. Others who use it keep it.
func (s *SSH) forget(r Run) {
	if r.Fresh || s.control() == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	args := append([]string{"-O", "stop"}, s.args(r.Host, false, false)...)
	_ = exec.CommandContext(ctx, s.Command[0], args...).Run() // fails where there is none
}

// Terminal runs a command with this process's terminal, as ssh -t does, until
// ctx ends it.
func (s *SSH) Terminal(ctx context.Context, h Host, words []string) (code int, err error) {
	cmd := exec.CommandContext(ctx, s.Command[0], s.args(h, false, true, words...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it gives the terminal back
	cmd.WaitDelay = patience
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return -1, context.Cause(ctx)
	case cmd.ProcessState == nil:
		return -1, fmt.Errorf("start %s: %w", s.Command[0], err)
	case interrupted(cmd.ProcessState): // Ctrl-C was for both of us, and ssh was quicker
		return -1, context.Canceled
	case !cmd.ProcessState.Exited():
		return -1, fmt.Errorf("%s: %w", s.Command[0], err)
	}
	return cmd.ProcessState.ExitCode(), nil
}

func interrupted(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGINT
}

// Each calls f for every host, in their order, at most parallel of them at a
// time, and returns when all have returned.
func Each(hosts []Host, parallel int, f func(i int, h Host)) {
	var wait sync.WaitGroup
	places := make(chan struct{}, max(parallel, 1))
	for i, h := range hosts {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			f(i, h)
		})
	}
	wait.Wait()
}
