package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/remote"
)

const (
	plugged    = "vswitch plug: plugged in" // what the two ends say first
	firstPause = 200 * time.Millisecond     // before a cable is plugged in again
	longPause  = 10 * time.Second
	leavePause = 3 * time.Second // for an end to leave by itself
)

func (a *app) linkCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "link HOST-A:NAME HOST-B:NAME",
		Short: "Join two switches on two hosts by a cable through SSH",
		Long: `Join two switches by a cable: "vswitch plug" runs on both hosts, and what one of
them says the other one hears, through SSH and this process. The cable is a port
of both switches. NAME is as in -s; without a host it is a switch of this one.

It goes on until interrupted. When an end leaves, because its switch or its
connection does, the cable is plugged in again and again until it holds, at most
10 s apart. A cable that could not be plugged in the first time is an error, and
so is one that is not within --timeout (30 s).

Two cables between the same switches are a loop: see vnetctl stp.`,
		Example: `  vnetctl link node1:lab node2:lab
  vnetctl link lab admin@node2:lab                 one end on this host
  vnetctl link node1:lab node2:/srv/sw --once      end when an end leaves`,
		Args: arguments(2, 2, "two switches, each as HOST:NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"remote", "push"} {
				if f := cmd.Flags().Lookup(name); f.Changed {
					e := usage("link: --%s does not go with it", name)
					e.cause, e.cure = "each switch has its host in front, where vswitch must be installed", "vnetctl link HOST-A:NAME HOST-B:NAME"
					return e
				}
			}
			l := &sshLink{app: a, once: once, limit: hostLimit}
			if cmd.Flags().Changed("timeout") {
				l.limit = a.timeout
			}
			for i, text := range args {
				var err error
				if l.ends[i], err = a.newLinkEnd(text); err != nil {
					return err
				}
			}
			return cannot(l.run(cmd.Context()), "link %s and %s", args[0], args[1])
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end when the cable does")
	return cmd
}

// linkEnd is one end of a link.
type linkEnd struct {
	name string
	argv []string // what runs its plug
}

// newLinkEnd reads HOST:NAME, or NAME.
func (a *app) newLinkEnd(text string) (*linkEnd, error) {
	// Frames of any length that a switch can have.
	plug := []string{"vswitch", "plug", "--verbose", "--max=65535"}
	host, name, ok := cutTarget(text)
	if !ok {
		name = text
	}
	if strings.HasPrefix(name, "-") || name == "=" {
		return nil, usage("link: %q is no switch", text)
	}
	if name != "" {
		plug = append(plug, name)
	}
	e := &linkEnd{name: text, argv: plug}
	if !ok {
		if self, err := os.Executable(); err == nil {
			if path := filepath.Join(filepath.Dir(self), plug[0]); exec.Command(path).Err == nil {
				if _, err := os.Stat(path); err == nil {
					plug[0] = path
				}
			}
		}
		return e, nil
	}
	hosts, err := a.remote.hosts(host)
	if err != nil {
		return nil, err
	}
	if len(hosts) != 1 {
		return nil, usage("link: %s is %d hosts, and a cable's end is on one", host, len(hosts))
	}
	ssh, err := a.remote.reach()
	if err != nil {
		return nil, err
	}
	e.argv = ssh.Line(hosts[0], plug...)
	return e, nil
}

// sshLink is a cable that is plugged in again when it is pulled.
type sshLink struct {
	*app
	ends  [2]*linkEnd
	once  bool
	limit time.Duration // until both ends are plugged in; 0: none
}

func (l *sshLink) run(ctx context.Context) error {
	pause := firstPause
	everUp := false
	for {
		begin := time.Now()
		up, err := l.plugIn(ctx)
		everUp = everUp || up
		if ctx.Err() != nil {
			return nil // interrupting is how one ends it
		}
		if l.once && up && err == nil {
			return nil
		}
		if l.once || !everUp {
			return err
		}
		if up && time.Since(begin) > longPause {
			pause = firstPause
		}
		fmt.Fprintf(l.err, "vnetctl: the link is down: %s; again in %v\n", printable(fmt.Sprint(err)), pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, longPause)
	}
}

// linkProcess is the plug of one end while it runs.
type linkProcess struct {
	*linkEnd
	cmd   *exec.Cmd
	said  *plugWords
	ended chan struct{}
}

