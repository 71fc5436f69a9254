package cable

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

// writePidFile writes our process number to a new file, or to what a dead
// process left, and returns what removes it. It touches nothing else.
func writePidFile(path string) (remove func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if path, err = filepath.Abs(path); err != nil { // we may change directory
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	// The lock ends with the process, however that ends.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write pid file %s: another cable holds it: %w", path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if old := strings.TrimSpace(string(text)); err == nil && strings.Trim(old, "0123456789") != "" {
		err = fmt.Errorf("%s exists and has no process number in it; remove it or choose another", path)
	}
	if err == nil {
		err = f.Truncate(0)
	}
	mine, statErr := f.Stat()
	err = errors.Join(err, statErr)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write pid file: %w", err)
	}
	return func() {
		if now, err := os.Lstat(path); err == nil && os.SameFile(now, mine) {
			_ = os.Remove(path)
		}
		_ = f.Close()
	}, nil
}
