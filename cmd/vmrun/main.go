// Command vmrun starts QEMU with any network that QEMU can have.
//
// Theory of operation: each --net is a network card (package netdev). vmrun finds
// out what it needs of the host, asks QEMU what it can do (package qemu), and
// works out the command line by a pure function (args.go).
//
// Behind "--" stand QEMU's own arguments; with nothing but those vmrun becomes
// QEMU by exec: no process stays behind, signals and the exit status are QEMU's
// own. With a disk or a kernel the whole VM is vmrun's: a keeper, a process of
// its own, starts QEMU, waits for its end and clears up (keeper_linux.go), and
// the verbs list, info, ip, ssh, console, stop, kill, link and rm find it by its
// name (state.go). With --print the command line is shown and nothing started.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/cmd/vmrun/qemu"
	"vnetkit/mgmt/api"
)

// Set by the linker: -ldflags "-X main.version=... -X main.commit=...".
var (
	version = "dev"
	commit  = "unknown"
)

func main() {
	ports := new(chosenPorts)
	code := run(os.Args[1:], env{
		stdout: os.Stdout, stderr: os.Stderr, environ: os.Environ(),
		lookPath: exec.LookPath, exec: syscall.Exec, probe: qemu.Probe, kvm: kvmWorks, free: ports.take,
	})
	ports.release()
	os.Exit(code)
}

// env is what run needs of the system.
type env struct {
	stdout, stderr io.Writer
	environ        []string
	lookPath       func(string) (string, error)
	exec           func(path string, argv, environ []string) error // does not return when it works
	probe          func(ctx context.Context, program, cache string) (netdev.Caps, error)
	kvm            func(ctx context.Context, program string) error
	free           func(port int) bool // if so, it is ours
}

const help = `Start a VM with any network that QEMU can have.

With a DISK, --vmfile or --kernel the VM is vmrun's: it runs in the background,
has a name, a console and, where its network has one, an SSH port. Without them
vmrun adds a network to the QEMU whose arguments stand behind --, and becomes it.

A card's address is made from the VM's name, so that it stays the same each time:
52:54:00 and three bytes of the name's SHA-256. The name is --name, or that of
DISK, or what QEMU's own -name says, or else all of QEMU's arguments.

--net MODE[,key=value]... is a card; without it there is one on the user's
switch. All modes have the keys mac= model= mtu= boot= queues= rxqueue= txqueue=
and device=PROPERTY=VALUE. A comma inside a value is written twice. The modes:

`

const helpEnd = `
Exit codes: QEMU's own once vmrun is QEMU; before that, and for VMs of vmrun's,
1 failed, 2 usage, 3 not permitted, 4 no switch answers.`

// run is the program; it returns the exit code.
func run(args []string, e env) int {
	cmd := command(e)
	cmd.SetArgs(args)
	cmd.SetOut(e.stdout)
	cmd.SetErr(e.stderr)
	return report(e.stderr, cmd.ExecuteContext(context.Background()))
}

func modeHelp() string {
	var b strings.Builder
	names, what := netdev.Modes()
	for i, name := range names {
		fmt.Fprintf(&b, "  %-11s %s\n", name, what[i])
	}
	return b.String()
}

