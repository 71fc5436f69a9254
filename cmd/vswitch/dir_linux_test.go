package main

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/mgmttest"
)

// A switch makes its directory, puts its doors in it, and leaves nothing.
func TestSwitchLivesInADirectory(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir := filepath.Join(tempDir(t), "lab")
		d := start(t, dir)
		want := "api Srw-------, ctl Srw-------, mgmt Srw-------, pid -rw-------, stream Srw-------, vhost Srw-------"
		if got := listing(t, dir); got != want {
			t.Errorf("in the directory: %s, want %s", got, want)
		}
		pid, err := os.ReadFile(d.path("pid"))
		if err != nil || string(pid) != fmt.Sprintln(d.cmd.Process.Pid) {
			t.Errorf("the pid file says %q, %v", pid, err)
		}
		d.check()
		if code := d.stop(sig); code != 0 {
			t.Errorf("exit code %d after %v:\n%s", code, sig, &d.stderr)
		}
		if got := listing(t, dir); got != "gone" {
			t.Errorf("left behind: %s", got)
		}
	}
}

func TestModes(t *testing.T) {
	for mode, want := range map[string]string{"0600": "drwx------", "0660": "drwxr-x---", "0666": "drwxr-xr-x", "0620": "drwxr-x---"} {
		top := tempDir(t)
		dir := filepath.Join(top, "new", "lab")
		d := start(t, dir, "--mode", mode)
		if info, err := os.Stat(dir); err != nil || info.Mode().String() != want {
			t.Errorf("mode %s makes the directory %v, %v, want %s", mode, info.Mode(), err, want)
		}
		for _, door := range []string{"stream", "api"} {
			if info, err := os.Stat(d.path(door)); err != nil || fmt.Sprintf("%04o", info.Mode().Perm()) != mode {
				t.Errorf("mode %s makes %s %v, %v", mode, door, info.Mode(), err)
			}
		}
		// Whoever may open a door must be able to get there.
		if info, err := os.Stat(filepath.Dir(dir)); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the parent that was made is %v, %v", info.Mode(), err)
		}
		d.stop(syscall.SIGTERM)
	}
}

func TestGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files to any group")
	}
	d := start(t, filepath.Join(tempDir(t), "lab"), "--group", "12345", "--mode", "0660")
	for _, path := range []string{d.dir, d.path("stream"), d.path("api")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if gid := info.Sys().(*syscall.Stat_t).Gid; gid != 12345 {
			t.Errorf("%s belongs to group %d", path, gid)
		}
	}
}

// A second switch on a live directory touches nothing and names the first.
func TestSecondSwitchIsRefused(t *testing.T) {
	dir := filepath.Join(tempDir(t), "lab")
	d := start(t, dir)
	before := map[string]os.FileInfo{}
	for _, name := range []string{"", "pid", "stream", "api"} {
		info, err := os.Lstat(d.path(name))
		if err != nil {
			t.Fatal(err)
		}
		before[name] = info
	}
	client := d.plug()
	defer client.Close()
	_, stderr, code := fail(t, "-s", dir, "--mode", "0666", "--port", "stream:unix:"+d.path("more"))
	pid := strconv.Itoa(d.cmd.Process.Pid)
	wantFailure(t, stderr, code, 1, dir, "process "+pid, "kill "+pid, "-s DIR")
	for name, was := range before {
		now, err := os.Lstat(d.path(name))
		if err != nil || !os.SameFile(was, now) || was.Mode() != now.Mode() || name != "" && !was.ModTime().Equal(now.ModTime()) {
			t.Errorf("%q was touched: %v, %v", name, now, err)
		}
	}
	if text, _ := os.ReadFile(d.path("pid")); strings.TrimSpace(string(text)) != pid {
		t.Errorf("the pid file says %q", text)
	}
	d.check()
}

// Of many that start at once, one gets the directory.
func TestOnlyOneGetsTheDirectory(t *testing.T) {
	dir := filepath.Join(tempDir(t), "lab")
	const count = 6
	type end struct {
		code   int
		stderr string
	}
	ends := make(chan end, count)
	var cmds []*exec.Cmd
	for range count {
		cmd := command("-s", dir)
		var errs lockedBuffer
		cmd.Stderr = &errs
		cmds = append(cmds, cmd)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = cmd.Wait()
			ends <- end{cmd.ProcessState.ExitCode(), errs.String()}
		}()
	}
	for range count - 1 {
		if e := <-ends; e.code != 1 || !strings.Contains(e.stderr, "is in use by ") { // whom, the winner may not have written yet
			t.Errorf("one of those that came too late: exit code %d:\n%s", e.code, e.stderr)
		}
	}
	for _, cmd := range cmds {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	if e := <-ends; e.code != 0 && e.code != -1 { // -1: it was not ready for the signal yet
		t.Errorf("the one that got it: exit code %d:\n%s", e.code, e.stderr)
	}
}

