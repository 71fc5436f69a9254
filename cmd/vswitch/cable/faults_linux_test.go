package cable

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What ends a cable, and what it says and leaves with.
func TestEnds(t *testing.T) {
	a := startSwitch(t)
	dead := tempDir(t)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dead, "stream")})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	_ = ln.Close()
	empty := tempDir(t)
	long := "/tmp/" + strings.Repeat("x", 120)
	for _, tc := range []struct {
		name  string
		args  []string
		stdin string
		code  int
		words []string
	}{
		{"stdin ends", []string{a.dir}, "", 0, nil},
		{"a frame and the end", []string{"-v", a.dir}, string(wire(testFrame(1, 60))), 0, []string{"stdio -> " + filepath.Base(a.dir) + ": 1 frames, 60 bytes"}},
		{"a command that succeeds", []string{a.dir, "=", "true"}, "", 0, nil},
		{"half a frame", []string{a.dir}, "\x00\x3cabc\x00", 1, []string{"stdio", "middle of a frame"}},
		{"text", []string{a.dir}, "Last login: never\n", 1, []string{"stdio", "out of step", "Last login"}},
		{"runts", []string{a.dir}, strings.Repeat("\x00\x03abc", 20), 1, []string{"out of step", "dropped 8 without a header"}},
		{"zeros", []string{a.dir}, strings.Repeat("\x00", 100), 0, nil},
		{"a command fails", []string{a.dir, "=", "sh", "-c", "exit 7"}, "", 1, []string{"command sh ended: exit status 7"}},
		{"a command is killed", []string{a.dir, "=", "sh", "-c", "kill -9 $$"}, "", 1, []string{"command sh ended: signal: killed"}},
		{"a command prints text", []string{a.dir, "=", "sh", "-c", "echo Permission denied, please try again; cat"}, "", 1, []string{"= sh: stream out of step", "Permission denied"}},
		{"no such command", []string{a.dir, "=", "no-such-command"}, "", 1, []string{"start command", "no-such-command", "not found"}},
		{"an unexecutable command", []string{a.dir, "=", empty}, "", 1, []string{"start command", "permission denied"}},
		{"no switch of that name", []string{"no-such-switch"}, "", 4, []string{"no-such-switch, so no switch runs there", "cure"}},
		{"no switch in that directory", []string{empty}, "", 4, []string{"neither a stream nor a ctl socket", "vswitch -s " + empty}},
		{"no directory", []string{"/no/such/directory"}, "", 4, []string{"there is no directory /no/such/directory"}},
		{"the second does not exist", []string{a.dir, "/no/such/directory"}, "", 4, []string{"there is no directory"}},
		{"a dead switch", []string{dead}, "", 4, []string{"nobody listens on " + dead}},
		{"a directory too long", []string{long}, "", 2, []string{"has 132 bytes"}},
		{"a bad name", []string{"a b"}, "", 2, []string{`"a b"`}},
		{"three switches", []string{a.dir, a.dir, a.dir}, "", 2, []string{"two ends"}},
		{"a switch and a command", []string{a.dir, a.dir, "=", "true"}, "", 2, []string{"second end"}},
		{"no command", []string{a.dir, "="}, "", 2, []string{"must follow"}},
		{"twice stdio", []string{"-"}, "", 2, []string{"both ends"}},
		{"an unknown option", []string{"--colour", a.dir}, "", 2, []string{"colour", "cure:  vswitch plug --help"}},
		{"a group that is none", []string{"-g", "no-such-group", a.dir}, "", 2, []string{"no-such-group", "groupadd"}},
		{"a mode that is none", []string{"-m", "999", a.dir}, "", 2, []string{"999"}},
		{"a port number at a stream door", []string{"-p", "3", a.dir}, "", 2, []string{"VDE door"}},
		{"the same in brackets", []string{a.dir + "[3]"}, "", 2, []string{"VDE door"}},
		{"a port that cannot be", []string{a.dir + "[99999]"}, "", 2, []string{"32767"}},
		{"a spec that listens", []string{"stream:unix:/tmp/x"}, "", 2, []string{"listens", "connect=on"}},
		{"a spec with a mistake", []string{"stream:unix:/tmp/x,conect=on"}, "", 2, []string{"conect"}},
		{"an unknown kind", []string{"vxvde://239.0.0.1"}, "", 2, []string{"vxvde", "known kinds: stream"}},
		{"a daemon with stdio", []string{"-d", a.dir}, "", 2, []string{"background"}},
		{"a size that cannot be", []string{"--max", "70000", a.dir}, "", 2, []string{"65535"}},
		{"a pid file in no directory", []string{"-P", "/no/such/file", a.dir}, "", 1, []string{"pid file"}},
		{"a pid file that is none", []string{"-P", "/etc/passwd", a.dir}, "", 1, []string{"/etc/passwd", "no process number"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := prepare(t, self(tc.args...)...)
			p.cmd.Stdin = strings.NewReader(tc.stdin)
			p.start().want(tc.code, tc.words...)
		})
	}
	a.awaitPorts(0)
	if text, err := os.ReadFile("/etc/passwd"); err != nil || len(text) < 10 {
		t.Errorf("/etc/passwd has %d bytes, %v", len(text), err)
	}
}

