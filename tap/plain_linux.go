package tap

import (
	"fmt"
	"syscall"

	"github.com/songgao/water"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// openPlain opens all queues of the device without offload, through package
// water: it knows TAPs beyond Linux's newest, and no offload.
func (d *device) openPlain(w wanted, was *netlink.Tuntap, flags uint16) error {
	// water keeps a descriptor open when it fails, so it must not: this finds
	// out whether it would.
	fd, err := openQueue(w.name, flags)
	if err != nil {
		return d.openError(err, was)
	}
	unix.Close(fd)
	for range w.queues {
		fd, err := waterQueue(water.Config{DeviceType: water.TAP, PlatformSpecificParams: water.PlatformSpecificParams{
			Name:       w.name,
			MultiQueue: flags&unix.IFF_MULTI_QUEUE != 0,
			Persist:    was != nil && !was.NonPersist, // as it was
		}})
		if err != nil {
			return d.openError(err, was)
		}
		d.fds = append(d.fds, fd)
	}
	return d.limit()
}

// waterQueue opens one queue and returns a descriptor of its own, which is not
// in the runtime's poller: the switch polls it itself.
func waterQueue(c water.Config) (fd int, err error) {
	ifc, err := water.New(c)
	if err != nil {
		return -1, err
	}
	defer ifc.Close()
	file, ok := ifc.ReadWriteCloser.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("open tap: %T is no file", ifc.ReadWriteCloser)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := raw.Control(func(s uintptr) {
		if fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	})
	if ctlErr != nil {
		err = ctlErr
	}
	return fd, err
}
