package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// consoleIsEnded opens a VM's console on a terminal and ends it by a signal: the
// terminal must be as it was.
func (b *bench) consoleIsEnded(name string) {
	b.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer terminal.Close()
	echoes := func() bool {
		set, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		return err == nil && set.Lflag&unix.ECHO != 0
	}
	cmd := exec.Command(filepath.Join(b.bin, "vmrun"), "console", name)
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+b.home)
	cmd.Stdin = terminal
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.await("keys go to the guest", func() bool { return !echoes() })
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err == nil || !echoes() {
		b.t.Errorf("ended by SIGTERM the console says %v, and the terminal echoes: %v", err, echoes())
	}
}
