package main

import "syscall"

// linkProcessAttr gives an end of a link a process group of its own, and has it
// end with this process.
func linkProcessAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
