package hostnet

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// doors are what a switch makes in its directory, and takes away at its end.
var doors = []string{"api", "ctl", "mgmt", "stream", "vhost"}

// clearDoors removes what a switch that was killed has left in its directory:
// sockets that nobody listens at, and its pid file. Where somebody has started
// another switch there, that one's stay. The directory belongs to a user who may
// change it meanwhile, so everything goes by a descriptor of it.
func clearDoors(dir string) {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return // gone, or not what it was
	}
	defer unix.Close(at)
	dead := true
	for _, name := range doors {
		var st unix.Stat_t
		if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
			continue
		}
		if !deserted(fmt.Sprintf("/proc/self/fd/%d/%s", at, name)) {
			dead = false
			continue
		}
		_ = unix.Unlinkat(at, name, 0)
	}
	if dead {
		_ = unix.Unlinkat(at, "pid", 0)
	}
}

// deserted tells whether nobody listens at a socket. It does not wait.
func deserted(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Connect(fd, &unix.SockaddrUnix{Name: path}), unix.ECONNREFUSED)
}
