package hostnet

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// macvtapModes are those of drivers/net/macvlan.c, by libvirt's names.
var macvtapModes = map[string]netlink.MacvlanMode{
	"": netlink.MACVLAN_MODE_BRIDGE, "bridge": netlink.MACVLAN_MODE_BRIDGE, "vepa": netlink.MACVLAN_MODE_VEPA,
	"private": netlink.MACVLAN_MODE_PRIVATE, "passthrough": netlink.MACVLAN_MODE_PASSTHRU, "passthru": netlink.MACVLAN_MODE_PASSTHRU,
}

// maxGuestMacvtaps is how many names are tried: vmtap0, vmtap1, ...
const maxGuestMacvtaps = 4096

// OpenGuestMacvtap makes a macvtap on an interface for one guest with address
// mac, sets it up, and opens it. It is made in no plan: it stays until Remove,
// which finds it by mark.
func OpenGuestMacvtap(parent, mode string, mac net.HardwareAddr, mark string) (*Macvtap, *os.File, error) {
	how, ok := macvtapModes[mode]
	if !ok {
		return nil, nil, refuse(ErrInvalid, fmt.Sprintf("there is no macvtap mode %q", mode), "there are: bridge, vepa, private, passthrough")
	}
	h, err := Open()
	if err != nil {
		return nil, nil, err
	}
	defer h.Close()
	step, err := h.planMacvtap(TAPWish{Parent: parent, MAC: mac.String(), UID: os.Getuid(), GID: os.Getgid()}, mark)
	if err != nil {
		return nil, nil, err
	}
	step.mode = how
	for n := range maxGuestMacvtaps {
		step.Name = fmt.Sprintf("vmtap%d", n)
		if err = step.Do(h); !errors.Is(err, unix.EEXIST) { // another may be faster
			break
		}
	}
	if err == nil {
		var f *os.File
		if f, err = h.openGuestMacvtap(step); err == nil {
			return step, f, nil
		}
	}
	if errors.Is(err, unix.EPERM) {
		err = &Error{Code: ErrForbidden, Cause: "only root can make a macvtap", Cure: "repeat the command with: sudo", Err: err}
	}
	if step.Index != 0 { // made, and by us
		err = errors.Join(err, step.Undo(h))
	}
	return nil, nil, err
}

func (h *Host) openGuestMacvtap(s *Macvtap) (*os.File, error) {
	if err := h.nl.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: s.Index, Name: s.Name}}); err != nil {
		return nil, fmt.Errorf("set macvtap %s up: %w", s.Name, err)
	}
	return openMacvtap(s.Name)
}

// Remove deletes the macvtap that OpenGuestMacvtap made. What else has its name
// stays.
func (s *Macvtap) Remove() error {
	h, err := Open()
	if err != nil {
		return err
	}
	defer h.Close()
	return s.Undo(h)
}
