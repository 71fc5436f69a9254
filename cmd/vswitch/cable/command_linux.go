package cable

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long a command may take to leave when the cable is pulled: first its
// stdin ends, then it is asked to, then it is killed.
const (
	leaveByItself = 500 * time.Millisecond
	leaveIfAsked  = 2 * time.Second
	// staysOpen is how long a cable outlives its command, for what the command
	// left in the pipe and for children that it left the pipe to.
	staysOpen = 500 * time.Millisecond
)

// command is a command whose stdin and stdout are one end of a cable. It stays
// in our process group: ssh may have to ask the terminal for a password.
type command struct {
	cmd     *exec.Cmd
	in, out int           // our ends of its pipes
	ended   chan struct{} // closed when it is reaped
}

// startCommand starts a command; onEnd is called some time after it has ended.
func startCommand(args []string, stderr *os.File, onEnd func()) (*command, error) {
	var up, down [2]int // to its stdin, from its stdout
	if err := unix.Pipe2(up[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	if err := unix.Pipe2(down[:], unix.O_CLOEXEC); err != nil {
		unix.Close(up[0])
		unix.Close(up[1])
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	c := &command{cmd: exec.Command(args[0], args[1:]...), in: down[0], out: up[1], ended: make(chan struct{})}
	stdin, stdout := os.NewFile(uintptr(up[0]), "stdin"), os.NewFile(uintptr(down[1]), "stdout")
	c.cmd.Stdin, c.cmd.Stdout = stdin, stdout
	if stderr != nil {
		c.cmd.Stderr = stderr
	}
	// If we are killed it must not stay behind.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	err := errors.Join(unix.SetNonblock(c.in, true), unix.SetNonblock(c.out, true))
	if err == nil {
		err = c.cmd.Start()
	}
	_ = stdin.Close()
	_ = stdout.Close()
	if err != nil {
		c.hangUp()
		return nil, fmt.Errorf("start command: %w", err)
	}
	go func() {
		_ = c.cmd.Wait() // status asks ProcessState
		close(c.ended)
		time.Sleep(staysOpen)
		onEnd()
	}()
	return c, nil
}

// name is the command for people.
func (c *command) name() string { return "= " + filepath.Base(c.cmd.Args[0]) }

// hangUp closes our ends of the pipes.
func (c *command) hangUp() {
	unix.Close(c.in)
	unix.Close(c.out)
}

// stop has the command leave, and reaps it. forced tells that it did not leave
// by itself.
func (c *command) stop() (forced bool) {
	c.hangUp()
	for _, step := range []struct {
		patience time.Duration
		then     syscall.Signal
	}{{leaveByItself, syscall.SIGTERM}, {leaveIfAsked, syscall.SIGKILL}} {
		select {
		case <-c.ended:
			return forced
		case <-time.After(step.patience):
		}
		forced = true
		_ = c.cmd.Process.Signal(step.then) // fails if it has just ended
	}
	<-c.ended
	return forced
}

// status is how the command ended, if it has, and not well.
func (c *command) status() error {
	select {
	case <-c.ended:
	default:
		return nil
	}
	if s := c.cmd.ProcessState; !s.Success() {
		return fmt.Errorf("command %s ended: %v", filepath.Base(c.cmd.Args[0]), s)
	}
	return nil
}
