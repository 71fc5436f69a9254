package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// eventually waits for cond, which must come true by itself.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// asVDE is the program under the name vde_switch.
func asVDE(args ...string) *exec.Cmd {
	cmd := command(args...)
	cmd.Args[0] = vdeName
	return cmd
}

// stdio is a vde_switch with a program at its standard input and output.
type stdio struct {
	t      *testing.T
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr lockedBuffer
	ended  chan struct{}
}

// says waits for text on standard error, which comes by another way than answers.
func (s *stdio) says(text string) {
	s.t.Helper()
	eventually(s.t, "it says "+text, func() bool { return strings.Contains(s.stderr.String(), text) })
}

func startStdio(t *testing.T, args ...string) *stdio {
	t.Helper()
	s := &stdio{t: t, cmd: asVDE(args...), ended: make(chan struct{})}
	s.cmd.Stderr = &s.stderr
	in, err1 := s.cmd.StdinPipe()
	out, err2 := s.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, s.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewReader(out)
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		s.wait()
	})
	return s
}

// wait waits for the end and returns how it was.
func (s *stdio) wait() *os.ProcessState {
	if s.cmd.ProcessState == nil {
		late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
		_ = s.cmd.Wait()
		if !late.Stop() {
			s.t.Errorf("it did not end:\n%s", &s.stderr)
		}
	}
	return s.cmd.ProcessState
}

// do types a line and reads up to a status line.
func (s *stdio) do(line string) string {
	s.t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for {
		text, err := s.out.ReadString('\n')
		b.WriteString(text)
		if err != nil {
			s.t.Fatalf("%s: %v after %q:\n%s", line, err, b.String(), &s.stderr)
		}
		if strings.HasPrefix(text, "10") {
			return b.String()
		}
	}
}

// ask opens a console, has one command answered and returns the answer.
func ask(t *testing.T, socket, command string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	const prompt = "\nvde$ "
	var all []byte
	buf := make([]byte, 64<<10)
	for asked := false; ; {
		n, err := conn.Read(buf)
		if all = append(all, buf[:n]...); err != nil {
			return string(all)
		}
		if !bytes.HasSuffix(all, []byte(prompt)) {
			continue
		}
		if asked {
			return string(bytes.TrimSuffix(all, []byte(prompt)))
		}
		all, asked = nil, true
		if _, err := io.WriteString(conn, command+"\n"); err != nil {
			t.Fatal(err)
		}
	}
}

// background starts a daemon with -d and returns its number. It ends with the
// test.
func background(t *testing.T, pidfile string, cmd *exec.Cmd) int {
	t.Helper()
	_, stderr, code := runCmd(t, cmd)
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	pid := readPid(t, pidfile)
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		eventually(t, "the daemon is gone", func() bool { return !running(pid) })
	})
	return pid
}

func readPid(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Fatalf("the pid file says %q", text)
	}
	return pid
}

// running tells whether a process is there and no zombie.
func running(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// need skips the test where a program of VDE is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: scripts/deps test installs it (package vde2)", p)
		}
	}
}

// terminal is a program on a pseudo terminal.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	mu     sync.Mutex
	text   string        // what it has shown and nobody has waited for yet
	ended  chan struct{} // closed when it shows nothing more
}

func startTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var ioctl error
	err = raw.Control(func(fd uintptr) {
		if ioctl = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctl == nil {
			n, ioctl = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err = errors.Join(err, ioctl); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	tty.Close()
	if err != nil {
		t.Fatal(err)
	}
	p := &terminal{t: t, cmd: cmd, master: master, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			p.mu.Lock()
			p.text += string(bytes.ReplaceAll(buf[:n], []byte("\r"), nil))
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		master.Close()
		<-p.ended
	})
	return p
}

// await waits until the program shows this, and forgets what it has shown so far.
func (p *terminal) await(text string) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("it shows %q", p.text)
		}
	}()
	eventually(p.t, fmt.Sprintf("%v shows %q", p.cmd.Args, text), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, rest, ok := strings.Cut(p.text, text)
		if ok {
			p.text = rest
		}
		return ok
	})
}

// do types a line, waits for its echo and then for an answer.
func (p *terminal) do(line, answer string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
	p.await(line)
	p.await(answer)
}

func (p *terminal) ends() {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%v ends", p.cmd.Args), func() bool { return !running(p.cmd.Process.Pid) })
}
