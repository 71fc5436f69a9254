package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// When the caller of -d is told that all is well, everything is open, and the
// daemon has let go of its terminal, directory and pipes.
func TestDaemon(t *testing.T) {
	top := tempDir(t)
	dir, mgmt, pidPath := filepath.Join(top, "sw"), filepath.Join(top, "mgmt"), filepath.Join(top, "pid")
	cmd := asVDE("-s", "sw", "-M", "mgmt", "-p", "pid", "-m", "660", "--mgmtmode", "660", "-d", "--macaddr", "00.ff.01.02.03.04")
	cmd.Dir = top // all paths are of where it was started
	pid := background(t, pidPath, cmd)
	if got := ask(t, mgmt, "showinfo"); !strings.Contains(got, fmt.Sprintf("pid %d MAC 00:ff:01:02:03:04 ", pid)) || !strings.Contains(got, "mgmt "+mgmt+" perm 0660\n") {
		t.Errorf("showinfo: %s", got)
	}
	if got := listing(t, top); got != "mgmt Srw-rw----, pid -rw-r--r--, sw dgrwxrwx---" {
		t.Errorf("made: %s", got)
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	for fd := range 3 {
		if to, err := os.Readlink(filepath.Join(proc, "fd", strconv.Itoa(fd))); err != nil || to != "/dev/null" {
			t.Errorf("descriptor %d is %s, %v", fd, to, err)
		}
	}
	if cwd, err := os.Readlink(filepath.Join(proc, "cwd")); err != nil || cwd != "/" {
		t.Errorf("it works in %s, %v", cwd, err)
	}
	if sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); errno != 0 || int(sid) != pid {
		t.Errorf("its session is %d, %v", sid, errno)
	}
	if got := ask(t, mgmt, "shutdown"); got != "9999 END OF SESSION" {
		t.Errorf("shutdown: %q", got)
	}
	eventually(t, "it has cleared up", func() bool { return !running(pid) })
	if got := listing(t, top); got != "" {
		t.Errorf("left behind in %s: %s", dir, got)
	}
}

// The exit code of -d says what became of the daemon, and nothing is left of one
// that failed. The real one says 0 to most of these.
func TestDaemonThatFails(t *testing.T) {
	top := tempDir(t)
	busy := filepath.Join(top, "busy")
	ln, err := net.Listen("unix", busy)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	writeFile(t, filepath.Join(top, "alive"), strconv.Itoa(os.Getpid())+"\n")
	writeFile(t, filepath.Join(top, "text"), "precious\n")
	if err := os.Symlink("text", filepath.Join(top, "link")); err != nil {
		t.Fatal(err)
	}
	before := listing(t, top)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"-M busy", 1, "busy"},
		{"-M nosuchdir/m", 1, "nosuchdir"},
		{"-p alive", 1, "kill " + strconv.Itoa(os.Getpid())},
		{"-p text", 1, "no process number"},
		{"-p link", 1, "link"},
		{"-p /dev/null", 1, "not a file"},
		{"-p nosuchdir/p", 1, "nosuchdir"},
		{"-g no-such-group-here", 2, "groupadd"},
		{"--mgmtgroup no-such-group-here", 2, "groupadd"},
		{"--macaddr zz", 2, "zz"},
		{"-m 9", 2, "octal"},
		{"--dirmode x", 2, "octal"},
		{"--mgmtmode x", 2, "octal"},
		{"-n 0x", 2, "numports"},
		{"-n 99999", 2, "32767"},
		{"--priority 70000", 2, "65535"},
		{"--nosuch", 2, "unrecognized option '--nosuch'"},
		{"-M " + strings.Repeat("m", 120), 2, "107"},
		{"stray", 2, "stray"},
	} {
		t.Run(c.args, func(t *testing.T) {
			cmd := asVDE(append([]string{"-d", "-s", "sw"}, strings.Fields(c.args)...)...)
			cmd.Dir = top
			_, stderr, code := runCmd(t, cmd)
			wantFailure(t, stderr, code, c.code, c.says)
			if got := listing(t, top); got != before {
				t.Errorf("in the directory: %s, before: %s", got, before)
			}
		})
	}
	if text, err := os.ReadFile(filepath.Join(top, "text")); err != nil || string(text) != "precious\n" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

// A second daemon in the same place fails and leaves the first one its files.
func TestSecondDaemon(t *testing.T) {
	top := tempDir(t)
	pidPath := filepath.Join(top, "pid")
	args := []string{"-s", filepath.Join(top, "sw"), "-M", filepath.Join(top, "mgmt"), "-p", pidPath, "-d"}
	pid := background(t, pidPath, asVDE(args...))
	_, stderr, code := runCmd(t, asVDE(args...))
	wantFailure(t, stderr, code, 1, "process "+strconv.Itoa(pid))
	_, stderr, code = runCmd(t, asVDE("-s", filepath.Join(top, "other"), "-p", pidPath, "-d"))
	wantFailure(t, stderr, code, 1, "kill "+strconv.Itoa(pid))
	if got := readPid(t, pidPath); got != pid {
		t.Errorf("the pid file has %d, want %d", got, pid)
	}
	if got := ask(t, filepath.Join(top, "mgmt"), "port/showinfo"); !strings.Contains(got, "Numports=32\n") {
		t.Errorf("port/showinfo: %s", got)
	}
	// What a killed one left is cleared up by the next.
	_ = syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "it is dead", func() bool { return !running(pid) })
	again := background(t, pidPath, asVDE(args...))
	_ = syscall.Kill(again, syscall.SIGTERM)
	eventually(t, "it has ended", func() bool { return !running(again) })
	// All but the directory, which was there when it came.
	if got := listing(t, top) + ": " + listing(t, filepath.Join(top, "sw")); got != "sw dgrwx------: " {
		t.Errorf("left behind: %s", got)
	}
}

