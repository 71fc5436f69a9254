package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"vnetkit/tap/hostnet"
)

// openMacvtaps makes the macvtaps of the VM's cards, and returns them as QEMU is
// to find them: the first is its descriptor 3.
func (v *vm) openMacvtaps() (files []*os.File, err error) {
	for i := range v.Macvtaps {
		m := &v.Macvtaps[i]
		mac, err := net.ParseMAC(m.MAC)
		if err != nil {
			return files, err
		}
		made, f, err := hostnet.OpenGuestMacvtap(m.Parent, m.Mode, mac, v.mark())
		if err != nil {
			var refused *hostnet.Error
			if errors.As(err, &refused) && refused.Cure != "" {
				err = fmt.Errorf("%w (%s)", err, refused.Cure)
			}
			return files, fmt.Errorf("--net direct=%s: %w", m.Parent, err)
		}
		m.Name, m.Index = made.Name, made.Index
		files = append(files, f)
	}
	return files, nil
}

// removeMacvtaps deletes those that openMacvtaps has made.
func (v *vm) removeMacvtaps() error {
	var errs []error
	for i := range v.Macvtaps {
		m := &v.Macvtaps[i]
		if m.Name == "" {
			continue
		}
		mine := hostnet.Macvtap{Name: m.Name, Index: m.Index, MAC: m.MAC, Mark: v.mark()}
		errs = append(errs, mine.Remove())
		m.Name, m.Index = "", 0
	}
	return errors.Join(errs...)
}

// mark is what the VM's devices have as their alias.
func (v *vm) mark() string { return "vmrun " + v.Name }
