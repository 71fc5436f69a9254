// Command vmrun starts QEMU plugged into a switch.
//
// Theory of operation: vmrun looks whether the switch answers, works out the
// arguments that plug a network card into it (args.go, a pure function), and
// then becomes QEMU by exec: no process stays behind, signals and the exit
// status are QEMU's own. With --print it shows the command line instead.
//
// This is the first of the ways to give a VM a network; more come later, and
// the help names only what works.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

// Set by the linker: -ldflags "-X main.version=... -X main.commit=...".
var (
	version = "dev"
	commit  = "unknown"
)

func main() {
	os.Exit(run(os.Args[1:], env{stdout: os.Stdout, stderr: os.Stderr, lookPath: exec.LookPath, exec: syscall.Exec, environ: os.Environ()}))
}

// env is what run needs of the system.
type env struct {
	stdout, stderr io.Writer
	lookPath       func(string) (string, error)
	exec           func(path string, argv, environ []string) error // does not return when it works
	environ        []string
}

const help = `Start QEMU with one network card that is plugged into a switch.

What follows -- is QEMU's: its arguments, or a QEMU program and its arguments.
vmrun adds a -netdev stream and a virtio-net-pci card, and -name if --name is
given, and becomes QEMU.

The card's address is made from the VM's name, so that it stays the same each
time: 52:54:00 and three bytes of the name's SHA-256. The name is --name, or
what QEMU's own -name says, or else all of QEMU's arguments.

Exit codes: QEMU's own once it runs; before that 1 failed, 2 usage, 3 not
permitted, 4 no switch answers.`

// run is the program; it returns the exit code.
func run(args []string, e env) int {
	cmd := command(e)
	cmd.SetArgs(args)
	cmd.SetOut(e.stdout)
	cmd.SetErr(e.stderr)
	return report(e.stderr, cmd.ExecuteContext(context.Background()))
}

// command is the command line: what is asked for, and its help.
func command(e env) *cobra.Command {
	var where string
	var vm machine
	var print bool
	cmd := &cobra.Command{
		Use:   "vmrun [-s DIR|NAME] [--name VM] [--mac MAC] [--print] -- [QEMU-PROGRAM] QEMU-ARGUMENTS...",
		Short: "Start QEMU plugged into a switch",
		Long:  help,
		Example: `  vmrun --name vm1 -- -m 1G -enable-kvm -drive file=vm1.qcow2,if=virtio
  vmrun -s lab --name vm2 -- qemu-system-aarch64 -M virt -cpu max -kernel Image
  vmrun --name vm1 --print -- -m 1G`,
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(cmd *cobra.Command, qemu []string) error {
			vm.QEMU = qemu
			return start(cmd.Context(), where, vm, print, e)
		},
		Args: func(cmd *cobra.Command, args []string) error {
			switch n := cmd.ArgsLenAtDash(); {
			case n > 0 || n < 0 && len(args) > 0:
				return &usageError{fmt.Sprintf("%q stands before --", args[0]), "put what is QEMU's behind --, for example: vmrun --name vm1 -- -m 1G -drive file=vm1.qcow2,if=virtio"}
			case n < 0:
				return &usageError{"nothing to start: there is no -- with QEMU's arguments", "vmrun --name vm1 -- -m 1G -drive file=vm1.qcow2,if=virtio; vmrun --help says more"}
			}
			return nil
		},
	}
	cmd.SetVersionTemplate(fmt.Sprintf("vmrun %s (commit %s)\n", version, commit))
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &usageError{err.Error(), "put QEMU's own arguments behind --; vmrun --help lists vmrun's"}
	})
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVarP(&where, "switch", "s", "", "directory or name of the switch (default \""+api.DefaultName+"\")")
	cmd.Flags().StringVar(&vm.Name, "name", "", "the VM's name")
	cmd.Flags().StringVar(&vm.MAC, "mac", "", "the card's address instead of one made from the name")
	cmd.Flags().BoolVar(&print, "print", false, "print the command line and start nothing")
	return cmd
}

func start(ctx context.Context, where string, vm machine, print bool, e env) error {
	dir, err := api.FindDir(where)
	if err != nil {
		return err
	}
	vm.Socket = filepath.Join(dir, api.StreamName)
	argv, err := vm.args()
	if err != nil {
		return err
	}
	if print {
		// Starts nothing, so it needs no switch either.
		_, err := fmt.Fprintln(e.stdout, shellQuote(argv))
		return err
	}
	if err := checkSwitch(ctx, dir, vm.Socket); err != nil {
		return err
	}
	path, err := e.lookPath(argv[0])
	if err != nil {
		return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("cannot start %s: there is no such program", argv[0]), Hint: "install QEMU (Debian: sudo apt install qemu-system-x86), or name its program first behind --"}
	}
	if err := e.exec(path, argv, e.environ); err != nil {
		return fmt.Errorf("cannot start %s: %w", path, err)
	}
	return nil
}

// checkSwitch makes sure that the switch is alive and has a door for QEMU.
// QEMU itself would start without a word and have a dead network.
func checkSwitch(ctx context.Context, dir, socket string) error {
	c, err := client.Dial(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Info(ctx); err != nil {
		return err
	}
	fi, err := os.Stat(socket)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return &api.Error{Code: api.ErrFailed, Message: "the switch runs but has no door at " + socket, Hint: fmt.Sprintf("open it: vnetctl -s %s port add stream:unix:%s", dir, strings.ReplaceAll(socket, ",", ",,"))}
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

// usageError is a command line that makes no sense.
type usageError struct{ what, cure string }

func (e *usageError) Error() string { return e.what }

// report prints err in parts and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return api.ExitOK
	}
	var bad *usageError
	if errors.As(err, &bad) {
		fmt.Fprintf(w, "vmrun: %s\n  cure:  %s\n", bad.what, bad.cure)
		return api.ExitUsage
	}
	var typed *api.Error
	if !errors.As(err, &typed) {
		typed = &api.Error{Message: err.Error()}
	}
	fmt.Fprintf(w, "vmrun: the VM was not started\n  cause: %s\n", typed.Message)
	if typed.Hint != "" {
		fmt.Fprintf(w, "  cure:  %s\n", typed.Hint)
	}
	return api.ExitCode(err)
}