// Directory and sockets have the modes that the real switch gives them.
func TestModesAsTheRealSwitch(t *testing.T) {
	need(t, "vde_switch")
	for _, args := range []string{"", "-m 660", "--dirmode 770", "-m 640", "--dirmode 0700", "--dirmode 2750", "-m 600 --dirmode 755", "-m 666"} {
		t.Run(args, func(t *testing.T) {
			top := tempDir(t)
			mode := func(dir string) fs.FileMode {
				fi, err := os.Stat(dir)
				if err != nil {
					t.Fatal(err)
				}
				return fi.Mode()
			}
			real := exec.Command("vde_switch", append(strings.Fields(args), "-s", filepath.Join(top, "real"))...)
			in, err := real.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := real.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				in.Close()
				_ = real.Wait()
			}()
			eventually(t, "the real one is up", func() bool {
				_, err := os.Stat(filepath.Join(top, "real", "ctl"))
				return err == nil
			})
			s := startStdio(t, append(strings.Fields(args), "-s", filepath.Join(top, "ours"))...)
			s.do("showinfo")
			if ours, theirs := mode(filepath.Join(top, "ours")), mode(filepath.Join(top, "real")); ours != theirs {
				t.Errorf("the directory has %v, the real one's %v", ours, theirs)
			}
			if ours, theirs := mode(filepath.Join(top, "ours", "stream")), mode(filepath.Join(top, "real", "ctl")); ours != theirs {
				t.Errorf("the door has %v, the real one's %v", ours, theirs)
			}
		})
	}
}

// vde_switch without -s is where its clients look for it.
func TestDefaultsOfVDE(t *testing.T) {
	o, err := parseArgs(nil, true)
	want := "/tmp/vde.ctl"
	if os.Geteuid() == 0 {
		want = "/var/run/vde.ctl"
	}
	if err != nil || o.dir != want || o.vde.numPorts != 32 || o.vde.mgmt != want+"/mgmt" || o.vde.mgmtMode != 0o600 || !o.quiet || o.vde.mac[0] != 0 || o.vde.mac[1] != 0xff {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseArgs([]string{"-n", "8", "--hashsize", "100000", "--priority", "0x1000", "--verbose"}, true); err != nil || o.vde.numPorts != 8 || o.fdbSize != 100000 || o.vde.priority != 0x1000 || o.quiet {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parseArgs(nil, false); err != nil || o.vde.numPorts != 32767 || o.vde.dirMode != 0o700 || o.quiet {
		t.Errorf("vswitch: %+v, %v", o, err)
	}
	here := tempDir(t)
	t.Chdir(here)
	if o, err = parseArgs([]string{"-s", "sw"}, true); err != nil || o.dir != filepath.Join(here, "sw") {
		t.Errorf("-s sw is %s, %v", o.dir, err)
	}
	_, _, code := runCmd(t, asVDE("-h"))
	if out, _, v := runCmd(t, asVDE("-v")); code != 1 || v != 0 || out == "" {
		t.Errorf("-h: exit code %d; -v: %d, %q", code, v, out)
	}
}

// What Debian's ifupdown runs for "vde2-switch -" in /etc/network/interfaces, with
// paths of ours, starts and stops us.
func TestIfupdown(t *testing.T) {
	need(t, "start-stop-daemon")
	top := tempDir(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(top, vdeName)
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	path := func(end string) string { return filepath.Join(top, "tap7."+end) }
	tool := func(args ...string) {
		t.Helper()
		cmd := exec.Command("start-stop-daemon", args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("start-stop-daemon %q: %v\n%s", args, err, out)
		}
	}
	group := strconv.Itoa(os.Getgid()) // there, vde2-net
	tool("--start", "--quiet", "--pidfile", path("pid"), "--exec", program, "--",
		"-s", path("ctl"), "-m", "660", "-g", group, "-p", path("pid"), "-M", path("mgmt"), "--mgmtmode", "660", "-d")
	pid := readPid(t, path("pid"))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	want := "tap7.ctl dgrwxrwx---, tap7.mgmt Srw-rw----, tap7.pid -rw-r--r--, vde_switch Lrwxrwxrwx"
	if got := listing(t, top); got != want {
		t.Errorf("made %s, want %s", got, want)
	}
	if got := ask(t, path("mgmt"), "ds/showinfo"); !strings.Contains(got, "std mode 0660\n") {
		t.Errorf("ds/showinfo: %s", got)
	}
	tool("--stop", "--quiet", "--oknodo", "--pidfile", path("pid"), "--exec", program)
	eventually(t, "it has ended", func() bool { return !running(pid) })
	if got := listing(t, top); got != "vde_switch Lrwxrwxrwx" {
		t.Errorf("left behind: %s", got)
	}
}
