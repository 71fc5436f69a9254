package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"vnetkit/cmd/vmrun/kdl"
	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/cmd/vmrun/seed"
	"vnetkit/cmd/vmrun/vmfile"
	"vnetkit/mgmt/api"
)

// readVMFile makes the order what a VMFile says. --memory and --cpus count more,
// and --net gives the VM more cards.
func (o *order) readVMFile(e env) error {
	if o.vmfile == "" {
		return nil
	}
	if o.vm.Disk != "" {
		return &usageError{fmt.Sprintf("the VM of %s has its image, and %s is a second", o.vmfile, o.vm.Disk), "leave the disk out, or --vmfile"}
	}
	v, err := o.pickVM(e)
	var bad *netdev.UsageError
	if errors.As(err, &bad) {
		return &usageError{o.vmfile + ": " + bad.What, bad.Cure}
	}
	if err != nil {
		return err
	}
	for _, w := range v.Warnings {
		fmt.Fprintf(e.stderr, "vmrun: %s: %s\n", o.vmfile, w)
	}
	o.vm.Name, o.vm.Disk = v.Name, v.Image
	if !o.given("memory") {
		o.vm.Memory = fmt.Sprintf("%dM", v.Memory)
	}
	if !o.given("cpus") {
		o.vm.CPUs = v.CPUs
	}
	o.nets = append([]string{v.Net.String()}, o.nets...)
	if v.Seed == nil || o.cloudInit != "" {
		return nil
	}
	o.cloudInit, o.hostname = v.Seed.UserData, v.Seed.Hostname
	if v.Seed.SSHKey != "" {
		keys, err := readFile(v.Seed.SSHKey, seed.MaxSize)
		if err != nil {
			return err
		}
		if o.seed, err = seed.ForKeys(v.Seed.User, keys); err != nil {
			return &usageError{fmt.Sprintf("%s: ssh-key %s: %v", o.vmfile, v.Seed.SSHKey, err), "name the file of a public key"}
		}
	}
	return nil
}

// readSeed reads what cloud-init is to find, and says where its disk will be:
// keep makes it there.
func (o *order) readSeed(e env) (err error) {
	switch {
	case o.cloudInit == "" && o.seed == nil:
		return nil
	case !o.vm.managed():
		return &usageError{"--cloud-init: vmrun makes a seed only for a VM with a disk or a kernel", "vmrun --cloud-init user-data disk.qcow2"}
	case o.seed == nil:
		if o.seed, err = seed.Read(o.cloudInit); err != nil {
			return &api.Error{Code: api.ErrFailed, Message: "--cloud-init: " + err.Error(), Hint: "name a file with user-data, or a directory with files user-data and, if need be, meta-data and network-config"}
		}
	}
	for _, w := range o.seed.Warnings() {
		fmt.Fprintf(e.stderr, "vmrun: cloud-init: %s\n", w)
	}
	if o.hostname == "" {
		o.hostname = seed.Hostname(o.vm.Name)
	}
	o.seed.Name(o.vm.Name, o.hostname)
	dir, err := vmDir(o.vm.Name)
	o.vm.Seed = filepath.Join(dir, seedName)
	return err
}

// seedName is the file of a VM's directory that is cloud-init's disk.
const seedName = "seed"

// writeSeed makes the disk, which may tell secrets, for QEMU alone.
func (o *order) writeSeed() error {
	if o.seed == nil {
		return nil
	}
	_ = os.Remove(o.vm.Seed) // of a start before: the VM's lock is ours
	if err := os.WriteFile(o.vm.Seed, o.seed.Image(time.Now()), 0o600); err != nil {
		return fmt.Errorf("make cloud-init's disk: %w", err)
	}
	return nil
}

// pickVM reads the VMFile and takes the VM that --name says.
func (o *order) pickVM(e env) (v vmfile.VM, err error) {
	text, err := readFile(o.vmfile, kdl.MaxSize)
	if err != nil {
		return v, err
	}
	dirs := vmfile.Dirs{File: filepath.Dir(o.vmfile)}
	if dirs.Home, err = os.UserHomeDir(); err != nil {
		dirs.Home = "/"
	}
	vms, warnings, err := vmfile.Read(text, dirs)
	if err != nil {
		return v, err
	}
	for _, w := range warnings {
		fmt.Fprintf(e.stderr, "vmrun: %s: %s\n", o.vmfile, w)
	}
	return vmfile.Pick(vms, o.vm.Name)
}

// readFile reads a file of the user's that cannot be larger than most.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: "name a file that is there and may be read"}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: "name a file that is there and may be read"}
	}
	if int64(len(text)) > most {
		return nil, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("%s has more than %d bytes", path, most), Hint: "name another, or make it smaller"}
	}
	return text, nil
}
