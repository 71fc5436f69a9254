package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/cmd/vmrun/qemu"
	"vnetkit/cmd/vmrun/seed"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/remote/shell"
)

// order is what the user has asked to be started.
type order struct {
	vm     machine
	nets   []string
	where  string // the switch
	xml    string // file with interfaces of libvirt's
	vmfile string // vmctl's file with the whole VM
	accel  string
	print  bool
	given  func(flag string) bool // tells whether the user has given it

	cloudInit string    // file or directory of what cloud-init is to find
	hostname  string    // of the guest; "": made from the VM's name
	seed      seed.Seed // what cloud-init will find; nil: nothing

	ssh      int        // port on this host that leads to the guest's SSH; 0: none
	macvtaps []int      // cards whose macvtap the keeper makes
	passts   []int      // cards whose passt the keeper starts
	after    [][]string // commands that are due when QEMU has ended
}

// start does what was asked for.
func (o *order) start(ctx context.Context, e env) error {
	if err := o.readVMFile(e); err != nil {
		return err
	}
	if o.vm.managed() && o.vm.Name == "" {
		o.vm.Name = strings.TrimSuffix(filepath.Base(o.vm.Disk+o.vm.Kernel), filepath.Ext(o.vm.Disk+o.vm.Kernel))
	}
	if err := o.check(); err != nil {
		return err
	}
	if err := o.readSeed(e); err != nil {
		return err
	}
	if err := o.resolve(e); err != nil {
		return err
	}
	name, _ := o.vm.program()
	if _, err := o.vm.args(everything); err != nil {
		return err // before QEMU is looked for: what is wrong by itself
	}
	for _, w := range o.sameAddresses() {
		fmt.Fprintln(e.stderr, "vmrun: "+w)
	}
	path, err := e.lookPath(name)
	if err != nil {
		return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("cannot start %s: there is no such program", name), Hint: "install QEMU (Debian: sudo apt install qemu-system-x86), or name its program first behind --"}
	}
	caps, err := e.probe(ctx, path, cacheDir())
	if err != nil {
		return err
	}
	if err := o.haveDialled(caps); err != nil {
		return err
	}
	remark := o.accelerate(ctx, path, e)
	argv, err := o.vm.args(caps)
	if err != nil {
		return err
	}
	if o.print {
		_, err := fmt.Fprint(e.stdout, o.portCommands()+shell.Quote(argv)+"\n")
		return err
	}
	if err := o.checkSwitches(ctx); err != nil {
		return err
	}
	if o.vm.managed() {
		return o.keep(ctx, path, argv, remark, e)
	}
	if err := e.exec(path, argv, e.environ); err != nil {
		return fmt.Errorf("cannot start %s: %w", path, err)
	}
	return nil
}

// sameAddresses are warnings of cards that have the address of another, of this VM
// or of one of the user's that runs.
func (o *order) sameAddresses() (warnings []string) {
	owner := map[string]string{}
	if o.vm.managed() && !o.print {
		vms, _, _ := all()
		for _, v := range vms {
			for i, mac := range v.MACs {
				if v.Name != o.vm.Name && v.QEMU.alive() {
					owner[mac] = fmt.Sprintf("card %d of VM %s", i, v.Name)
				}
			}
		}
	}
	for i, n := range o.vm.Nets {
		if !hasAddress(n) {
			continue
		}
		mac := o.vm.macOf(n, i).String()
		if other := owner[mac]; other != "" {
			warnings = append(warnings, fmt.Sprintf("card %d has the address of %s, %s: on one network each takes the other's frames", i, other, mac))
		}
		owner[mac] = fmt.Sprintf("card %d", i)
	}
	return warnings
}

// hasAddress tells whether vmrun gives the card its address.
func hasAddress(n netdev.Net) bool { return n.Mode != "none" && n.Mode != "hostdev" }

// portCommands are those that make the ports which the keeper would make.
func (o *order) portCommands() (text string) {
	for i, n := range o.vm.Nets {
		if n.Has("listen") && n.Port() != "" {
			p := o.dialled(n, i)
			text += shell.Quote([]string{"vnetctl", "-s", p.Switch, "port", "add", p.specs()[0]}) + "\n"
		}
	}
	return text
}

// everything is a QEMU that can do all, for a first look at the command line.
var everything = func() netdev.Caps {
	c := netdev.Caps{Netdevs: map[string][]string{}}
	for _, typ := range []string{"user", "tap", "bridge", "socket", "l2tpv3", "vde", "hubport", "vhost-user", "vhost-vdpa", "stream", "dgram", "passt"} {
		c.Netdevs[typ] = []string{"reconnect-ms"}
	}
	return c
}()

