package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// pidfile is a file with our process number in it, for scripts. The lock on it
// ends with the process.
type pidfile struct{ f *os.File }

// writePidfile writes our number into a file that is not there, is empty, or was
// left behind by a process that is dead. Anything else it leaves alone.
func writePidfile(path string) (*pidfile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	if err := takePidfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write pid file %s: %w", path, err), f.Close())
	}
	return &pidfile{f}, nil
}

func takePidfile(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() {
		return errors.New("it is there and is not a file; name another with --pidfile")
	}
	text := make([]byte, 64)
	n, err := f.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	old := strings.TrimSpace(string(text[:n]))
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("process %s holds it; stop that with: kill %s, or name another file with --pidfile: %w", old, old, err)
	}
	if n > 0 {
		pid, err := strconv.Atoi(old)
		if err != nil || pid <= 0 {
			return errors.New("it is there and holds no process number; name another with --pidfile, or remove it")
		}
		if pid != os.Getpid() && alive(pid) {
			return fmt.Errorf("process %d, which it names, is alive; stop that with: kill %d, or name another file with --pidfile", pid, pid)
		}
	}
	mine := strconv.Itoa(os.Getpid()) + "\n"
	_, err = f.WriteAt([]byte(mine), 0)
	return errors.Join(err, f.Truncate(int64(len(mine))), f.Chmod(0o644))
}

// alive tells whether there is a process, dead ones that nobody has buried yet
// not counted.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // proc(5): pid (name) state ...
	i := strings.LastIndex(string(stat), ") ")
	return err != nil || i < 0 || !strings.HasPrefix(string(stat[i+2:]), "Z")
}

// remove takes the file away, unless another has come to its place.
func (p *pidfile) remove() error {
	if p == nil {
		return nil
	}
	defer p.f.Close()
	mine, err := p.f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(filepath.Clean(p.f.Name()))
	if err != nil || !os.SameFile(mine, there) {
		return nil // somebody has removed ours
	}
	return os.Remove(p.f.Name())
}
