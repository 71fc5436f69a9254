package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"vnetkit/cmd/vmrun/qemu"
	"vnetkit/mgmt/api"
	"vnetkit/remote/shell"
)

// verbs are what can be done with the VMs that there are.
func verbs(e env) []*cobra.Command {
	var asJSON bool
	var wait seconds
	verb := func(use, short string, args cobra.PositionalArgs, do func(ctx context.Context, args []string) error) *cobra.Command {
		c := &cobra.Command{Use: use, Short: short, Args: func(cmd *cobra.Command, a []string) error {
			if err := args(cmd, a); err != nil {
				return &usageError{err.Error(), "vmrun " + use}
			}
			return nil
		}, RunE: func(cmd *cobra.Command, args []string) error {
			err := do(cmd.Context(), args)
			var bad *usageError
			if err != nil && !errors.As(err, &bad) {
				return &verbError{"cannot " + strings.TrimSpace(cmd.Name()+" "+strings.Join(args, " ")), err}
			}
			return err
		}, ValidArgsFunction: completeVM(use)}
		return c
	}
	one := cobra.ExactArgs(1)
	list := verb("list", "list VMs", cobra.NoArgs, func(context.Context, []string) error { return listVMs(e, asJSON) })
	info := verb("info VM", "say all about a VM", one, func(_ context.Context, args []string) error { return showVM(e.stdout, args[0], asJSON) })
	for _, c := range []*cobra.Command{list, info} {
		c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	}
	ip := verb("ip VM", "print the guest's address", one, func(ctx context.Context, args []string) error {
		return printIP(ctx, e.stdout, args[0], time.Duration(wait))
	})
	ip.Flags().Var(&wait, "wait", "how long to wait for it: `SECONDS`, or a time such as 1m30s")
	keep := verb(keeperVerb+" VM", "", one, func(_ context.Context, args []string) error { return keeper(args[0]) })
	keep.Hidden = true
	ssh := verb("ssh VM [ARGUMENT...]", "become ssh to the guest", cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error { return becomeSSH(ctx, args, e) })
	ssh.Flags().SetInterspersed(false)
	return []*cobra.Command{
		list, info, ip, ssh, keep,
		verb("console VM", "the guest's serial line, on this terminal; Ctrl-] ends", one, func(ctx context.Context, args []string) error {
			return console(ctx, args[0], os.Stdin, e.stdout)
		}),
		verb("stop VM", "press the guest's power button, and wait until it is off", one, func(ctx context.Context, args []string) error { return stopVM(ctx, args[0]) }),
		verb("kill VM", "end the VM at once", one, func(_ context.Context, args []string) error { return killVM(args[0]) }),
		verb("rm VM", "forget a VM that does not run; its disk stays", one, func(_ context.Context, args []string) error { return removeVM(args[0]) }),
		verb("net VM", "list a VM's cards", one, func(_ context.Context, args []string) error { return showNets(e.stdout, args[0]) }),
		verb("link VM [CARD] up|down", "pull a card's cable, or plug it in again", cobra.RangeArgs(2, 3), func(ctx context.Context, args []string) error { return setLink(ctx, args) }),
	}
}

// summary is a VM as list and info print it.
type summary struct {
	*vm
	State string `json:"state"`
}

func listVMs(e env, asJSON bool) error {
	w := e.stdout
	list, unread, err := all()
	if err != nil {
		return err
	}
	for _, u := range unread {
		fmt.Fprintf(e.stderr, "vmrun: a VM is not listed: %v\n", u)
	}
	out := []summary{}
	for _, v := range list {
		v.tend()
		out = append(out, summary{v, v.state()})
	}
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{"vms": out})
	}
	width := 16
	for _, v := range out {
		width = max(width, utf8.RuneCountInString(v.Name))
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%-*s %-9s %7s  %-17s  %s\n", width, "NAME", "STATE", "PID", "MAC", "NET")
	for _, v := range out {
		fmt.Fprintf(&text, "%-*s %-9s %7d  %-17s  %s\n", width, v.Name, v.State, v.QEMU.PID, v.macText(0), strings.Join(v.Nets, "; "))
	}
	_, err = text.WriteTo(w)
	return err
}

func showVM(w io.Writer, name string, asJSON bool) error {
	v, err := load(name)
	if err != nil {
		return err
	}
	v.tend()
	if asJSON {
		return json.NewEncoder(w).Encode(summary{v, v.state()})
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "name     %s\nstate    %s\npid      %d\n", v.Name, v.state(), v.QEMU.PID)
	if v.SSH > 0 {
		fmt.Fprintf(&text, "ssh      127.0.0.1 port %d\n", v.SSH)
	}
	_ = printNets(&text, v)
	fmt.Fprintf(&text, "log      %s\nserial   %s\ncommand  %s\n", v.path("log"), v.path("serial"), shell.Quote(append([]string{v.Program}, v.Argv...)))
	_, err = text.WriteTo(w)
	return err
}

func showNets(w io.Writer, name string) error {
	v, err := load(name)
	if err != nil {
		return err
	}
	return printNets(w, v)
}

func printNets(w io.Writer, v *vm) error {
	for i, n := range v.Nets {
		if _, err := fmt.Fprintf(w, "card %d   %-17s  %s\n", i, v.macText(i), n); err != nil {
			return err
		}
	}
	return nil
}

