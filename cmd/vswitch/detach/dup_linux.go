package detach

import (
	"os"
	"syscall"
)

// dup makes descriptor fd be f.
func dup(f *os.File, fd int) error { return syscall.Dup3(int(f.Fd()), fd, 0) }
