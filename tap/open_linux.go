package tap

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/offload"
)

const cloneDevice = "/dev/net/tun"

// Bits for TUNSETOFFLOAD (linux/if_tun.h).
const (
	tunCsum = 1 << iota
	tunTSO4
	tunTSO6
	tunECN
	_
	tunUSO4
	tunUSO6
)

// sendBuffer is what a device's queues may hold of frames that somebody behind
// it, a network card for instance, has not sent yet, in bytes. Beyond it the
// switch waits instead of losing frames.
const sendBuffer = 4 << 20

// device is an open TAP device.
type device struct {
	name   string
	fds    []int // one for each queue
	vnet   bool
	takes  frame.OffloadSet
	remark string // what was asked for and cannot be
	ours   bool   // made here
	home   int    // descriptor of the namespace in which it was opened
}

func (d *device) close() {
	for _, fd := range d.fds {
		unix.Close(fd)
	}
	if d.home > 0 {
		unix.Close(d.home)
	}
	d.fds, d.home = nil, 0
}

// openDevice makes or finds the device that w describes, and does with it what w
// asks for. If it fails nothing has changed.
func openDevice(w wanted) (d *device, err error) {
	if w.fd >= 0 {
		return adopt(w)
	}
	err = inNamespace(w.netns, func(home int) error {
		d, err = openHere(w, home)
		return err
	})
	return d, err
}

// inNamespace calls f in a network namespace, whose descriptor it gives to f. ""
// is the present one.
func inNamespace(name string, f func(ns int) error) error {
	path := name
	switch {
	case name == "":
		path = "/proc/thread-self/ns/net"
	case name[0] != '/':
		path = "/run/netns/" + name
	}
	done := make(chan error)
	go func() {
		// The thread ends with this goroutine: it has left its namespace.
		runtime.LockOSThread()
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			err = fmt.Errorf("network namespace %q: %w (ip netns list shows which there are)", name, err)
		} else if name != "" {
			if err = unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				unix.Close(fd)
				err = fmt.Errorf("enter network namespace %q: %w", name, hint(err, "that takes root, and a network namespace"))
			}
		}
		if err == nil {
			err = f(fd)
		}
		done <- err
	}()
	return <-done
}

// hint adds to an error what helps, if it is of the kind that means that
// permission is missing.
func hint(err error, cure string) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w (%s)", err, cure)
	}
	return err
}

