package cable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/api"
)

// A process of many threads cannot fork and go on. Going into the background is
// starting the program again, in a session of its own, with a pipe on which it
// says that the cable is plugged in. Until then it has our stderr, and if it
// ends instead its exit code is ours.
const (
	backgroundEnv = "VSWITCH_PLUG_READY"
	readyFD       = 3
)

func inBackground() bool { return os.Getenv(backgroundEnv) != "" }

// goBackground starts the program again and waits until it is ready.
func goBackground() int {
	fail := func(err error) int {
		fmt.Fprintf(os.Stderr, "vswitch plug: go into the background: %v\n", err)
		return api.ExitFailed
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), backgroundEnv+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	_ = w.Close()
	if n, _ := io.Copy(io.Discard, r); n > 0 {
		return api.ExitOK
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode()
	}
	return fail(fmt.Errorf("the process ended: %v", cmd.ProcessState))
}

// readiness tells the process that started us that all is well. Nil tells nobody.
type readiness struct{ pipe *os.File }

func newReadiness(daemon bool) *readiness {
	if !daemon {
		return nil
	}
	_ = os.Unsetenv(backgroundEnv) // not for the command
	unix.CloseOnExec(readyFD)
	return &readiness{os.NewFile(readyFD, "ready")}
}

// tell cuts the ties to the terminal and says that the cable is plugged in.
func (r *readiness) tell() error {
	if r == nil {
		return nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if err := os.Chdir("/"); err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("let go of the terminal: %w", err)
		}
	}
	_, err = r.pipe.WriteString("1")
	return errors.Join(err, r.pipe.Close())
}

// writePidFile writes our process number to a new file, or to what a dead
// process left, and returns what removes it. It touches nothing else.
func writePidFile(path string) (remove func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if path, err = filepath.Abs(path); err != nil { // we may change directory
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	// The lock ends with the process, however that ends.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write pid file %s: another cable holds it: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if old := strings.TrimSpace(string(text)); err == nil && strings.Trim(old, "0123456789") != "" {
		err = fmt.Errorf("%s exists and has no process number in it; remove it or choose another", path)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	mine, statErr := f.Stat()
	err = errors.Join(err, statErr)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	return func() {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, mine) {
			_ = os.Remove(path)
		}
		_ = f.Close()
	}, nil
}
