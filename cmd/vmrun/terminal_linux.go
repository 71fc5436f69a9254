package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// rawTerminal has each key go to the guest, also Ctrl-C, and returns what undoes it.
func rawTerminal(f *os.File) (restore func()) {
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {} // no terminal
	}
	raw := *old
	raw.Iflag &^= unix.IXON | unix.ICRNL | unix.INLCR | unix.IGNCR | unix.ISTRIP | unix.BRKINT
	raw.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, &raw)
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, old) }
}
