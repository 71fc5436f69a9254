package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"vnetkit/mgmt/api"
	"vnetkit/switch/plug"
)

// directory is a switch's directory, held by this process. The lock on its pid
// file says that it is held: it ends with the process, however that ends.
type directory struct {
	path string
	pid  *os.File
	made bool // by us, so removed by us
}

// pidName holds the daemon's process number, for scripts, and the lock.
const pidName = "pid"

// holdDir makes the directory, with this mode, if need be and takes hold of it. It
// fails before anything is touched if another process holds it.
func holdDir(path string, mode fs.FileMode, gid int) (*directory, error) {
	d := &directory{path: path}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make directory for switch: %w (choose another place with -s DIR)", err)
	}
	syscall.Umask(0o077) // from here on: a door must not be open before its mode is set
	err := os.Mkdir(path, mode)
	d.made = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make switch directory: %w (choose another place with -s DIR)", err)
	}
	if err := d.lock(); err != nil {
		return nil, err
	}
	if gid >= 0 {
		if err := os.Chown(path, -1, gid); err != nil {
			return nil, errors.Join(fmt.Errorf("give switch directory to group %d: %w", gid, err), d.release())
		}
	}
	if d.made { // the mode that Mkdir gave is less the umask
		if err := os.Chmod(path, mode); err != nil {
			return nil, errors.Join(err, d.release())
		}
	}
	return d, nil
}

// dirMode lets in who may open a door, and lets nobody but us take a door away.
func dirMode(mode fs.FileMode) fs.FileMode {
	dir := fs.FileMode(0o700)
	for _, who := range []fs.FileMode{0o070, 0o007} {
		if mode&0o666&who != 0 {
			dir |= 0o555 & who
		}
	}
	return dir
}

// lock takes the lock on the pid file, or names who has it.
func (d *directory) lock() error {
	path := filepath.Join(d.path, pidName)
	for {
		// Nobody else may open it: who can could lock it, too.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			if pid, ok := plug.Holder(filepath.Join(d.path, api.SocketName)); ok {
				return &heldError{d.path, strconv.Itoa(pid)}
			}
			return fmt.Errorf("take hold of switch directory: %w (choose another place with -s DIR)", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			text := make([]byte, 20)
			n, _ := f.ReadAt(text, 0)
			f.Close()
			return &heldError{d.path, strings.TrimSpace(string(text[:n]))}
		}
		if err != nil {
			f.Close()
			return fmt.Errorf("lock %s: %w", path, err)
		}
		// The holder before us removes the file as it leaves: what we locked
		// may be a file that nobody else will find.
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
			f.Close()
			continue
		}
		d.pid = f
		text := []byte(strconv.Itoa(os.Getpid()) + "\n")
		_, err = f.WriteAt(text, 0)
		err = errors.Join(err, f.Truncate(int64(len(text))))
		if err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", path, err), d.release())
		}
		return nil
	}
}

// heldError says that another switch lives in the directory.
type heldError struct{ dir, pid string }

func (e *heldError) Error() string {
	if e.pid == "" { // it has begun this moment
		return fmt.Sprintf("switch directory %s is in use by another process; choose another with -s DIR", e.dir)
	}
	return fmt.Sprintf("switch directory %s is in use by process %s; stop it with: kill %s, or choose another with -s DIR", e.dir, e.pid, e.pid)
}

// release gives the directory back, and removes it if we made it and nobody put
// anything else there. If what has its name now is another switch's, or nothing,
// because somebody has moved ours or removed it, that stays as it is.
func (d *directory) release() error {
	defer d.pid.Close()
	mine, err1 := d.pid.Stat()
	there, err2 := os.Lstat(d.pid.Name())
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		return nil
	}
	err := os.Remove(d.pid.Name())
	if d.made {
		if e := os.Remove(d.path); e != nil && !errors.Is(e, syscall.ENOTEMPTY) {
			err = errors.Join(err, e)
		}
	}
	return err
}
