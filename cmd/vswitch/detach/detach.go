// Package detach sends a program to the background, and lets its caller know
// whether it got there.
//
// A daemon that leaves its caller must have told the truth by then: the caller's
// exit code says whether everything is open. Go cannot fork, so Start starts the
// program once more, in a session of its own, and waits for one byte through a
// pipe. Until then the new process still has the caller's standard error, to
// complain on, and is sent the caller's signals.
package detach

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
)

// readyVar names, in the environment, the descriptor to write that byte to.
const readyVar = "VSWITCH_READY_FD"

// Start starts this program as a daemon and waits until it is ready or has
// ended. It returns the exit code of the caller; an error is for the caller to
// print, where the daemon could not.
func Start() (code int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 1, fmt.Errorf("go to the background: %w", err)
	}
	defer r.Close()
	cmd, err := again(w)
	w.Close()
	if err != nil {
		return 1, fmt.Errorf("go to the background: %w", err)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // it is in another session, and hears nothing from the terminal
		for sig := range signals {
			_ = cmd.Process.Signal(sig) // it may be gone already
		}
	}()
	var ready [1]byte
	if _, err := io.ReadFull(r, ready[:]); err == nil {
		return 0, nil
	}
	_ = cmd.Wait() // the state says it all
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		return code, nil
	}
	if !cmd.ProcessState.Success() {
		return 1, fmt.Errorf("the daemon died: %v", cmd.ProcessState)
	}
	return 1, nil // whatever it was, it is not running
}

// again starts this program with the same arguments; it is to write to ready.
func again(ready *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), readyVar+"=3")
	cmd.ExtraFiles = []*os.File{ready}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, cmd.Start()
}

// Caller is who waits for this process to be ready, if it is the daemon. The
// zero Caller is nobody.
type Caller struct{ pipe *os.File }

// FindCaller looks for a caller that waits. It is to be called once, before
// anything else is started.
func FindCaller() Caller {
	fd, err := strconv.Atoi(os.Getenv(readyVar))
	_ = os.Unsetenv(readyVar) // it always can be
	if err != nil || fd < 3 {
		return Caller{}
	}
	syscall.CloseOnExec(fd)
	return Caller{os.NewFile(uintptr(fd), "ready")}
}

// Waits tells whether there is a caller.
func (c Caller) Waits() bool { return c.pipe != nil }

// Release lets go of what we had from the caller, its directory too if chdir,
// and lets the caller go.
func (c Caller) Release(chdir bool) error {
	if !c.Waits() {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if chdir {
		if err := os.Chdir("/"); err != nil {
			return err
		}
	}
	for fd := range 3 {
		if err := dup(null, fd); err != nil {
			return fmt.Errorf("let go of the terminal: %w", err)
		}
	}
	_, err = c.pipe.Write([]byte{1})
	return errors.Join(err, c.pipe.Close())
}
