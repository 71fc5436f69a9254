package sshtest

import "syscall"

// ownNamespace has a process see its own mounts, and perhaps network, and end
// with the test.
func ownNamespace(network bool) *syscall.SysProcAttr {
	// Unshareflags makes the mounts private before anything else happens.
	attr := &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if network {
		attr.Unshareflags |= syscall.CLONE_NEWNET
	}
	return attr
}
