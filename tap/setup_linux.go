package tap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxMTU is the largest of a TAP device: 65,535 less an Ethernet header.
const maxMTU = 65521

// setUp does to d what w asks for. was is what it was before; nil: it was made
// just now. undo takes back what was done to a device that was there before.
func setUp(h *netlink.Handle, d *device, w wanted, was *netlink.Tuntap) (undo func(), err error) {
	var steps []func()
	undo = func() {
		for _, step := range slices.Backward(steps) {
			step()
		}
	}
	l, err := h.LinkByName(d.name)
	if err != nil {
		return undo, fmt.Errorf("find the device that was just opened: %w", err)
	}
	old := l.Attrs()
	do := func(what string, set, back func() error) {
		if err != nil {
			return
		}
		if e := set(); e != nil {
			err = fmt.Errorf("%s: %w", what, setHint(e))
			return
		}
		if was != nil {
			steps = append(steps, func() { _ = back() }) // the first error is the one that matters
		}
	}
	if w.mtu > maxMTU {
		return undo, fmt.Errorf("mtu=%d: the device takes 68 to %d", w.mtu, maxMTU)
	}
	if w.mtu != 0 && w.mtu != old.MTU {
		do(fmt.Sprintf("set MTU %d", w.mtu), func() error { return h.LinkSetMTU(l, w.mtu) }, func() error { return h.LinkSetMTU(l, old.MTU) })
	}
	if w.mac != nil && !bytes.Equal(w.mac, old.HardwareAddr) {
		do("set address "+w.mac.String(), func() error { return h.LinkSetHardwareAddr(l, w.mac) }, func() error { return h.LinkSetHardwareAddr(l, old.HardwareAddr) })
	}
	if w.master != "" && err == nil {
		m, e := findBridge(h, w.master)
		if e != nil {
			return undo, e
		}
		if m.Attrs().Index != old.MasterIndex {
			do("put it on bridge "+w.master, func() error { return h.LinkSetMaster(l, m) }, func() error { return h.LinkSetMasterByIndex(l, old.MasterIndex) })
		}
	}
	isUp := old.RawFlags&unix.IFF_UP != 0
	switch {
	case (w.up == on || w.up == unsaid && d.ours) && !isUp:
		do("set it up", func() error { return h.LinkSetUp(l) }, func() error { return h.LinkSetDown(l) })
	case w.up == off && isUp:
		do("set it down", func() error { return h.LinkSetDown(l) }, func() error { return h.LinkSetUp(l) })
	}
	return undo, err
}

// setHint says what helps against an answer of netlink's.
func setHint(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (that takes root; leave the key away and let root do it: ip link)", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w (something else has it, see: ip -d link show)", err)
	}
	return err
}

func findBridge(h *netlink.Handle, name string) (netlink.Link, error) {
	m, err := h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("there is no bridge %s: make it: ip link add %s type bridge", name, name)
	case err != nil:
		return nil, err
	case m.Type() != "bridge":
		return nil, fmt.Errorf("%s is no bridge but %s: choose a bridge: ip link show type bridge", name, m.Type())
	}
	return m, nil
}
