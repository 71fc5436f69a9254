package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before a test gives up on it.
const patience = 30 * time.Second

// asProgram in the environment makes the test binary be the program itself: so
// tests run what they were built with, race detector and all.
const asProgram = "VSWITCH_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// tempDir is a directory with a path short enough for sockets.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vsw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// daemon is a running vswitch.
type daemon struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	stderr lockedBuffer
	ended  chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start runs vswitch -s dir and returns when it says that it is up.
func start(t *testing.T, dir string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: dir, cmd: command(append([]string{"-s", dir}, args...)...), ended: make(chan struct{})}
	d.cmd.Stderr = &d.stderr
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := make(chan bool, 1)
	go func() {
		defer close(d.ended)
		lines := bufio.NewScanner(out)
		up <- lines.Scan() && strings.Contains(lines.Text(), "is up")
		_, _ = io.Copy(io.Discard, out)
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() { d.signal(syscall.SIGKILL); <-d.ended })
	select {
	case ok := <-up:
		if !ok {
			<-d.ended
			t.Fatalf("vswitch did not start:\n%s", &d.stderr)
		}
	case <-time.After(patience):
		t.Fatalf("vswitch said nothing for %v", patience)
	}
	return d
}

func (d *daemon) signal(sig syscall.Signal) {
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
}

// stop sends a signal, waits and returns the exit code, -1 if the signal
// killed it.
func (d *daemon) stop(sig syscall.Signal) int {
	d.t.Helper()
	d.signal(sig)
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Fatalf("vswitch lives %v after %v", patience, sig)
	}
	return d.cmd.ProcessState.ExitCode()
}

func (d *daemon) path(name string) string { return filepath.Join(d.dir, name) }

// check fails the test unless frames go from one client of the switch to
// another.
func (d *daemon) check() {
	d.t.Helper()
	a, b := d.plug(), d.plug()
	defer a.Close()
	defer b.Close()
	f := append([]byte{0, 0, 0, 60, 255, 255, 255, 255, 255, 255, 2}, make([]byte, 53)...)
	got := make([]byte, len(f))
	for {
		if _, err := a.Write(f); err != nil {
			d.t.Fatal(err)
		}
		// b may not have been plugged in when a's frame came.
		_ = b.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := io.ReadFull(b, got)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			d.t.Fatal(err)
		}
	}
	if !bytes.Equal(got, f) {
		d.t.Fatalf("% x arrived", got)
	}
}

func (d *daemon) plug() net.Conn {
	d.t.Helper()
	conn, err := net.Dial("unix", d.path("stream"))
	if err != nil {
		d.t.Fatal(err)
	}
	return conn
}

// fail runs vswitch to its end and returns what it printed and its exit code.
func fail(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return runCmd(t, command(args...))
}

func runCmd(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !late.Stop() {
		t.Fatalf("%v runs on where it should have failed:\n%s", cmd.Args, &errs)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// wantFailure checks an exit code and that the message has all of these words.
func wantFailure(t *testing.T, stderr string, code, want int, words ...string) {
	t.Helper()
	if code != want {
		t.Errorf("exit code %d, want %d:\n%s", code, want, stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			t.Errorf("the message does not say %q:\n%s", w, stderr)
		}
	}
	if strings.Contains(stderr, "panic") || strings.Contains(stderr, "goroutine") {
		t.Errorf("it crashed:\n%s", stderr)
	}
}

// listing names what is in dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "gone"
	}
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprint(e.Name(), " ", info.Mode()))
	}
	return strings.Join(names, ", ")
}
