//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bed is where processes run: a directory that goes away with the bench, and everything started that must not survive it.
// Children get SIGKILL from the kernel when the thread that started them ends, so even kill -9 leaves none: that
// is why main stays on its thread and starts them all.
type bed struct {
	dir string
	pin bool

	mu   sync.Mutex
	live map[*process]bool
}

const bedPrefix = "vswitch-bench-"

// selfProgram is this very binary, even when its file has been replaced meanwhile.
const selfProgram = "/proc/self/exe"

// alone waits until no other bench runs on this machine: two at a time measure each other. The lock goes with the process.
func alone() error {
	path := filepath.Join(os.TempDir(), "vswitch-bench.lock")
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
		return nil
	}
	fmt.Fprintln(os.Stderr, "bench: another bench is running; waiting for it")
	if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return nil
}

func newBed(pin bool) (*bed, error) {
	if err := alone(); err != nil {
		return nil, err
	}
	sweepBeds(os.TempDir())
	dir := filepath.Join(os.TempDir(), bedPrefix+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	b := &bed{dir: dir, pin: pin, live: map[*process]bool{}}
	go b.closeOnSignal()
	return b, nil
}

// sweepBeds removes what a bench that was killed with -9 left behind.
func sweepBeds(tmp string) {
	dirs, _ := filepath.Glob(filepath.Join(tmp, bedPrefix+"*"))
	for _, d := range dirs {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(d), bedPrefix))
		if err == nil && unix.Kill(pid, 0) == unix.ESRCH {
			os.RemoveAll(d)
		}
	}
}

// sweep removes what a switch left in the bed.
func (b *bed) sweep() {
	left, _ := filepath.Glob(filepath.Join(b.dir, "*"))
	for _, f := range left {
		os.RemoveAll(f)
	}
}

func (b *bed) closeOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	<-c
	b.close()
	os.Exit(130)
}

func (b *bed) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.live {
		p.cmd.Process.Kill()
	}
	for p := range b.live {
		select {
		case <-p.exited:
		case <-time.After(2 * time.Second):
		}
	}
	os.RemoveAll(b.dir)
}

// process is a started child.
type process struct {
	b      *bed
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer // some programs stop at the end of their input
	stderr tail
	exited chan struct{}
}

func (b *bed) start(name string, cmd *exec.Cmd, cpu int) (*process, error) {
	p := &process{b: b, name: name, cmd: cmd, exited: make(chan struct{})}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.Stderr = &p.stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.stdin = in
	restore := b.pinTo(cpu)
	err = cmd.Start()
	restore()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.mu.Lock()
	b.live[p] = true
	b.mu.Unlock()
	go func() {
		cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// pinTo makes the next child inherit a CPU set: the switch gets CPU 0, the clients the others.
func (b *bed) pinTo(cpu int) func() {
	if !b.pin {
		return func() {}
	}
	var old, set unix.CPUSet
	unix.SchedGetaffinity(0, &old)
	if cpu == cpuSwitch {
		set.Set(0)
	} else {
		for i := 1; i < len(set)*64; i++ {
			if old.IsSet(i) {
				set.Set(i)
			}
		}
	}
	unix.SchedSetaffinity(0, &set)
	return func() { unix.SchedSetaffinity(0, &old) }
}

const (
	cpuSwitch = iota
	cpuClient
)

func (p *process) stop() {
	p.cmd.Process.Kill()
	<-p.exited
	p.stdin.Close()
	p.b.mu.Lock()
	delete(p.b.live, p)
	p.b.mu.Unlock()
}

func (p *process) dead() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s ended (%v): %s", p.name, p.cmd.ProcessState, strings.TrimSpace(p.stderr.String()))
	default:
		return nil
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// worker is a started client.
type worker struct {
	*process
	job job
	shm *shared
}

// workerEnv keeps the runtime of a worker out of its own way: one thread that runs, no collector, no
// preemption signals into blocking calls.
var workerEnv = []string{"GODEBUG=asyncpreemptoff=1", "GOGC=off", "GOMAXPROCS=1"}

func (b *bed) startWorker(j job) (*worker, error) {
	shm, f, err := newShared()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	arg, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(selfProgram, "worker", string(arg))
	cmd.Env = append(os.Environ(), workerEnv...)
	cmd.ExtraFiles = []*os.File{f}
	p, err := b.start(fmt.Sprintf("%s on port %d", j.Role, j.Port), cmd, cpuClient)
	if err != nil {
		return nil, err
	}
	return &worker{process: p, job: j, shm: shm}, nil
}

// await waits until the worker has reached a state.
func (w *worker) await(state uint32, timeout time.Duration) error {
	for end := time.Now().Add(timeout); w.shm.state.Load() < state; time.Sleep(500 * time.Microsecond) {
		if err := w.dead(); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s was not ready after %v", w.name, timeout)
		}
	}
	return nil
}

func (w *worker) stop() {
	w.process.stop()
	w.shm.close()
}

// tail keeps the last few hundred bytes a child wrote.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-600):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(t.b, nil))
}
