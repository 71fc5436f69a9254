package hostnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guardian is the run's end of the process that undoes it. Two pipes connect
// them: on the one the guardian says that it is ready, on the other the run
// says how it ended; its end without a word is the death of the run.
type guardian struct {
	tell *os.File
	cmd  *exec.Cmd
}

const (
	wordReady   = "r"
	wordApplied = "a"
	wordDismiss = "d"
)

// startGuardian returns when the guardian has read the journal and watches.
func (e *Engine) startGuardian() (*guardian, error) {
	if len(e.Guardian) == 0 {
		return nil, errors.New("there is no guardian")
	}
	hear, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer hear.Close()
	ours, tell, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirs.Close())
	}
	cmd := exec.Command(e.Guardian[0], e.Guardian[1:]...)
	cmd.ExtraFiles = []*os.File{theirs, ours}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // hanging up does not reach it
	cmd.Dir = "/"
	err = cmd.Start()
	theirs.Close()
	ours.Close()
	if err != nil {
		return nil, errors.Join(err, tell.Close())
	}
	g := &guardian{tell: tell, cmd: cmd}
	word := make([]byte, 1)
	if _, err := io.ReadFull(hear, word); err != nil || string(word) != wordReady {
		g.close()
		return nil, errors.Join(errors.New("it did not come up"), cmd.Wait())
	}
	return g, nil
}

func (g *guardian) applied() { _, _ = g.tell.WriteString(wordApplied) }

// dismiss ends a guardian that has nothing to guard; nil has none.
func (g *guardian) dismiss() {
	if g != nil {
		_, _ = g.tell.WriteString(wordDismiss)
		_ = g.cmd.Wait()
	}
}

func (g *guardian) close() { g.tell.Close() }

// RunGuardian is the guardian: the files 3 and 4 are the pipes. It returns when
// the change is confirmed, or undone.
func (e *Engine) RunGuardian(ctx context.Context) error {
	tell, hear := os.NewFile(3, "to the run"), os.NewFile(4, "from the run")
	if tell == nil || hear == nil {
		return errors.New("the guardian is started by vnetctl create and cancel, not by hand")
	}
	j, err := readJournal(e.Dir)
	if err != nil {
		return err
	}
	if j == nil || j.void() {
		return errors.New("there is no journal to guard")
	}
	if _, err := tell.WriteString(wordReady); err != nil {
		return fmt.Errorf("tell the run that its guardian watches: %w", err)
	}
	tell.Close()
	word := make([]byte, 1)
	if _, err := io.ReadFull(hear, word); err != nil {
		return e.takeBack(ctx, j.head.Plan.ID) // the run is dead
	}
	hear.Close()
	if string(word) == wordDismiss {
		return nil
	}
	e.point("guarding")
	if e.Await(ctx, j.head.Plan.ID, j.head.Plan.Confirm) {
		return nil
	}
	return e.takeBack(ctx, j.head.Plan.ID)
}

// takeBack undoes the plan, unless that or its opposite has happened.
func (e *Engine) takeBack(ctx context.Context, id string) error {
	j, err := readJournal(e.Dir)
	if err != nil || j == nil || j.void() || j.head.Plan.ID != id {
		return err
	}
	_, err = e.Recover(ctx, true)
	return err
}

// Await waits until the plan is decided, or for a time, and tells whether it
// was.
func (e *Engine) Await(ctx context.Context, id string, limit time.Duration) bool {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if j, err := readJournal(e.Dir); err == nil && (j == nil || !j.void() && j.head.Plan.ID != id) {
			return true
		}
		select {
		case <-deadline.C:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// Confirm makes a change that waits for it stay. It must come over another
// connection than the change did: the old one may have survived what no new one
// gets through.
func (e *Engine) Confirm(ctx context.Context) (verb string, err error) {
	l, err := awaitLock(ctx, e.Dir)
	if err != nil {
		return "", err
	}
	e.lock = l
	defer e.End()
	j, err := readJournal(e.Dir)
	if err != nil {
		return "", err
	}
	if j == nil || j.void() {
		return "", refuse(ErrNotFound, "no change waits for confirmation: it has been confirmed or undone", "vnetctl check")
	}
	plan := j.head.Plan
	if !j.applied || j.head.Boot != bootID() {
		return "", refuse(ErrJournal, fmt.Sprintf("%q has not come to its end", plan.Verb), "vnetctl recover")
	}
	if now := SSHConnection(); now != "" && now == j.head.SSH {
		return "", refuse(ErrInvalid, "this is the connection that made the change; that it lives proves nothing", "log in anew, and there: vnetctl confirm")
	}
	state, err := readState(e.Dir)
	if err != nil {
		return "", err
	}
	// The steps as done: numbers that the kernel gave are in the interfaces.
	if err := e.Host.fill(plan.Steps); err != nil {
		return "", err
	}
	return plan.Verb, e.commit(j, state, plan)
}

// Kept tells whether a plan that has been decided stayed: whether all it did is
// still so.
func (e *Engine) Kept(plan *Plan) bool {
	for _, step := range plan.Steps {
		if step.Done(e.Host) != nil {
			return false
		}
	}
	return true
}

// fill completes steps that were read from a journal with what doing them gave.
func (h *Host) fill(steps []Step) error {
	for _, step := range steps {
		switch s := step.(type) {
		case *Bridge:
			l, err := h.Link(s.Name)
			if err != nil {
				return err
			}
			s.Index = l.Index
		case *Macvtap:
			l, err := h.Link(s.Name)
			if err != nil {
				return err
			}
			s.Index = l.Index
		case *TAP:
			l, err := h.Link(s.Name)
			if err != nil {
				return err
			}
			s.Index = l.Index
		}
	}
	return nil
}

// SSHConnection is the SSH connection that this process came over ("client
// port server port"), or empty. sudo takes the variable away, so the processes
// above this one are asked, too.
func SSHConnection() string {
	if c := os.Getenv("SSH_CONNECTION"); c != "" {
		return c
	}
	for pid := os.Getppid(); pid > 1; {
		dir := filepath.Join("/proc", strconv.Itoa(pid))
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		for v := range strings.SplitSeq(string(env), "\x00") {
			if c, ok := strings.CutPrefix(v, "SSH_CONNECTION="); ok && c != "" {
				return c
			}
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			return ""
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the name may have anything in it
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			return ""
		}
		pid, _ = strconv.Atoi(fields[1])
	}
	return ""
}
