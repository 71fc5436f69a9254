// Package e2e plugs real QEMU guests into a real vswitch and looks at both
// ends: what the guests see, and what the switch says about them.
//
// The lab is small. A guest is a QEMU that boots the images of scripts/guest;
// its shell hangs on the serial line, and each command is sent with a begin
// and an end marker, so that a test waits for what happened and never for
// time to pass. Time limits are only there to end a test that failed. The
// switch is the program, built from this tree once per run and asked through
// its API socket.
//
// Everything a test starts is killed when the test ends, and dies with the
// test process if that is killed first.
package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take before the test gives up on it. It
// is long, since the machine may be busy, and never spent by a test that passes.
const patience = 60 * time.Second

const root = "../../.." // of the repository, from this package's directory

var binDir string // where program builds to

func TestMain(m *testing.M) {
	var err error
	if binDir, err = os.MkdirTemp("", "vnetkit-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(binDir)
	os.Exit(code)
}

// buildVswitch builds the program under test, once per run.
var buildVswitch = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "vswitch")
	cmd := exec.Command("go", "build", "-o", path, "vnetkit/cmd/vswitch")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build vswitch: %w\n%s", err, out)
	}
	return path, nil
})

// needGuests skips t, saying why, where no guest can run.
func needGuests(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots QEMU guests: not with -short")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("qemu-system-x86_64 is not installed: run scripts/deps test")
	}
	if _, err := os.Stat(filepath.Join(root, ".cache/guest/initrd")); err != nil {
		t.Skip("no guest images in .cache/guest: run scripts/guest")
	}
}

// tempDir is t.TempDir with a path short enough for sockets.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start starts cmd so that it dies with the test at the latest. The kernel
// ties that to the thread that forks, which Go keeps as long as the process.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
}

// eventually asks ok again and again until it is true.
func eventually(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > patience {
			t.Fatalf("after %v still not: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}

// freeTCP finds a TCP address on host that nobody listens on now.
func freeTCP(t *testing.T, host string) (addr, port string) {
	t.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("no TCP on %s here: %v", host, err)
	}
	defer ln.Close()
	addr = ln.Addr().String()
	_, port, _ = net.SplitHostPort(addr)
	return addr, port
}

// transcript collects what a process prints and lets a test wait for a part of it.
type transcript struct {
	mu     sync.Mutex
	buf    []byte
	closed bool
	more   chan struct{} // closed and replaced at each change
	end    chan struct{} // closed by close
}

func newTranscript() *transcript {
	return &transcript{more: make(chan struct{}), end: make(chan struct{})}
}

// Write implements io.Writer, for exec.Cmd.
func (tr *transcript) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.buf = append(tr.buf, p...)
	tr.changed()
	return len(p), nil
}

// close says that nothing more will come.
func (tr *transcript) close() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.closed = true
	close(tr.end)
	tr.changed()
}

// ended waits for close.
func (tr *transcript) ended(limit time.Duration) bool {
	select {
	case <-tr.end:
		return true
	case <-time.After(limit):
		return false
	}
}

func (tr *transcript) changed() {
	close(tr.more)
	tr.more = make(chan struct{})
}

// find waits until text stands in the transcript behind offset from, and
// returns the offset just behind it.
func (tr *transcript) find(text string, from int, limit time.Duration) (int, error) {
	timeout := time.After(limit)
	for {
		tr.mu.Lock()
		i := bytes.Index(tr.buf[from:], []byte(text))
		closed, more := tr.closed, tr.more
		tr.mu.Unlock()
		switch {
		case i >= 0:
			return from + i + len(text), nil
		case closed:
			return 0, fmt.Errorf("ended before %q came", text)
		}
		select {
		case <-more:
		case <-timeout:
			return 0, fmt.Errorf("no %q within %v", text, limit)
		}
	}
}

func (tr *transcript) slice(from, to int) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return string(tr.buf[from:to])
}

// tail is the end of the transcript, for the log of a failed test.
func (tr *transcript) tail() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return string(tr.buf[max(0, len(tr.buf)-4000):])
}

func itoa(n int) string { return strconv.Itoa(n) }
