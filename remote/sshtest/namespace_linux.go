package sshtest

import "syscall"

// ownNamespace has a process see its own mounts, and end with the test.
func ownNamespace() *syscall.SysProcAttr {
	// Unshareflags makes the mounts private before anything else happens.
	return &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
}
