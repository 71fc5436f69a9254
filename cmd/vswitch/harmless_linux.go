package main

import (
	"os"
	"syscall"
)

// harmless are signals that end a process by default and do not end vde_switch.
var harmless = []os.Signal{
	syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPROF, syscall.SIGVTALRM,
	syscall.SIGIO, syscall.SIGPWR, syscall.SIGSTKFLT,
}
