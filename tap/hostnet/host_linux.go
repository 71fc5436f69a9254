package hostnet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is the network of this process's namespace.
type Host struct {
	nl  *netlink.Handle
	raw *rtnl
}

// Open connects to the kernel. The caller closes.
func Open() (*Host, error) {
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	raw, err := openRTNL()
	if err != nil {
		nl.Close()
		return nil, err
	}
	return &Host{nl: nl, raw: raw}, nil
}

// Close lets go of the kernel.
func (h *Host) Close() {
	h.nl.Close()
	h.raw.close()
}

// Link is what an interface is.
type Link struct {
	Name   string
	Index  int
	Kind   string // bridge, tun, veth, ...; device for hardware
	MAC    net.HardwareAddr
	MTU    int
	Up     bool
	Master string // the bridge that it is in
	Alias  string

	Carrier bool // somebody is at its other end
}

// Link looks an interface up by name. Without one the error is ErrNotFound.
func (h *Host) Link(name string) (Link, error) {
	if err := CheckName(name); err != nil {
		return Link{}, err
	}
	l, err := h.nl.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return Link{}, refuse(ErrNotFound, fmt.Sprintf("there is no interface %s", name), "ip -br link")
	}
	if err != nil {
		return Link{}, fmt.Errorf("look for interface %s: %w", name, err)
	}
	return h.link(l), nil
}

func (h *Host) link(l netlink.Link) Link {
	a := l.Attrs()
	out := Link{Name: a.Name, Index: a.Index, Kind: l.Type(), MAC: a.HardwareAddr, MTU: a.MTU, Up: a.Flags&net.FlagUp != 0, Alias: a.Alias, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0}
	if a.MasterIndex != 0 {
		if m, err := h.nl.LinkByIndex(a.MasterIndex); err == nil {
			out.Master = m.Attrs().Name
		}
	}
	return out
}

// Links lists all interfaces, by number.
func (h *Host) Links() ([]Link, error) {
	list, err := h.nl.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	names := map[int]string{}
	for _, l := range list {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	out := make([]Link, len(list))
	for i, l := range list {
		a := l.Attrs()
		out[i] = Link{Name: a.Name, Index: a.Index, Kind: l.Type(), MAC: a.HardwareAddr, MTU: a.MTU, Up: a.Flags&net.FlagUp != 0, Master: names[a.MasterIndex], Alias: a.Alias, Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0}
	}
	return out, nil
}

// exists tells whether there is an interface of that name.
func (h *Host) exists(name string) (bool, error) {
	_, err := h.Link(name)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// CheckName tells whether an interface can be called that (net/core/dev.c,
// dev_valid_name), and is kind to shells and paths.
func CheckName(name string) error {
	bad := func(why string) error {
		return refuse(ErrInvalid, fmt.Sprintf("interface name %q %s", name, why), "use 1 to %d letters, digits and . _ -", unix.IFNAMSIZ-1)
	}
	switch {
	case name == "":
		return bad("is empty")
	case len(name) >= unix.IFNAMSIZ:
		return bad(fmt.Sprintf("has %d bytes and the kernel takes at most %d", len(name), unix.IFNAMSIZ-1))
	case name[0] == '.' || name[0] == '-':
		return bad("starts with " + name[:1])
	case name == "all" || name == "default":
		return bad("means all interfaces in /proc/sys/net, and the kernel refuses it")
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return bad(fmt.Sprintf("has %q in it", r))
		}
	}
	return nil
}

// wireless tells whether an interface is a radio: those refuse frames from
// other addresses than their own, so a bridge on them carries nothing.
func wireless(name string) bool {
	for _, sign := range []string{"wireless", "phy80211"} {
		if _, err := os.Stat(filepath.Join("/sys/class/net", name, sign)); err == nil {
			return true
		}
	}
	return false
}

// privilege explains an EPERM.
func privilege(err error) error {
	if (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) && os.Geteuid() == 0 {
		return &Error{Code: ErrForbidden, Cause: "root lacks a capability here, as in many containers", Err: err,
			Cure: "grep CapEff /proc/self/status shows those there are; it takes net_admin, and for a switch of another user chown, fowner, dac_override, kill, setgid and setuid"}
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return &Error{Code: ErrForbidden, Cause: fmt.Sprintf("user %d may not change the network", os.Getuid()), Cure: "run it as root: sudo vnetctl ..., or give it CAP_NET_ADMIN", Err: err}
	}
	return err
}
