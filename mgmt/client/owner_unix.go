//go:build unix

package client

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// ownerNames are the names, or numbers, of fi's user and group.
func ownerNames(fi fs.FileInfo) (name, group string) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return "", ""
	}
	name, group = strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return name, group
}
