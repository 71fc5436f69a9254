package main

import "syscall"

// linkProcessAttr keeps an end of a link away from the terminal (see SSH.Run), and has it
// end with this process.
func linkProcessAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
}
