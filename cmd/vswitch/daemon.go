package main

import (
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
)

// A daemon that leaves its caller must have told the truth by then: the caller's
// exit code says whether everything is open. Go cannot fork, so -d starts the
// program once more, in a session of its own, and waits for one byte through a
// pipe. Until then the new process still has the caller's standard error, to
// complain on.

// readyVar names, in the environment, the descriptor to write that byte to.
const readyVar = "VSWITCH_READY_FD"

// daemonise starts the daemon and returns the exit code of the caller.
func daemonise() int {
	self, err := os.Executable()
	if err != nil {
		complain(fmt.Errorf("go to the background: %w", err), "")
		return 1
	}
	r, w, err := os.Pipe()
	if err != nil {
		complain(fmt.Errorf("go to the background: %w", err), "")
		return 1
	}
	cmd := exec.Command(self)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), readyVar+"=3")
	cmd.ExtraFiles = []*os.File{w}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	err = cmd.Start()
	w.Close()
	if err != nil {
		complain(fmt.Errorf("go to the background: %w", err), "")
		return 1
	}
	go func() { // it is in another session, and hears nothing from the terminal
		for sig := range signals {
			_ = cmd.Process.Signal(sig) // it may be gone already
		}
	}()
	var ready [1]byte
	if _, err := io.ReadFull(r, ready[:]); err == nil {
		return 0
	}
	_ = cmd.Wait() // the state says it all
	if code := cmd.ProcessState.ExitCode(); code > 0 {
		return code
	}
	if !cmd.ProcessState.Success() {
		fmt.Fprintf(os.Stderr, "vswitch: the daemon died: %v\n", cmd.ProcessState)
	}
	return 1 // whatever it was, it is not running
}

// parent is who waits for us to be ready, if we are the daemon.
type parent struct{ pipe *os.File }

// findParent looks for a caller that waits. It is to be called once, before
// anything else is started.
func findParent() parent {
	fd, err := strconv.Atoi(os.Getenv(readyVar))
	_ = os.Unsetenv(readyVar) // it always can be
	if err != nil || fd < 3 {
		return parent{}
	}
	syscall.CloseOnExec(fd)
	return parent{os.NewFile(uintptr(fd), "ready")}
}

func (p parent) waits() bool { return p.pipe != nil }

// release lets the caller go, and leaves what we had from it. log goes to syslog
// from then on.
func (p parent) release(log *logSink, chdir bool) error {
	if !p.waits() {
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
	to, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, "")
	if err != nil {
		log.set(io.Discard) // no syslog here
	} else {
		log.set(to)
	}
	_, err = p.pipe.Write([]byte{1})
	err = errors.Join(err, p.pipe.Close())
	for fd := range 3 {
		err = errors.Join(err, dup(null, fd))
	}
	return err
}

// logSink is where the log goes, which changes when a daemon is ready.
type logSink struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *logSink) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func (l *logSink) set(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = w
}