// openHere opens w's device in the namespace of this thread. home is the
// device's from then on, or closed.
func openHere(w wanted, home int) (*device, error) {
	d := &device{name: w.name, vnet: w.offload, home: home}
	fail := func(err error) (*device, error) {
		d.close()
		return nil, fmt.Errorf("tap %s: %w", w.name, err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fail(fmt.Errorf("netlink: %w", err))
	}
	defer h.Close()
	was, err := lookAt(h, w)
	if err != nil {
		return fail(err)
	}
	d.ours = was == nil
	if err := d.openQueues(w, was); err != nil {
		return fail(err)
	}
	undo, err := setUp(h, d, w, was)
	if err == nil {
		err = d.keep(w)
	}
	if err != nil {
		undo()
		return fail(err)
	}
	return d, nil
}

// lookAt finds w's device if it exists and can be used; nil if there is none.
func lookAt(h *netlink.Handle, w wanted) (*netlink.Tuntap, error) {
	l, err := h.LinkByName(w.name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, nil
	case err != nil:
		return nil, err
	}
	t, ok := l.(*netlink.Tuntap)
	switch {
	case !ok:
		return nil, fmt.Errorf("the name is taken by a device that is no TAP but %s: choose another name", l.Type())
	case t.Mode != netlink.TUNTAP_MODE_TAP:
		return nil, errors.New("the name is taken by a TUN device, which carries no Ethernet: choose another name")
	case w.persist == off && !t.NonPersist:
		return nil, fmt.Errorf("persist=off would delete a device that was there before: leave it away, or delete it: ip link del %s", w.name)
	case w.queues > 1 && t.Flags&netlink.TUNTAP_MULTI_QUEUE == 0:
		return nil, fmt.Errorf("it exists and has one queue only: make it anew: ip link del %s; ip tuntap add %s mode tap multi_queue", w.name, w.name)
	}
	return t, nil
}

// openQueues opens all queues of the device.
func (d *device) openQueues(w wanted, was *netlink.Tuntap) error {
	flags := uint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if w.queues > 1 || was != nil && was.Flags&netlink.TUNTAP_MULTI_QUEUE != 0 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	features, err := tunFeatures()
	if err != nil {
		return err
	}
	if d.vnet && features&unix.IFF_VNET_HDR == 0 {
		d.vnet, d.remark = false, "no offload: this kernel's TAP devices have none"
	}
	if flags&unix.IFF_MULTI_QUEUE&^features != 0 {
		d.remark = "one queue: this kernel's TAP devices have no more"
		flags, w.queues = flags&^unix.IFF_MULTI_QUEUE, 1
	}
	if !d.vnet {
		return d.openPlain(w, was, flags)
	}
	for range w.queues {
		fd, err := openQueue(w.name, flags|unix.IFF_VNET_HDR)
		if err != nil {
			return d.openError(err, was)
		}
		d.fds = append(d.fds, fd)
	}
	return d.tune()
}

// openQueue opens one queue of a TAP device.
func openQueue(name string, flags uint16) (fd int, err error) {
	if fd, err = openTun(); err != nil {
		return -1, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(flags)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func openTun() (int, error) {
	fd, err := unix.Open(cloneDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return -1, fmt.Errorf("open %s: %w (the kernel's tun module is missing: modprobe tun; in a container: --device %s)", cloneDevice, err, cloneDevice)
	case err != nil:
		return -1, fmt.Errorf("open %s: %w", cloneDevice, hint(err, "its mode lets nobody else in: chmod 0666 "+cloneDevice))
	}
	return fd, nil
}

// tunFeatures asks the kernel what TAPs it has.
func tunFeatures() (uint16, error) {
	fd, err := openTun()
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	n, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
	if err != nil {
		return 0, fmt.Errorf("ask %s for its features: %w", cloneDevice, err)
	}
	return uint16(n), nil
}

// openError says why a device could not be opened.
func (d *device) openError(err error, was *netlink.Tuntap) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: another process has it open (fuser -v %s lists those that could)", err, cloneDevice)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("%w: the kernel gives it no further queue after %d", err, len(d.fds))
	case errors.Is(err, unix.EPERM) && was == nil:
		return fmt.Errorf("make the device: %w (that takes root; or root makes it once: ip tuntap add %s mode tap user %s)", err, d.name, userName())
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("open the device: %w (it belongs to somebody else; root gives it away: ip tuntap add %s mode tap user %s)", err, d.name, userName())
	}
	return err
}

func userName() string {
	if name := os.Getenv("USER"); name != "" && !strings.ContainsAny(name, " '\"") {
		return name
	}
	return fmt.Sprint(os.Getuid())
}

// tune tells the kernel what may be left to the switch, as much as it can do.
func (d *device) tune() error {
	all := frame.CanCsum | frame.CanTCP4 | frame.CanTCP6 | frame.CanECN
	for _, try := range []struct {
		bits  uintptr
		takes frame.OffloadSet
	}{
		{tunCsum | tunTSO4 | tunTSO6 | tunECN | tunUSO4 | tunUSO6, all | frame.CanUDP},
		{tunCsum | tunTSO4 | tunTSO6 | tunECN, all}, // before Linux 6.2
		{tunCsum, frame.CanCsum},
	} {
		if err := ioctl(d.fds[0], unix.TUNSETOFFLOAD, try.bits); err == nil {
			d.takes = try.takes
			break
		}
	}
	if missing := (all | frame.CanUDP) &^ d.takes; missing != 0 {
		d.remark = "without offload of " + missing.String() + ": this kernel's TAP devices have none"
	}
	return d.limit()
}

// limit makes queues say that they are full before they hold too much.
func (d *device) limit() error {
	size := int32(sendBuffer)
	for _, fd := range d.fds {
		if err := ioctl(fd, unix.TUNSETSNDBUF, uintptr(unsafe.Pointer(&size))); err != nil {
			return fmt.Errorf("set the send buffer: %w", err)
		}
	}
	return nil
}

func ioctl(fd int, req uint, arg uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), arg); errno != 0 {
		return errno
	}
	return nil
}