// command is the command line: what is asked for, and its help.
func command(e env) *cobra.Command {
	var o order
	cmd := &cobra.Command{
		Use:   "vmrun [--name VM] [--net MODE[,key=value]...]... [flags] [DISK] [-- [QEMU-PROGRAM] QEMU-ARGUMENTS...]",
		Short: "Start a VM with any network that QEMU can have",
		Long:  help + modeHelp() + helpEnd,
		Example: `  vmrun disk.qcow2
  vmrun --name web --net switch=lab --net user -m 1G --cpus 2 disk.qcow2
  vmrun --net bridge=br0 --print disk.qcow2
  vmrun -s lab --name vm2 -- qemu-system-aarch64 -M virt -cpu max -kernel Image`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args, o.vm.QEMU = args[:n], args[n:]
			}
			if len(args) > 0 {
				o.vm.Disk = args[0]
			}
			o.given = cmd.Flags().Changed
			return o.start(cmd.Context(), e)
		},
		Args: func(cmd *cobra.Command, args []string) error {
			n := cmd.ArgsLenAtDash()
			before := args[:max(n, 0)]
			if n < 0 {
				before = args
			}
			switch {
			case len(before) > 1:
				return &usageError{fmt.Sprintf("%q: one disk at most stands before --", before[1]), "put what is QEMU's behind --, for example: vmrun --name vm1 -- -m 1G -drive file=vm1.qcow2,if=virtio"}
			case n < 0 && len(before) == 0 && o.vm.Kernel == "" && o.vmfile == "":
				return &usageError{"nothing to start: there is no disk, no --kernel, and no -- with QEMU's arguments", "vmrun disk.qcow2, or vmrun --name vm1 -- -m 1G -drive file=vm1.qcow2,if=virtio; vmrun --help says more"}
			}
			return nil
		},
	}
	cmd.SetVersionTemplate(fmt.Sprintf("vmrun %s (commit %s)\n", version, commit))
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c.HasParent() {
			return &usageError{err.Error(), c.CommandPath() + " --help"}
		}
		return &usageError{err.Error(), "put QEMU's own arguments behind --; vmrun --help lists vmrun's"}
	})
	o.flags(cmd)
	cmd.AddCommand(verbs(e)...)
	return cmd
}

// flags are those of starting a VM.
func (o *order) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.nets, "net", nil, "a network card (default \"switch\")")
	f.StringVar(&o.xml, "xml", "", "file with the interfaces of a libvirt domain, which are cards, too")
	f.StringVar(&o.vmfile, "vmfile", "", "vmctl's file with the VM that --name says, or the only one: VMFile.kdl")
	f.StringVarP(&o.where, "switch", "s", "", "directory or name of the switch of cards on one (default \""+api.DefaultName+"\")")
	f.StringVar(&o.vm.Name, "name", "", "the VM's name")
	f.StringVar(&o.vm.MAC, "mac", "", "the first card's address instead of one made from the name")
	f.StringVarP(&o.vm.Memory, "memory", "m", "1G", "memory of a VM with a disk or a kernel")
	f.IntVar(&o.vm.CPUs, "cpus", 1, "its processors")
	f.StringVar(&o.vm.Kernel, "kernel", "", "its kernel, instead of what is on the disk")
	f.StringVar(&o.vm.Initrd, "initrd", "", "its first file system")
	f.StringVar(&o.vm.Append, "append", "", "its kernel's command line")
	f.StringVar(&o.cloudInit, "cloud-init", "", "user-data for cloud-init in the guest, or a directory with user-data, meta-data and network-config")
	f.StringVar(&o.accel, "accel", "auto", "kvm, tcg, or auto: kvm if it works")
	f.BoolVar(&o.print, "print", false, "print the command line and start nothing")
	completeFlags(cmd)
}

// usageError is a command line that makes no sense.
type usageError struct{ what, cure string }

func (e *usageError) Error() string { return e.what }

// report prints err in parts and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return api.ExitOK
	}
	var bad *usageError
	var net *netdev.UsageError
	if errors.As(err, &net) {
		bad = &usageError{net.What, net.Cure}
	}
	if bad != nil || errors.As(err, &bad) {
		fmt.Fprintf(w, "vmrun: %s\n  cure:  %s\n", bad.what, bad.cure)
		return api.ExitUsage
	}
	var exit exitCode
	if errors.As(err, &exit) {
		return int(exit)
	}
	what := "the VM was not started"
	var verb *verbError
	if errors.As(err, &verb) {
		what = verb.what
	}
	var typed *api.Error
	if !errors.As(err, &typed) {
		typed = &api.Error{Message: err.Error()}
	}
	fmt.Fprintf(w, "vmrun: %s\n  cause: %s\n", what, typed.Message)
	if typed.Hint != "" {
		fmt.Fprintf(w, "  cure:  %s\n", typed.Hint)
	}
	return api.ExitCode(err)
}

// exitCode is that of a program that has said what there is to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// verbError is the failure of a verb on a VM.
type verbError struct {
	what string
	err  error
}

func (e *verbError) Error() string { return e.err.Error() }
func (e *verbError) Unwrap() error { return e.err }
