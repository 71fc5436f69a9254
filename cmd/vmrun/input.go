package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"vnetkit/cmd/vmrun/kdl"
	"vnetkit/cmd/vmrun/netdev"
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
	if v.Seed != nil {
		return &usageError{fmt.Sprintf("%s: vm %q: cloud-init cannot be had from vmrun yet, and going without it would not be what was asked for", o.vmfile, v.Name), "take cloud-init out of the file, and give the guest what it needs on its disk"}
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
