package pidfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A pid file that somebody else has put in place of ours stays.
func TestFileOfOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	p, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(path); err == nil || !strings.Contains(err.Error(), "holds it") {
		t.Errorf("written twice: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
}

// What is not a dead daemon's pid file stays as it is.
func TestWriteRefuses(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"hello\n": "no process number", "-1\n": "no process number", strconv.Itoa(os.Getppid()) + "\n": "is alive",
	} {
		path := filepath.Join(dir, "pid")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Write(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
	if err := os.Symlink("pid", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "link"), "/dev/null"} {
		if _, err := Write(path); err == nil {
			t.Errorf("%s was taken", path)
		}
	}
}

// A dead process's file is taken over, and an empty path is none.
func TestWrite(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, fmt.Appendln(nil, dead.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Write(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("it holds %q, %v", got, err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it is still there")
	}
	if p, err := Write(""); p != nil || err != nil || p.Remove() != nil {
		t.Errorf("no path: %v, %v", p, err)
	}
}

// What cannot be written leaves nothing behind that would keep the next daemon
// from starting.
func TestWriteFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	none := old
	none.Cur = 0
	for _, there := range []bool{false, true} {
		if there {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &none); err != nil {
			t.Fatal(err)
		}
		_, err := Write(path)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(err, syscall.EFBIG) {
			t.Errorf("error %v", err)
		}
		if fi, err := os.Stat(path); (err == nil) != there || there && fi.Size() != 0 {
			t.Errorf("was there: %t, and now: %v, %v", there, fi, err)
		}
	}
}