// plugIn runs both ends, each with its output in the other's input, until one of
// them ends. up tells whether both were plugged in.
func (l *sshLink) plugIn(ctx context.Context) (up bool, err error) {
	var pipes [2][2]*os.File // what [i] writes the other reads
	for i := range pipes {
		r, w, err := os.Pipe()
		if err != nil {
			return false, err
		}
		defer r.Close()
		defer w.Close()
		pipes[i] = [2]*os.File{r, w}
	}
	ready := make(chan struct{}, 2)
	var list [2]*linkProcess
	for i, e := range l.ends {
		p := &linkProcess{linkEnd: e, cmd: exec.Command(e.argv[0], e.argv[1:]...), ended: make(chan struct{})}
		p.said = &plugWords{plugged: func() { ready <- struct{}{} }}
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = pipes[1-i][0], pipes[i][1], p.said
		p.cmd.SysProcAttr = linkProcessAttr() // Ctrl-C is for us
		p.cmd.WaitDelay = time.Second
		if err := p.cmd.Start(); err != nil {
			if i == 1 {
				list[0].stop()
			}
			return false, fmt.Errorf("%s: %w", e.name, err)
		}
		go func() {
			_ = p.cmd.Wait() // ProcessState says how it ended
			close(p.ended)
		}()
		list[i] = p
	}
	for _, pipe := range pipes { // the ends must see each other leave
		pipe[0].Close()
		pipe[1].Close()
	}
	first, up, err := l.await(ctx, ready, list)
	var wait sync.WaitGroup
	for _, p := range list {
		wait.Go(p.stop)
	}
	wait.Wait()
	if err != nil {
		return up, err
	}
	return up, blame(first, list)
}

// await waits until an end leaves, or is to leave, and tells which; up: both were
// plugged in.
func (l *sshLink) await(ctx context.Context, ready <-chan struct{}, list [2]*linkProcess) (first *linkProcess, up bool, err error) {
	var late <-chan time.Time
	if l.limit > 0 {
		late = time.After(l.limit)
	}
	for n := 0; ; {
		select {
		case <-ready:
			if n++; n == 2 {
				up, late = true, nil
				fmt.Fprintf(l.err, "vnetctl: linked %s and %s\n", printable(l.ends[0].name), printable(l.ends[1].name))
			}
		case <-list[0].ended:
			return list[0], up, nil
		case <-list[1].ended:
			return list[1], up, nil
		case <-late:
			return list[0], up, l.tooLate(list)
		case <-ctx.Done():
			return list[0], up, nil
		}
	}
}

// tooLate says which ends have not plugged in.
func (l *sshLink) tooLate(list [2]*linkProcess) error {
	var names []string
	for _, p := range list {
		if !p.said.isPlugged() {
			names = append(names, p.name)
		}
	}
	return &api.Error{Code: api.ErrUnreachable, Message: fmt.Sprintf("no answer within %v: %s", l.limit, strings.Join(names, ", ")), Hint: "give it more time: --timeout"}
}

// stop has a plug leave, which it does when its input ends, and sees to it.
func (p *linkProcess) stop() {
	for _, step := range []struct {
		wait   time.Duration
		signal syscall.Signal
	}{{leavePause / 10, syscall.SIGTERM}, {leavePause, syscall.SIGKILL}} {
		select {
		case <-p.ended:
			return
		case <-time.After(step.wait):
			_ = syscall.Kill(-p.cmd.Process.Pid, step.signal) // fails if it has just ended
		}
	}
	<-p.ended
}

// blame says which end left, and why. The one that said something knows more
// than the one that only saw its input end.
func blame(first *linkProcess, list [2]*linkProcess) error {
	for _, p := range list {
		if p != first && first.cmd.ProcessState.Success() && !p.cmd.ProcessState.Success() && p.said.last() != "" {
			first = p
			break
		}
	}
	what := first.said.last()
	code := first.cmd.ProcessState.ExitCode()
	if what == "" {
		what = "it left: " + first.cmd.ProcessState.String()
	}
	e := &api.Error{Code: api.ErrFailed, Message: first.name + ": " + what}
	if code == remote.ConnectionFailed || code == api.ExitUnreachable {
		e.Code = api.ErrUnreachable
	}
	if code == 127 {
		e.Hint = "install vswitch there"
	}
	return e
}

// plugWords is what a plug says.
type plugWords struct {
	plugged func() // called once

	mu   sync.Mutex
	text tail
	seen bool
}

func (w *plugWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.text.Write(p) // never fails
	if !w.seen && strings.Contains(w.text.String(), plugged) {
		w.seen = true
		w.plugged()
	}
	return len(p), nil
}

func (w *plugWords) isPlugged() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// last is the last of its complaints: neither its greeting nor its counts nor a
// cure.
func (w *plugWords) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := ""
	for line := range strings.Lines(w.text.String()) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, plugged) && !strings.HasPrefix(line, "cure:") && !strings.Contains(line, " -> ") {
			found = line
		}
	}
	return found
}