// check looks at what needs no QEMU.
func (o *order) check() error {
	if o.accel != "auto" && o.accel != "kvm" && o.accel != "tcg" {
		return &usageError{"--accel " + o.accel + ": want kvm, tcg or auto", "leave it out"}
	}
	if !o.vm.managed() {
		return nil
	}
	if p, _ := o.vm.program(); p != defaultQEMU {
		return &usageError{fmt.Sprintf("%s: the program of a VM with a disk or a kernel is %s", p, defaultQEMU), "put all of QEMU's arguments behind --, and the disk among them"}
	}
	if err := checkVMName(o.vm.Name); err != nil {
		return err
	}
	for _, text := range append([]string{o.vm.Disk, o.vm.Kernel, o.vm.Initrd, o.vm.Append}, o.vm.QEMU...) {
		if !utf8.ValidString(text) {
			return &usageError{fmt.Sprintf("%q is not UTF-8, as the VM's description is", text), "rename the file"}
		}
	}
	if o.vm.CPUs < 1 {
		return &usageError{fmt.Sprintf("--cpus %d: want 1 or more", o.vm.CPUs), "leave it out"}
	}
	for _, file := range []*string{&o.vm.Disk, &o.vm.Kernel, &o.vm.Initrd} {
		if *file == "" {
			continue
		}
		abs, err := filepath.Abs(*file)
		if err != nil {
			return err
		}
		*file = abs
		if f, err := os.Open(abs); err == nil {
			_ = f.Close()
		} else if !o.print {
			return &api.Error{Code: api.ErrFailed, Message: err.Error(), Hint: "name a file that is there and may be read"}
		}
	}
	return nil
}

// accelerate decides whether KVM is used, and says why not.
func (o *order) accelerate(ctx context.Context, path string, e env) (remark string) {
	switch {
	case !o.vm.managed():
		o.vm.KVM = strings.Contains(strings.Join(o.vm.QEMU, " "), "kvm")
		return ""
	case o.accel == "tcg":
		return ""
	case o.accel == "kvm":
		o.vm.KVM = true
		return ""
	}
	if err := e.kvm(ctx, path); err != nil {
		return fmt.Sprintf("without KVM, which is slow: %v", err)
	}
	o.vm.KVM = true
	return ""
}

const (
	// kvmTime is how long an empty VM may take to get through its firmware.
	kvmTime = 2 * time.Second
	// noKVMTime is how long a no is believed: the host may have been busy.
	noKVMTime = time.Hour
)

// kvmWorks tries KVM. A yes holds until the next boot.
func kvmWorks(ctx context.Context, program string) error {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_ = f.Close()
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	file := filepath.Join(cacheDir(), "kvm")
	if b, err := os.ReadFile(file); err == nil {
		if said, ok := strings.CutPrefix(string(b), string(boot)); ok && len(boot) > 0 {
			if said == "" {
				return nil
			}
			if fi, err := os.Stat(file); err == nil && time.Since(fi.ModTime()) < noKVMTime {
				return errors.New(said)
			}
		}
	}
	err = qemu.KVM(ctx, program, kvmTime)
	said := ""
	if err != nil {
		said = err.Error()
	}
	_ = os.MkdirAll(filepath.Dir(file), 0o755)
	_ = os.WriteFile(file, append(boot, said...), 0o600)
	return err
}

// cacheDir is where answers are kept that can be asked for again; "": nowhere.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "vnetkit")
}

// checkSwitches makes sure that the switches are alive and have a door for QEMU.
// QEMU itself would start without a word and have a dead network.
func (o *order) checkSwitches(ctx context.Context) error {
	for _, n := range o.vm.Nets {
		if n.Mode != "switch" && n.Mode != "network" || n.Has("br") {
			continue
		}
		dir, door := n.Get("sock"), n.Get("door")
		if n.Has("listen") {
			door = noDoor
		}
		err := checkSwitch(ctx, dir, door)
		if api.ExitCode(err) == api.ExitUnreachable && o.vm.managed() && !n.Has("name") && o.where == "" {
			if err = startSwitch(ctx, dir); err == nil {
				err = checkSwitch(ctx, dir, door)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// startSwitch starts the user's default switch.
func startSwitch(ctx context.Context, dir string) error {
	// A daemon: it returns when its doors are open.
	out, err := exec.CommandContext(ctx, program("vswitch"), "-s", dir, "--daemon").CombinedOutput()
	if err != nil {
		return &api.Error{Code: api.ErrUnreachable, Message: fmt.Sprintf("no switch answers at %s, and none could be started: %v: %s", dir, err, strings.TrimSpace(string(out))), Hint: "vswitch -s " + dir}
	}
	return nil
}

// program is the path of one of the project's programs: beside this one, or as
// the shell finds it.
func program(name string) string {
	if own, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(own), name); isFile(beside) {
			return beside
		}
	}
	return name
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// noDoor is for a card that the switch dials.
const noDoor = "-"

func checkSwitch(ctx context.Context, dir, door string) error {
	socket := filepath.Join(dir, api.StreamName)
	switch door {
	case "vde":
		socket = filepath.Join(dir, "ctl")
	case "vhost":
		socket = filepath.Join(dir, "vhost")
	}
	c, err := client.Dial(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Info(ctx); err != nil || door == noDoor {
		return err
	}
	fi, err := os.Stat(socket)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &api.Error{Code: api.ErrFailed, Message: "the switch runs but has no door at " + socket, Hint: fmt.Sprintf("open it: vnetctl -s %s port add stream:unix:%s", dir, comma(socket))}
	case err != nil:
		return fmt.Errorf("look at the switch's door: %w", err)
	case fi.Mode()&os.ModeSocket == 0:
		return &api.Error{Code: api.ErrFailed, Message: socket + " is a file of another kind, not a socket", Hint: "remove it, then: vnetctl -s " + dir + " port add stream:unix:" + socket}
	}
	if err := mayConnect(socket); err != nil {
		return &api.Error{Code: api.ErrForbidden, Message: fmt.Sprintf("you may look at the switch but not plug in: %s has mode %04o", socket, fi.Mode().Perm()), Hint: "repeat the command with: sudo; or join the group that owns the socket"}
	}
	return nil
}