func TestSwitchStops(t *testing.T) {
	a, b := startSwitch(t), startSwitch(t)
	p := run(t, self(a.dir, b.dir)...)
	a.awaitPorts(1)
	b.awaitPorts(1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	p.want(1, filepath.Base(b.dir)+": closed by the other side")
	a.awaitPorts(0)
}

// Whoever reads our stdout goes away: no SIGPIPE, and what is lost is counted.
func TestReaderGone(t *testing.T) {
	a := startSwitch(t)
	sa := a.plugIn()
	p := run(t, self(a.dir)...)
	a.awaitPorts(2)
	_ = p.out.Close()
	for range 5 {
		if err := sa.send(testFrame(1, 60)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "five frames to the cable", func() bool { return a.portOfCable().Tx.Frames == 5 })
	// The other direction is whole.
	f := testFrame(2, 100)
	if _, err := p.in.Write(wire(f)); err != nil {
		t.Fatal(err)
	}
	if got := sa.recv(); !bytes.Equal(got, f) {
		t.Errorf("received %d bytes", len(got))
	}
	_ = p.in.Close()
	p.want(0, "dropped 5 that nobody read")
}

// A command that neither reads nor leaves is killed, and everything that waits
// is counted. It ignores SIGTERM and has stuffed its pipe.
func TestCommandThatHangs(t *testing.T) {
	a := startSwitch(t)
	sa := a.plugIn()
	p := run(t, self("-v", a.dir, "=", "sh", "-c", "trap '' TERM; echo $$ >"+a.dir+"/pid; while :; do sleep 1; done")...)
	var pid int
	eventually(t, "the command's process number", func() bool {
		text, _ := os.ReadFile(a.dir + "/pid")
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	f := testFrame(1, 1000)
	for range 1000 {
		if err := sa.send(f); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "frames to the cable", func() bool { return a.portOfCable().Tx.Frames > 100 })
	p.signal(syscall.SIGTERM)
	p.want(0, "on their way when an end left")
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the command lives on")
	}
}

// A command with children that keep its pipe open does not keep the cable.
func TestCommandLeavesChild(t *testing.T) {
	a := startSwitch(t)
	p := run(t, self(a.dir, "=", "sh", "-c", "sleep 60 2>/dev/null & exit 3")...)
	p.want(1, "command sh ended: exit status 3")
}

// A cable that is killed takes its command along.
func TestKilledTakesCommandAlong(t *testing.T) {
	a := startSwitch(t)
	p := run(t, self(a.dir, "=", "sh", "-c", "echo $$ >"+a.dir+"/pid; exec sleep 60")...)
	var pid int
	eventually(t, "the command's process number", func() bool {
		text, _ := os.ReadFile(a.dir + "/pid")
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return pid > 0
	})
	p.signal(syscall.SIGKILL)
	eventually(t, "an end of the command", func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) })
}

// zombie tells whether a process is dead and only not yet reaped by its parent.
func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || bytes.Contains(text, []byte(") Z "))
}

func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	a := startSwitch(t)
	for path, mode := range map[string]os.FileMode{a.dir: 0o755, a.door(): 0o600} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	// Others cannot start the test where go test put it.
	program := filepath.Join(a.dir, "program")
	copyProgram(t, program)
	start := func() *process {
		p := prepare(t, "env", asProgram+"=1", program, "plug", a.dir)
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		p.cmd.Dir = "/"
		return p.start()
	}
	start().want(3, "may not open "+a.door(), "mode 0600", "cure")
	if err := os.Chmod(a.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// The program's own path is shut, too: give it one that is not.
	open := tempDir(t)
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(open, "program")
	copyProgram(t, program)
	start().want(3, "may not open", a.dir+" belongs to")
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, self); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// Frames are not printed on a terminal.
func TestTerminal(t *testing.T) {
	a := startSwitch(t)
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ptmx.Close()
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	p := prepare(t, self(a.dir)...)
	p.cmd.Stdin, p.cmd.Stdout = tty, tty
	p.start().want(2, "terminal", "name a second switch")
}

func TestDaemon(t *testing.T) {
	a, b := startSwitch(t), startSwitch(t)
	sa, sb := a.plugIn(), b.plugIn()
	pidFile := filepath.Join(a.dir, "pid")
	run(t, self("-d", "-P", pidFile, a.dir, b.dir)...).want(0)
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	bothWays(t, sa, sb, usual...) // it was plugged in when the command returned
	run(t, self("-d", "-P", pidFile, a.dir, b.dir)...).want(1, "process "+strconv.Itoa(pid)+" holds it")
	run(t, self("-d", a.dir, "/no/such/directory")...).want(4, "no switch runs there")
	run(t, self("-d", a.dir, "=", "no-such-command")...).want(1, "start command")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no pid file", func() bool { _, err := os.Lstat(pidFile); return err != nil })
	a.awaitPorts(1)
	b.awaitPorts(1)
}