// keep does what can only be undone by closing: whose the device is, and whether
// it stays.
func (d *device) keep(w wanted) error {
	for _, o := range []struct {
		what string
		req  uint
		id   int
	}{{"owner", unix.TUNSETOWNER, w.owner}, {"group", unix.TUNSETGROUP, w.group}} {
		if o.id >= 0 {
			if err := ioctl(d.fds[0], o.req, uintptr(o.id)); err != nil {
				return fmt.Errorf("set %s %d: %w", o.what, o.id, hint(err, "that takes root"))
			}
		}
	}
	if w.persist == on {
		if err := ioctl(d.fds[0], unix.TUNSETPERSIST, 1); err != nil {
			return fmt.Errorf("make it persistent: %w", err)
		}
	}
	return nil
}

// adopt takes over a device that somebody opened for this process.
func adopt(w wanted) (*device, error) {
	fail := func(err error) (*device, error) {
		return nil, fmt.Errorf("tap on descriptor %d: %w", w.fd, err)
	}
	// What this process opened itself is closed on exec.
	flags, err := unix.FcntlInt(uintptr(w.fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return fail(fmt.Errorf("nothing was inherited there: open it before the switch starts, as in: vswitch --port tap:fd=%d %d<>%s", w.fd, w.fd, cloneDevice))
	}
	req, _ := unix.NewIfreq("")
	if err := unix.IoctlIfreq(w.fd, unix.TUNGETIFF, req); err != nil {
		return fail(fmt.Errorf("it is no TAP device: %w", err))
	}
	tun := req.Uint16()
	if tun&unix.IFF_TAP == 0 || tun&unix.IFF_NO_PI == 0 {
		return fail(errors.New("it is a TUN device, or has packet information: open it with IFF_TAP and IFF_NO_PI"))
	}
	fd, err := unix.FcntlInt(uintptr(w.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return fail(err)
	}
	d := &device{name: req.Name(), fds: []int{fd}, vnet: tun&unix.IFF_VNET_HDR != 0}
	if err := d.adoptOffload(w); err != nil {
		d.close()
		return fail(err)
	}
	return d, nil
}

func (d *device) adoptOffload(w wanted) error {
	if !d.vnet {
		return d.limit()
	}
	size, err := unix.IoctlGetInt(d.fds[0], unix.TUNGETVNETHDRSZ)
	if err != nil {
		return err
	}
	if size != offload.HeaderLen {
		n := int32(offload.HeaderLen)
		if err := ioctl(d.fds[0], unix.TUNSETVNETHDRSZ, uintptr(unsafe.Pointer(&n))); err != nil {
			return fmt.Errorf("set the offload header's size: %w", err)
		}
	}
	if w.offload {
		return d.tune()
	}
	if err := ioctl(d.fds[0], unix.TUNSETOFFLOAD, 0); err != nil {
		return fmt.Errorf("switch offload off: %w", err)
	}
	return d.limit()
}

// links makes a Link of copies of d's descriptors.
func (d *device) link(s *source) (*tapLink, error) {
	l := &tapLink{takes: d.takes, src: s}
	header := 0
	if d.vnet {
		header = offload.HeaderLen
	}
	l.writer.header, l.writer.hash = header, len(d.fds) > 1
	var fds []int
	for _, fd := range d.fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			return nil, fmt.Errorf("tap %s: duplicate descriptor: %w", d.name, err)
		}
		fds = append(fds, dup)
	}
	l.queue = queue{fds[0], header, d.name}
	for _, fd := range slices.Clip(fds[1:]) {
		l.more = append(l.more, &queue{fd, header, d.name})
	}
	return l, nil
}
