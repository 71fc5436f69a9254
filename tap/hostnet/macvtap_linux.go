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

// Macvtap makes a macvtap, in bridge mode if no other is given: a second address on an interface,
// whose frames a process reads and writes like those of a TAP. The interface's
// own addresses stay where they are. The kernel delivers what is for the
// macvtap's address or for all, so one guest, with that address, can be behind
// it; and the host itself is not reached through it (drivers/net/macvlan.c).
type Macvtap struct {
	Name   string `json:"name"`
	Parent string `json:"parent"`
	Index  int    `json:"index,omitempty"`
	UID    int    `json:"uid"`
	GID    int    `json:"gid"` // -1: any group
	MAC    string `json:"mac"`
	MTU    int    `json:"mtu"`
	Mark   string `json:"mark"`

	mode netlink.MacvlanMode // 0: bridge
}

// planMacvtap looks at the interface that a macvtap is wished for on.
func (h *Host) planMacvtap(w TAPWish, mark string) (*Macvtap, error) {
	l, err := h.Link(w.Parent)
	if err != nil {
		return nil, err
	}
	bad := func(code Code, why, cure string, args ...any) error {
		return refuse(code, fmt.Sprintf("interface %s %s", l.Name, why), cure, args...)
	}
	switch {
	case w.Bridge != "":
		return nil, refuse(ErrInvalid, "a macvtap goes into no bridge: it has its way out already", "leave -b away, or take a TAP: -i %s", w.Parent)
	case l.Index == 1 || l.Name == "lo":
		return nil, bad(ErrInvalid, "is the loopback, which has no macvtaps", "choose another; ip -br link lists them")
	case wireless(l.Name):
		return nil, bad(ErrUnsupported, "is wireless: it sends frames from its own address only, so a guest behind a macvtap on it reaches nobody", "leave -i away, and route")
	case l.Master != "":
		return nil, bad(ErrInUse, "is in "+l.Master+" already, which takes all its frames", "use that: -b %s", l.Master)
	case !l.Up:
		return nil, bad(ErrInvalid, "is down", "ip link set dev %s up", l.Name)
	}
	return &Macvtap{Name: w.Name, Parent: l.Name, UID: w.UID, GID: w.GID, MAC: cmp.Or(w.MAC, RandomMAC()), MTU: l.MTU, Mark: mark}, nil
}

// MacvtapAddress is the address of a macvtap that is there, or planned; empty:
// neither.
func (h *Host) MacvtapAddress(p *Plan, name string) string {
	for _, step := range p.Steps {
		if m, ok := step.(*Macvtap); ok && m.Name == name {
			return m.MAC
		}
	}
	if l, err := h.Link(name); err == nil && l.Kind == "macvtap" {
		return l.MAC.String()
	}
	return ""
}

// usable tells whether what is there will do; nil is none.
func (s *Macvtap) usable(w TAPWish) error {
	if s == nil || s.Parent != w.Parent || s.UID != w.UID || s.GID != w.GID {
		return refuse(ErrExists, fmt.Sprintf("%s is there, and is not the macvtap on %s that this would make for user %s", w.Name, w.Parent, w.User), "vnetctl cancel tap %s, then create it anew", w.Name)
	}
	return nil
}

// Do makes it, and gives its device to the owner.
func (s *Macvtap) Do(h *Host) error {
	parent, err := h.Link(s.Parent)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(s.MAC)
	if err != nil {
		return err
	}
	a := netlink.NewLinkAttrs()
	a.Name, a.Index, a.HardwareAddr, a.MTU, a.ParentIndex = s.Name, s.Index, mac, s.MTU, parent.Index
	if err := h.nl.LinkAdd(&netlink.Macvtap{Macvlan: netlink.Macvlan{LinkAttrs: a, Mode: cmp.Or(s.mode, netlink.MACVLAN_MODE_BRIDGE)}}); err != nil {
		return macvtapTrouble(s.Name, s.Parent, err)
	}
	l, err := h.Link(s.Name)
	if err != nil {
		return err
	}
	s.Index = l.Index
	if err := h.setAlias(l, s.Mark); err != nil {
		return err
	}
	// Without a devtmpfs there is no such file: then only root can open it.
	if path, ok := macvtapFile(s.Name); ok {
		if err := errors.Join(os.Chown(path, s.UID, s.GID), os.Chmod(path, 0o660)); err != nil {
			return fmt.Errorf("give %s to user %d: %w", path, s.UID, err)
		}
	}
	return nil
}

