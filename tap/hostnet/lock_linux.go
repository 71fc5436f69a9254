package hostnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// lock is the right to change the host. It ends with the process.
type lock struct {
	dir  string
	file *os.File
}

// takeLock takes the lock in dir, or names who has it.
func takeLock(dir string) (*lock, error) {
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, lockTrouble(dir, err)
		}
		path := filepath.Join(dir, lockName)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the one before us removed the directory
		}
		if err != nil {
			return nil, lockTrouble(dir, err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			text := make([]byte, 200)
			n, _ := f.ReadAt(text, 0)
			f.Close()
			return nil, refuse(ErrLocked, "another run is changing this host: "+strings.TrimSpace(string(text[:n])), "wait for it, then try again")
		}
		if err != nil {
			return nil, errors.Join(lockTrouble(dir, err), f.Close())
		}
		// What we locked may be a file that its holder has removed.
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
			f.Close()
			continue
		}
		text := fmt.Sprintf("process %d (%s), since %s\n", os.Getpid(), filepath.Base(os.Args[0]), time.Now().Format(time.TimeOnly))
		_, err = f.WriteAt([]byte(text), 0)
		if err = errors.Join(err, f.Truncate(int64(len(text)))); err != nil {
			return nil, errors.Join(lockTrouble(dir, err), f.Close())
		}
		return &lock{dir, f}, nil
	}
}

func lockTrouble(dir string, err error) error {
	e := &Error{Code: ErrJournal, Cause: "the lock in " + dir + " cannot be written, and without it nothing is changed", Err: err, Cure: "df -h " + dir + "; mount | grep /run"}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		e.Code, e.Cure = ErrForbidden, "run it as root: sudo vnetctl ..."
	}
	return e
}

// awaitLock takes the lock as soon as its holder lets go, for as long as ctx.
func awaitLock(ctx context.Context, dir string) (*lock, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := takeLock(dir)
		if err == nil || !errors.Is(err, ErrLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// release lets go, and removes what holds nothing any more.
func (l *lock) release() {
	empty := true
	entries, err := os.ReadDir(l.dir)
	for _, e := range entries {
		empty = empty && e.Name() == lockName
	}
	if err == nil && empty {
		_ = os.Remove(filepath.Join(l.dir, lockName))
		_ = os.Remove(l.dir)
	}
	l.file.Close()
}