// After kill -9 the sockets are stale. A new switch takes their place.
func TestStaleSocketsAreReplaced(t *testing.T) {
	dir := filepath.Join(tempDir(t), "lab")
	first := start(t, dir)
	client := first.plug()
	defer client.Close()
	if code := first.stop(syscall.SIGKILL); code != -1 {
		t.Fatalf("exit code %d", code)
	}
	if got := listing(t, dir); !strings.Contains(got, "stream") || !strings.Contains(got, "api") {
		t.Fatalf("nothing stale was left: %s", got)
	}
	if _, err := io.ReadAll(client); err != nil {
		t.Logf("the old client was told: %v", err)
	}
	second := start(t, dir)
	second.check()
	if code := second.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &second.stderr)
	}
	if got := listing(t, dir); got != "" {
		t.Errorf("left in the directory that was there before: %s", got)
	}
}

// A directory that was there stays, and so does what others put into it.
func TestForeignFilesStay(t *testing.T) {
	dir := tempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "notes"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	d := start(t, dir)
	d.stop(syscall.SIGTERM)
	if got := listing(t, dir); got != "notes -rw-r--r--" {
		t.Errorf("in the directory: %s", got)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o750 {
		t.Errorf("its mode is %v now", info.Mode())
	}
	made := filepath.Join(dir, "lab")
	d = start(t, made)
	if err := os.WriteFile(d.path("notes"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &d.stderr)
	}
	if got := listing(t, made); got != "notes -rw-r--r--" {
		t.Errorf("in the directory: %s", got)
	}
}

func TestWhatIsInTheWayStays(t *testing.T) {
	for _, name := range []string{"stream", "api"} {
		dir := tempDir(t)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := fail(t, "-s", dir)
		wantFailure(t, stderr, code, 1, filepath.Join(dir, name), "not a socket", "remove it")
		if got := listing(t, dir); got != name+" -rw-------" {
			t.Errorf("in the directory: %s", got)
		}
	}
	dir := tempDir(t)
	live, err := net.Listen("unix", filepath.Join(dir, "stream")) // somebody else's
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	_, stderr, code := fail(t, "-s", dir)
	wantFailure(t, stderr, code, 1, "process "+strconv.Itoa(os.Getpid()))
}

// The pid file is not a way to have root write elsewhere.
func TestPidFileIsNoLink(t *testing.T) {
	dir := tempDir(t)
	target := filepath.Join(tempDir(t), "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, "pid")); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := fail(t, "-s", dir)
	wantFailure(t, stderr, code, 1, "pid")
	if text, _ := os.ReadFile(target); string(text) != "precious" {
		t.Errorf("it was written to: %q", text)
	}
}

func TestDirectoryCannotBe(t *testing.T) {
	top := tempDir(t)
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(top, strings.Repeat("d", 100))
	for _, c := range []struct {
		name, dir string
		code      int
		words     []string
	}{
		{"too long", long, 2, []string{"bytes", "107", "-s DIR"}},
		{"a file", file, 1, []string{file}},
		{"below a file", filepath.Join(file, "lab"), 1, []string{file, "-s DIR"}},
		{"in proc", "/proc/vsw", 1, []string{"/proc/vsw", "-s DIR"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, code := fail(t, "-s", c.dir)
			wantFailure(t, stderr, code, c.code, c.words...)
			if got := listing(t, top); got != "file -rw-------" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

// asNobody is vswitch as a user who may do nothing.
func asNobody(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := mgmttest.AsUser(t, mgmttest.Nobody, "vswitch", append(os.Environ(), asProgram+"=1")...)
	cmd.Args = append(cmd.Args, args...)
	return cmd
}

func TestPermissionDenied(t *testing.T) {
	top := tempDir(t)
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "lab")
	_, stderr, code := runCmd(t, asNobody(t, "-s", dir))
	wantFailure(t, stderr, code, 3, dir, "permission denied", "-s DIR")
	if got := listing(t, dir); got != "gone" {
		t.Errorf("left behind: %s", got)
	}
	d := start(t, dir) // root's, for nobody else
	_, stderr, code = runCmd(t, asNobody(t, "-s", dir))
	wantFailure(t, stderr, code, 3, dir, "permission denied")
	d.check()
	open := start(t, filepath.Join(top, "open"), "-m", "0666") // a live one that others may use
	_, stderr, code = runCmd(t, asNobody(t, "-s", open.dir))
	wantFailure(t, stderr, code, 1, open.dir, fmt.Sprint("process ", open.cmd.Process.Pid))
	open.check()
}

// holdDir is used again and again by the same process.
func TestHoldAndRelease(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := filepath.Join(tempDir(t), "lab")
	for range 3 {
		d, err := holdDir(dir, 0o700, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holdDir(dir, 0o700, -1); err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Errorf("held twice: %v", err)
		}
		if err := d.release(); err != nil {
			t.Error(err)
		}
	}
	for mode, want := range map[fs.FileMode]fs.FileMode{0o600: 0o700, 0o660: 0o750, 0o640: 0o750, 0o602: 0o705, 0o666: 0o755} {
		if got := dirMode(mode); got != want {
			t.Errorf("doors of mode %04o make the directory %04o, want %04o", mode, got, want)
		}
	}
}
