package tap

import (
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// state is what can be seen of a device from outside.
type state struct {
	gone  bool
	moved bool // to another network namespace than it was opened in
	up    bool
	name  string
	mtu   int
	in    bridge // whose port it is
}

// bridge is one of the kernel's; the zero value is none.
type bridge struct {
	netns uint64 // inode
	index int
	name  string
}

// state looks at d now.
func (d *device) state() state {
	req, _ := unix.NewIfreq("")
	if err := unix.IoctlIfreq(d.fds[0], unix.TUNGETIFF, req); err != nil {
		return state{gone: true, name: d.name}
	}
	st := state{name: req.Name(), mtu: defaultMTU}
	at := d.namespace()
	if at >= 0 {
		defer unix.Close(at)
		st.moved = d.home > 0 && !sameFile(at, d.home)
	}
	if l := d.find(at, st.name); l != nil {
		st.up = l.Attrs().RawFlags&unix.IFF_UP != 0
		st.mtu = l.Attrs().MTU
		st.in = d.bridge(at, l.Attrs().MasterIndex)
		return st
	}
	// Nobody tells us where it is; but it says itself whether it can be written
	// to, which it can while it is up.
	fds := []unix.PollFd{{Fd: int32(d.fds[0]), Events: unix.POLLOUT}}
	_, err := unix.Poll(fds, 0)
	st.up = err == nil && fds[0].Revents&unix.POLLOUT != 0
	return st
}

const defaultMTU = 1500

// namespace opens the network namespace where d is now; -1: that takes rights
// that we have not.
func (d *device) namespace() int {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fds[0]), unix.TUNGETDEVNETNS, 0)
	if errno != 0 {
		return -1
	}
	return int(fd)
}

// find looks the device up in a network namespace, or, if ns is -1, in the one
// where it was opened.
func (d *device) find(ns int, name string) netlink.Link {
	if ns < 0 {
		ns = d.home
	}
	h, err := netlink.NewHandleAt(handle(ns), unix.NETLINK_ROUTE)
	if err != nil {
		return nil
	}
	defer h.Close()
	l, err := h.LinkByName(name)
	if err != nil || l.Type() != "tuntap" && l.Type() != "tun" && l.Type() != "macvtap" {
		return nil
	}
	return l
}

// bridge tells whether interface index, in the namespace that find looks in, is a
// bridge.
func (d *device) bridge(ns, index int) (b bridge) {
	if ns < 0 {
		ns = d.home
	}
	var st unix.Stat_t
	var err error
	if ns > 0 {
		err = unix.Fstat(ns, &st)
	} else {
		err = unix.Stat("/proc/thread-self/ns/net", &st)
	}
	if index == 0 || err != nil {
		return b
	}
	h, err := netlink.NewHandleAt(handle(ns), unix.NETLINK_ROUTE)
	if err != nil {
		return b
	}
	defer h.Close()
	if l, err := h.LinkByIndex(index); err == nil && l.Type() == "bridge" {
		b = bridge{st.Ino, index, l.Attrs().Name}
	}
	return b
}

// handle is a namespace's descriptor as the netlink package wants it; 0: the
// present one.
func handle(ns int) netns.NsHandle {
	if ns <= 0 {
		return netns.None()
	}
	return netns.NsHandle(ns)
}

func sameFile(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Ino == y.Ino && x.Dev == y.Dev
}

// watch calls look when something has become of a device in the namespace where
// d is now, until stop is called, which does not wait.
func (d *device) watch(look func()) (stop func()) {
	ns := d.namespace()
	if ns < 0 && d.home > 0 {
		ns, _ = unix.FcntlInt(uintptr(d.home), unix.F_DUPFD_CLOEXEC, 3)
	}
	index := 0
	if l := d.find(ns, d.name); l != nil {
		index = l.Attrs().Index
	}
	done := make(chan struct{})
	go func() {
		if ns > 0 {
			defer unix.Close(ns)
		}
		for {
			follow(ns, index, done, look)
			select {
			case <-done:
				return
			case <-time.After(time.Second): // the kernel had more news than room
				look()
			}
		}
	}()
	return sync.OnceFunc(func() { close(done) })
}

// follow calls look for each piece of news of a device until there can be no
// more. Index 0 is all devices.
func follow(ns, index int, done <-chan struct{}, look func()) {
	at := handle(ns)
	updates, ended := make(chan netlink.LinkUpdate, 16), make(chan struct{})
	over := sync.OnceFunc(func() { close(ended) })
	defer over()
	err := netlink.LinkSubscribeWithOptions(updates, ended, netlink.LinkSubscribeOptions{
		Namespace:     &at,
		ErrorCallback: func(error) {},
	})
	if err != nil {
		return
	}
	look() // what has happened before that
	for {
		select {
		case u, ok := <-updates:
			if !ok {
				return
			}
			if index == 0 || int(u.Index) == index {
				look()
			}
		case <-done:
			over()
			for range updates { // so that nobody waits to send to us
			}
			return
		}
	}
}
