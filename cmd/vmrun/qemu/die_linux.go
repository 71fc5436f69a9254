package qemu

import (
	"os/exec"
	"syscall"
)

// dieWithUs has a QEMU that was only asked not outlive the one who asked.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
