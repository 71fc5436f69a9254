//go:build unix

package api

import (
	"io/fs"
	"syscall"
)

// owner is the uid that fi's file belongs to.
func owner(fi fs.FileInfo) (uid int, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, false
	}
	return int(st.Uid), true
}
