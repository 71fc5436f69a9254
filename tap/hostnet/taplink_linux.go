package hostnet

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TAP makes a persistent TAP that its owner may open. It carries no frames
// here: whoever opens it does (package tap, QEMU). It persists only when it is
// complete and marked, so a killed run leaves none.
type TAP struct {
	Name  string `json:"name"`
	Index int    `json:"index,omitempty"`
	UID   int    `json:"uid"`
	GID   int    `json:"gid"` // -1: any group
	MAC   string `json:"mac"`
	MTU   int    `json:"mtu"`
	Mark  string `json:"mark"`
}

// Do makes it. The ioctls are those of tun(4) (Documentation/networking/tuntap.rst);
// netlink.Tuntap would set a group always and no number ever.
func (s *TAP) Do(h *Host) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &Error{Code: ErrUnsupported, Cause: "/dev/net/tun cannot be opened", Cure: "modprobe tun; in a container, let it have the device", Err: err}
	}
	defer unix.Close(fd)
	if s.Index != 0 {
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETIFINDEX, s.Index); err != nil {
			return fmt.Errorf("make TAP %s: choose number %d: %w", s.Name, s.Index, err)
		}
	}
	req, err := unix.NewIfreq(s.Name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_TUN_EXCL)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return fmt.Errorf("make TAP %s: %w", s.Name, err)
	}
	l, err := h.Link(s.Name)
	if err != nil {
		return err
	}
	s.Index = l.Index
	mac, err := net.ParseMAC(s.MAC)
	if err != nil {
		return err
	}
	dev := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}
	err = errors.Join(h.nl.LinkSetHardwareAddr(dev, mac), h.nl.LinkSetMTU(dev, s.MTU), h.setAlias(l, s.Mark), unix.IoctlSetInt(fd, unix.TUNSETOWNER, s.UID))
	if s.GID >= 0 {
		err = errors.Join(err, unix.IoctlSetInt(fd, unix.TUNSETGROUP, s.GID))
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
	}
	if err != nil {
		return fmt.Errorf("make TAP %s: %w", s.Name, err)
	}
	return nil
}

// Done reads back.
func (s *TAP) Done(h *Host) error {
	l, err := h.Link(s.Name)
	if err != nil {
		return err
	}
	return s.same(l)
}

func (s *TAP) same(l Link) error {
	return l.mustBe("tuntap", s.MAC, s.Mark, s.Index)
}

// Undo removes it. What has its name and is not ours stays.
func (s *TAP) Undo(h *Host) error { return h.removeIf(s.Name, s.ours) }

func (s *TAP) ours(l Link) bool { return s.same(l) == nil }

// Undone reads back.
func (s *TAP) Undone(h *Host) error { return h.gone(s.Name, s.ours) }

// Text says what it does.
func (s *TAP) Text() (string, []string) {
	group := ""
	if s.GID >= 0 {
		group = fmt.Sprintf(" group %d", s.GID)
	}
	return fmt.Sprintf("make TAP %s for user %d", s.Name, s.UID), []string{
		fmt.Sprintf("ip tuntap add dev %s mode tap user %d%s vnet_hdr", s.Name, s.UID, group),
		fmt.Sprintf("ip link set dev %s address %s mtu %d alias %s", s.Name, s.MAC, s.MTU, s.Mark),
	}
}

// UndoText says how it is undone.
func (s *TAP) UndoText() (string, []string) {
	return "delete TAP " + s.Name, []string{"ip link delete dev " + s.Name}
}

// TAPHolders lists the processes of this network namespace that have a TAP
// open, by the lines that the kernel writes into their fdinfo ("iff: tap0"); of
// a macvtap, all that have its device open.
func TAPHolders(name string) (holders []string) {
	node, isMacvtap := macvtapNode(name)
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, f := range files {
		dir, fd := filepath.Split(f)
		pid := filepath.Base(filepath.Dir(filepath.Clean(dir)))
		target, err := os.Readlink(f)
		held := false
		switch {
		case err != nil || !strings.HasPrefix(target, "/"): // a socket, a pipe
		case isMacvtap: // whatever its file is called
			var st unix.Stat_t
			held = unix.Stat(f, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == node
		case target == "/dev/net/tun":
			ns, _ := os.Readlink(filepath.Join("/proc", pid, "ns/net"))
			held = ns == netNS() && holdsTAP(filepath.Join("/proc", pid, "fdinfo", fd), name) // in another, tap0 is another
		}
		if held {
			comm, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
			holders = append(holders, fmt.Sprintf("%s[%s]", cmp.Or(strings.TrimSpace(string(comm)), "process"), pid))
		}
	}
	return holders
}

func holdsTAP(fdinfo, name string) bool {
	text, _ := os.ReadFile(fdinfo)
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); key == "iff" && strings.TrimSpace(value) == name {
			return true
		}
	}
	return false
}