// macvtapTrouble says what the kernel's refusal means.
func macvtapTrouble(name, parent string, err error) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return &Error{Code: ErrUnsupported, Cause: "this kernel has no macvtap", Cure: "modprobe macvtap; or use a bridge: -i " + parent, Err: err}
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINVAL):
		return &Error{Code: ErrInUse, Cause: fmt.Sprintf("interface %s takes no macvtap: something else takes its frames (a bridge, a bond, a macvtap in passthru mode)", parent), Cure: "ip -d link show " + parent, Err: err}
	}
	return fmt.Errorf("make macvtap %s on %s: %w", name, parent, err)
}

// macvtapNode is the device number of a macvtap, as stat has it.
func macvtapNode(name string) (dev uint64, ok bool) {
	files, _ := filepath.Glob(filepath.Join("/sys/class/net", name, "macvtap/tap*/dev"))
	if len(files) != 1 {
		return 0, false
	}
	text, err := os.ReadFile(files[0])
	var major, minor uint32
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d:%d", &major, &minor)
	}
	return unix.Mkdev(major, minor), err == nil
}

// macvtapFile is the device file that the kernel made for a macvtap: /dev/tapN.
// One of that name may be of another network namespace.
func macvtapFile(name string) (path string, ok bool) {
	dev, ok := macvtapNode(name)
	if !ok {
		return "", false
	}
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return "", false
	}
	path = fmt.Sprintf("/dev/tap%d", ifi.Index)
	var st unix.Stat_t
	return path, unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == dev
}

// openMacvtap opens a macvtap's device.
func openMacvtap(name string) (*os.File, error) {
	dev, ok := macvtapNode(name)
	if !ok {
		return nil, refuse(ErrNotFound, fmt.Sprintf("%s has no device in /sys", name), "ip -d link show %s", name)
	}
	// The kernel would share the frames out between all who have it open.
	if who := TAPHolders(name); len(who) > 0 {
		return nil, refuse(ErrInUse, fmt.Sprintf("macvtap %s is in use by %s", name, strings.Join(who, ", ")), "choose another, or stop that first")
	}
	path, ok := macvtapFile(name)
	if !ok { // a device file for the moment of opening it
		dir, err := os.MkdirTemp("/dev", "vnetctl")
		if err != nil {
			return nil, fmt.Errorf("make a device file for %s: %w", name, err)
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o600, int(dev)); err != nil { //nolint:gosec // device numbers are small
			return nil, fmt.Errorf("make a device file for %s: %w", name, err)
		}
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open macvtap %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Done reads back.
func (s *Macvtap) Done(h *Host) error {
	l, err := h.Link(s.Name)
	if err != nil {
		return err
	}
	return s.same(l)
}

func (s *Macvtap) same(l Link) error {
	return l.mustBe("macvtap", s.MAC, s.Mark, s.Index)
}

// Undo removes it. What has its name and is not ours stays.
func (s *Macvtap) Undo(h *Host) error { return h.removeIf(s.Name, s.ours) }

// ours tells whether it is the one that the step made, perhaps not marked yet.
func (s *Macvtap) ours(l Link) bool {
	return s.same(l) == nil || l.Kind == "macvtap" && l.MAC.String() == s.MAC && l.Alias == ""
}

// Undone reads back.
func (s *Macvtap) Undone(h *Host) error { return h.gone(s.Name, s.ours) }

// Text says what it does.
func (s *Macvtap) Text() (string, []string) {
	return fmt.Sprintf("make macvtap %s on %s for user %d", s.Name, s.Parent, s.UID), []string{
		fmt.Sprintf("ip link add link %s name %s address %s mtu %d type macvtap mode bridge", s.Parent, s.Name, s.MAC, s.MTU),
		fmt.Sprintf("ip link set dev %s alias %s", s.Name, s.Mark),
		fmt.Sprintf("chown %d /dev/tap$(cat /sys/class/net/%s/ifindex)", s.UID, s.Name),
	}
}

// UndoText says how it is undone.
func (s *Macvtap) UndoText() (string, []string) {
	return "delete macvtap " + s.Name, []string{"ip link delete dev " + s.Name}
}
