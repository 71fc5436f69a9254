package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt/api"
)

// A VM's lock is a file of its directory, which goes with it. Who starts the VM has
// it and hands it on to the keeper, which has it until it has cleared up.

// lockNew locks a VM that need not be there yet.
func lockNew(dir string) (lock *os.File, err error) {
	for range 10 { // rm may take the directory away just then
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, stateError(fmt.Errorf("make the VM's directory: %w", err))
		}
		if lock, err = lockVM(dir, os.O_CREATE); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, &api.Error{Code: api.ErrFailed, Message: "a VM of this name runs or is being started", Hint: "give this one another --name, or wait"}
	case err != nil:
		return nil, stateError(err)
	}
	return lock, nil
}

// lockVM keeps two from starting or removing one VM, and is the keeper's while it
// lives. Where another has the lock the error is EWOULDBLOCK.
func lockVM(dir string, flags int) (*os.File, error) {
	path := dir + "/lock"
	f, err := os.OpenFile(path, flags|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && !isAt(f, path) {
		err = os.ErrNotExist // rm had it, and has removed it
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// isAt tells whether path leads to the file f.
func isAt(f *os.File, path string) bool {
	have, err := f.Stat()
	there, err2 := os.Stat(path)
	return err == nil && err2 == nil && os.SameFile(have, there)
}

// lockIdle locks a VM that does not run. Who looks at it has the lock for a moment.
func (v *vm) lockIdle() (*os.File, error) {
	lock, err := v.awaitLock(startTime, (*vm).mustNotRun)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, gone := load(v.Name); gone != nil { // another has removed it
			return nil, gone
		}
		return lockVM(v.dir, os.O_CREATE)
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, v.beingStarted()
	}
	return lock, err
}

// awaitLock locks a VM. While another has the lock it tries again, for as long as
// limit, unless the VM, as it is by then, cannot be waited for.
func (v *vm) awaitLock(limit time.Duration, wait func(now *vm) error) (*os.File, error) {
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		lock, err := lockVM(v.dir, 0)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return lock, err
		}
		now, err := load(v.Name)
		if err == nil {
			err = wait(now)
		}
		if err != nil {
			return nil, err
		}
	}
}
