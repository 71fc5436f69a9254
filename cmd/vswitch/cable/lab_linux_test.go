package cable

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// patience is how long anything may take before a test gives up on it.
const patience = 30 * time.Second

// asProgram in the environment makes the test binary be vswitch plug.
const asProgram = "CABLE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Run(os.Args[2:], []link.Kind{plug.Stream(), plug.VDE()}))
	}
	os.Exit(m.Run())
}

// tempDir is a directory with a path short enough for sockets.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// eventually asks ok again and again until it is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}

// testSwitch is a vswitch in this process with a stream door.
type testSwitch struct {
	*vswitch.Switch
	t   *testing.T
	dir string
}

func startSwitch(t *testing.T) *testSwitch {
	t.Helper()
	sw, err := vswitch.New(vswitch.Options{Kinds: []link.Kind{plug.Stream()}})
	if err != nil {
		t.Fatal(err)
	}
	s := &testSwitch{sw, t, tempDir(t)}
	t.Cleanup(func() { _ = sw.Close() })
	if _, err := sw.Add(t.Context(), "stream:unix:"+s.door()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *testSwitch) door() string { return filepath.Join(s.dir, "stream") }

// awaitPorts waits until n ports are up.
func (s *testSwitch) awaitPorts(n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("%d ports at the switch", n), func() bool { return len(s.Ports()) == n })
}

// station is a VM in so far as frames go.
type station struct {
	t      *testing.T
	send   func(frame []byte) error
	frames chan []byte // what came in; closed at the end
}

// newStation makes a station that receives with recv, one frame ahead.
func newStation(t *testing.T, send func([]byte) error, recv func() ([]byte, error)) *station {
	s := &station{t, send, make(chan []byte)}
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		defer close(s.frames)
		for {
			f, err := recv()
			if err != nil {
				return
			}
			select {
			case s.frames <- f:
			case <-done:
				return
			}
		}
	}()
	return s
}

// recv waits for a frame; nil: the connection has ended.
func (s *station) recv() []byte {
	s.t.Helper()
	select {
	case f := <-s.frames:
		return f
	case <-time.After(patience):
		s.t.Fatalf("no frame for %v", patience)
	}
	return nil
}

// plugIn plugs a station into the switch, which speaks QEMU's protocol.
func (s *testSwitch) plugIn() *station {
	s.t.Helper()
	before := len(s.Ports())
	conn, err := net.Dial("unix", s.door())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	s.awaitPorts(before + 1)
	in := bufio.NewReaderSize(conn, 1<<17)
	send := func(f []byte) error {
		_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...))
		return err
	}
	return newStation(s.t, send, func() ([]byte, error) {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil, err
		}
		f := make([]byte, binary.BigEndian.Uint32(head[:]))
		_, err := io.ReadFull(in, f)
		return f, err
	})
}

// process is a program that a test runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *os.File
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

// self is how to run vswitch plug: the environment and the program.
func self(args ...string) []string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return append([]string{"env", "GORACE=atexit_sleep_ms=0", asProgram + "=1", exe, "plug"}, args...)
}

// prepare makes a process that is not started yet.
func prepare(t *testing.T, args ...string) *process {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("%s is not installed: run scripts/deps test", args[0])
	}
	p := &process{t: t, cmd: exec.Command(args[0], args[1:]...), ended: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	// A group of its own, so that dpipe's children go with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.cmd.WaitDelay = patience
	return p
}

// start runs it, with pipes at stdin and stdout unless the test set others.
func (p *process) start() *process {
	p.t.Helper()
	var w *os.File
	if p.cmd.Stdin == nil {
		in, err := p.cmd.StdinPipe()
		if err != nil {
			p.t.Fatal(err)
		}
		p.in = in
	}
	if p.cmd.Stdout == nil {
		var err error
		if p.out, w, err = os.Pipe(); err != nil {
			p.t.Fatal(err)
		}
		p.cmd.Stdout = w
		p.t.Cleanup(func() { _ = p.out.Close() })
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	if w != nil {
		_ = w.Close()
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	p.t.Cleanup(func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); <-p.ended })
	return p
}

func run(t *testing.T, args ...string) *process {
	t.Helper()
	return prepare(t, args...).start()
}

// wait waits for its end and returns the exit code, -1 if a signal killed it.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%v runs on:\n%s", p.cmd.Args, &p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// want checks how it ended and that it said all of these words.
func (p *process) want(code int, words ...string) {
	p.t.Helper()
	if got := p.wait(); got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
	for _, w := range words {
		if !strings.Contains(p.stderr.String(), w) {
			p.t.Errorf("it does not say %q", w)
		}
	}
	if s := p.stderr.String(); strings.Contains(s, "goroutine ") {
		p.t.Error("it crashed")
	}
	if p.t.Failed() {
		p.t.Logf("%v said:\n%s", p.cmd.Args, &p.stderr)
	}
}

// station is one that speaks vde_plug's protocol to a process.
func (p *process) station() *station {
	in := bufio.NewReaderSize(p.out, 1<<17)
	send := func(f []byte) error {
		_, err := p.in.Write(wire(f))
		return err
	}
	return newStation(p.t, send, func() ([]byte, error) {
		var head [2]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return nil, err
		}
		f := make([]byte, binary.BigEndian.Uint16(head[:]))
		_, err := io.ReadFull(in, f)
		return f, err
	})
}

// vdeSwitch starts Debian's vde_switch and returns its directory.
func vdeSwitch(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(tempDir(t), "v")
	p := run(t, "vde_switch", "-s", dir) // leaves when its stdin ends
	t.Cleanup(func() { _ = p.in.Close(); p.wait() })
	eventually(t, "a vde_switch", func() bool { _, err := os.Stat(filepath.Join(dir, "ctl")); return err == nil })
	return dir
}

// reach waits until frames go from a to b. It may have sent too many.
func reach(t *testing.T, a, b *station) (hello []byte) {
	t.Helper()
	// Nobody says when the far side of a cable is plugged in.
	hello = testFrame(999, 60)
	for end := time.Now().Add(patience); ; {
		if err := a.send(hello); err != nil {
			t.Fatal(err)
		}
		select {
		case f, ok := <-b.frames:
			if !ok {
				t.Fatal("the receiver's connection ended")
			}
			if bytes.Equal(f, hello) {
				return hello
			}
		case <-time.After(20 * time.Millisecond):
			if time.Now().After(end) {
				t.Fatalf("no frame came through in %v", patience)
			}
		}
	}
}

// joined waits until frames go from a to b, and then sends one of each size
// and checks that it arrives as it is.
func joined(t *testing.T, a, b *station, sizes ...int) {
	t.Helper()
	send := func(f []byte) {
		if err := a.send(f); err != nil {
			t.Fatal(err)
		}
	}
	hello := reach(t, a, b)
	for i, n := range append(sizes, 61) {
		f := testFrame(i, n)
		send(f)
		g := hello // what was sent too often
		for bytes.Equal(g, hello) {
			g = b.recv()
		}
		if !bytes.Equal(g, f) {
			t.Fatalf("a frame of %d bytes arrived as %d, or changed", n, len(g))
		}
	}
}

// portOfCable is the port that was made last.
func (s *testSwitch) portOfCable() vswitch.PortInfo {
	list := s.Ports()
	return list[len(list)-1]
}
