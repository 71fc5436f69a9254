// Package pidfile writes the process number of a daemon into a file, for scripts.
//
// Who has the file open and locked owns it, and the lock ends with the process,
// however that ends. A file that is somebody else's, or is no pid file, stays as
// it is.
package pidfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// File has our process number in it; nil is none.
type File struct{ f *os.File }

// Write writes our number into a file that is not there, is empty, or was left
// behind by a process that is dead. Without a path it does nothing.
func Write(path string) (*File, error) {
	if path == "" {
		return nil, nil
	}
	path, err := filepath.Abs(path) // we may change directory
	if err != nil {
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	const how = os.O_RDWR | syscall.O_NOFOLLOW | syscall.O_NONBLOCK
	f, err := os.OpenFile(path, how|os.O_CREATE|os.O_EXCL, 0o644)
	made := err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, how|os.O_CREATE, 0o644)
	}
	if err != nil {
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	p := &File{f}
	if err = take(f); err == nil {
		return p, nil
	}
	err = fmt.Errorf("write pid file %s: %w", path, err)
	if made {
		return nil, errors.Join(err, p.Remove())
	}
	return nil, errors.Join(err, f.Close())
}

func take(f *os.File) error {
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
	if _, err := f.WriteAt([]byte(mine), 0); err != nil {
		return errors.Join(err, f.Truncate(int64(n))) // no number: a hole would not be taken for one
	}
	return errors.Join(f.Truncate(int64(len(mine))), f.Chmod(0o644))
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

// Remove takes the file away, unless another has come to its place.
func (p *File) Remove() error {
	if p == nil {
		return nil
	}
	defer p.f.Close()
	mine, err := p.f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Lstat(p.f.Name())
	if err != nil || !os.SameFile(mine, there) {
		return nil // somebody has removed ours
	}
	return os.Remove(p.f.Name())
}