// macText is a card's address for people.
func (v *vm) macText(card int) string {
	if card >= len(v.MACs) || v.MACs[card] == "" {
		return "-"
	}
	return v.MACs[card]
}

// running loads a VM that must run.
func running(name string) (*vm, error) {
	v, err := load(name)
	if err != nil {
		return nil, err
	}
	v.tend()
	if !v.QEMU.alive() {
		return nil, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("VM %s does not run", name), Hint: "vmrun list says what does"}
	}
	return v, nil
}

// monitorTime is how long QEMU's monitor may be another's: it talks to one at a time.
const monitorTime = 5 * time.Second

// monitor connects to QEMU's monitor.
func (v *vm) monitor(ctx context.Context) (*qemu.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, monitorTime)
	defer cancel()
	c, err := qemu.Dial(ctx, v.path("qmp"))
	if err != nil && ctx.Err() != nil {
		return nil, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("QEMU's monitor, %s, does not answer: another program is connected to it, or QEMU hangs", v.path("qmp")), Hint: "end that program; vmrun kill " + v.Name + " works in any case"}
	}
	return c, err
}

func setLink(ctx context.Context, args []string) error {
	card, to := 0, args[len(args)-1]
	if len(args) == 3 {
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 0 {
			return &usageError{fmt.Sprintf("card %q: want its number, from 0", args[1]), "vmrun net " + args[0] + " lists them"}
		}
		card = n
	}
	if to != "up" && to != "down" {
		return &usageError{fmt.Sprintf("%q: want up or down", to), "vmrun link VM [CARD] up|down"}
	}
	v, err := running(args[0])
	if err != nil {
		return err
	}
	if card >= len(v.Nets) {
		return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("VM %s has no card %d", v.Name, card), Hint: "vmrun net " + v.Name + " lists them"}
	}
	c, err := v.monitor(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Execute("set_link", map[string]any{"name": fmt.Sprintf("vnet%d", card), "up": to == "up"}, nil)
}

// stopTime is how long a guest may take to go down.
const stopTime = 90 * time.Second

func stopVM(ctx context.Context, name string) error {
	v, err := settled(name)
	if err != nil {
		return err
	}
	if v.state() == "stopped" {
		v.tend()
		return nil
	}
	c, err := v.monitor(ctx)
	if err == nil {
		err = c.Execute("system_powerdown", nil, nil)
		_ = c.Close()
	}
	if err != nil && v.QEMU.alive() {
		return err
	}
	if !v.ended(stopTime) {
		return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("the guest was asked and did not go down within %v", stopTime), Hint: "vmrun kill " + name}
	}
	return nil
}

func killVM(name string) error {
	v, err := settled(name)
	if err != nil {
		return err
	}
	if err := v.kill(); err != nil {
		return err
	}
	if !v.ended(stopTime) {
		return fmt.Errorf("QEMU, pid %d, does not end", v.QEMU.PID)
	}
	return nil
}

// ended waits until QEMU is gone and cleared up after, by its keeper or by us.
func (v *vm) ended(limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if v.state() == "stopped" {
			if now, err := load(v.Name); err == nil {
				now.tend()
			}
			return true
		}
	}
	return false
}

func removeVM(name string) error {
	v, err := load(name)
	if err == nil && v.state() == "ending" {
		v, err = settled(name)
	}
	if err != nil {
		return err
	}
	if err := v.mustNotRun(); err != nil {
		return err
	}
	lock, err := v.lockIdle()
	if err != nil {
		return err
	}
	defer lock.Close()
	if v, err = load(name); err != nil {
		return err
	}
	if err := v.mustNotRun(); err != nil { // it was started meanwhile, and its keeper killed
		return err
	}
	v.sweep()
	return v.forget()
}

func (v *vm) mustNotRun() error {
	switch v.state() {
	case "running":
		return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("VM %s runs", v.Name), Hint: "vmrun stop " + v.Name}
	case "stopped":
		return nil
	}
	return v.beingStarted()
}

func (v *vm) beingStarted() error {
	return &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("VM %s is being started", v.Name), Hint: "vmrun kill " + v.Name}
}

// forget removes what we have made of a VM, and nothing else.
func (v *vm) forget() error {
	for _, s := range v.Scripts {
		_ = os.Remove(v.path(s.Name))
	}
	for _, f := range []string{"vm.json", "log", "serial", seedName, "lock"} {
		if err := os.Remove(v.path(f)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(v.dir); err != nil {
		if _, locked := os.Lstat(v.path("lock")); locked == nil {
			return nil // somebody has begun to start a VM of this name
		}
		return fmt.Errorf("something that is not ours is in it: %w", err)
	}
	return nil
}

func becomeSSH(ctx context.Context, args []string, e env) error {
	v, err := running(args[0])
	if err != nil {
		return err
	}
	argv := []string{"ssh", "-p", strconv.Itoa(v.SSH), "127.0.0.1"}
	if v.SSH == 0 {
		addr, err := v.address(ctx)
		if err != nil {
			return err
		}
		if addr == hostAddress { // whose SSH is this host's own
			return &api.Error{Code: api.ErrFailed, Message: "no port of this host is known to lead to the guest's SSH", Hint: "start the VM without ssh=off; or if a hostfwd= does it: ssh -p PORT 127.0.0.1"}
		}
		argv = []string{"ssh", addr}
	}
	path, err := e.lookPath("ssh")
	if err != nil {
		return err
	}
	return e.exec(path, append(argv, args[1:]...), e.environ)
}
