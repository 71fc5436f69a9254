package mgmt

import (
	"os/user"
	"strconv"
	"syscall"
	"unsafe"
)

const soPeerGroups = 59 // SO_PEERGROUPS, Linux 4.13

// peerOf is who connected the unix socket fd, at the time of the connect.
func peerOf(fd int) caller {
	cred, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	// A user namespace that does not know the peer's uid yields its overflow
	// uid, which is nobody's and so gives no rights.
	if err != nil {
		return caller{uid: -1}
	}
	c := caller{known: true, pid: int(cred.Pid), uid: int(cred.Uid), gids: []int{int(cred.Gid)}}
	var gids [256]uint32
	size := uint32(unsafe.Sizeof(gids))
	_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, soPeerGroups,
		uintptr(unsafe.Pointer(&gids)), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 {
		for _, g := range gids[:size/4] {
			c.gids = append(c.gids, int(g))
		}
		return c
	}
	// Hundreds of groups, or an old kernel: what the group file says.
	if u, err := user.LookupId(strconv.Itoa(c.uid)); err == nil {
		if ids, err := u.GroupIds(); err == nil {
			for _, id := range ids {
				if g, err := strconv.Atoi(id); err == nil {
					c.gids = append(c.gids, g)
				}
			}
		}
	}
	return c
}
