package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A keeper that was killed leaves a VM that runs on, which nobody clears up after
// and whose port nobody adds again. Who looks at the VM next starts another keeper.

// tend sees to a VM whose keeper was killed: it clears up if the VM has ended, else
// it starts another keeper. Of several who look at once one does it.
func (v *vm) tend() {
	if v.Keeper.alive() || v.swept() {
		return
	}
	lock, err := v.lockOrphan()
	if err != nil {
		return // a keeper is on its way, or has just cleared up
	}
	defer lock.Close() // the keeper has it, too
	now, err := load(v.Name)
	if err != nil || now.Keeper.alive() {
		return
	}
	*v = *now
	if !v.QEMU.alive() {
		v.sweep()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := v.launch(ctx, lock); err != nil {
		fmt.Fprintf(os.Stderr, "vmrun: the keeper of %s was killed, and no other can be started: %v\n", v.Name, err)
	} else if now, err := load(v.Name); err == nil {
		*v = *now
	}
}

// lockOrphan locks a VM whose keeper is gone. A process that was killed is gone before
// the last of its threads, which keeps its files open, has seen that on a busy host.
func (v *vm) lockOrphan() (*os.File, error) {
	return v.awaitLock(time.Second, func(now *vm) error {
		if now.Keeper.PID != v.Keeper.PID {
			return errTended
		}
		return nil
	})
}

var errTended = errors.New("another was here before")

// adopt makes this process the keeper of a VM that runs. wait waits for QEMU's end.
func (v *vm) adopt() (wait func(), err error) {
	fd, err := unix.PidfdOpen(v.QEMU.PID, 0)
	if err != nil { // Linux before 5.3, or it has just ended
		fd = -1
	}
	v.Keeper = thisProcess()
	fmt.Fprintf(os.Stderr, "vmrun: the keeper was killed; process %d keeps the VM from now on\n", v.Keeper.PID)
	return func() {
		for v.QEMU.alive() { // and not another that has its number
			if fd < 0 {
				time.Sleep(watchEvery)
				continue
			}
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		}
	}, v.save()
}
