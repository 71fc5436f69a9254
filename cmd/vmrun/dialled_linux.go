package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/switch/link"
)

// A QEMU that cannot connect again (7.2) is dead to a switch that was started
// anew. There QEMU listens, and a port of the switch dials it, again and again.
// That port is not in the switch's own start, so the keeper adds it, and adds it
// again to the switch that comes after.

// canBeDialled tells whether the switch in dir may be asked to dial us, and can:
// it is ours, or is going to be. Another user's could not see our sockets.
func canBeDialled(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// haveDialled makes QEMU listen for the switch where it could not connect again.
func (o *order) haveDialled(caps netdev.Caps) error {
	if !o.vm.managed() || o.print || caps.Reconnects() {
		return nil // a printed command line has no keeper, and dials by itself
	}
	dir, err := vmDir(o.vm.Name)
	if err != nil {
		return err
	}
	for i, n := range o.vm.Nets {
		door := n.Get("door")
		if n.Mode != "switch" && n.Mode != "network" || n.Has("br") || n.Has("listen") || door != "" && door != "stream" || !canBeDialled(n.Get("sock")) {
			continue
		}
		o.vm.Nets[i] = n.Set("listen", filepath.Join(dir, fmt.Sprintf("port%d", i)))
	}
	return nil
}

var portName = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)

// dialled is the port of a card.
func (o *order) dialled(n netdev.Net, card int) dialledPort {
	p := dialledPort{Switch: n.Get("sock"), Path: n.Get("listen"), Set: n.Port()}
	if _, err := strconv.Atoi(o.vm.Name); err != nil && portName.MatchString(o.vm.Name) { // a number would be another port
		p.Name = fmt.Sprintf("%s.%d", o.vm.Name, card)
	}
	if n.Get("door") == "vhost" {
		p.Kind = vhostKind
		if p.Name == "" {
			p.Name = "vm-" + strings.ReplaceAll(o.vm.macOf(n, card).String(), ":", "-")
		}
	}
	return p
}

// dialTime is how long a switch may take to answer.
const dialTime = 5 * time.Second

// add makes sure that the switch has the port, and with its settings if it has
// any. An admin's changes of a port that asks for nothing are left alone.
func (p dialledPort) add() error {
	return p.with(func(ctx context.Context, c *client.Client) error {
		specs := p.specs()
		for i := range specs {
			specs[i] += ",save=off" // it is the keeper that adds the port to the switch's next life
		}
		have, err := p.find(ctx, c)
		if err != nil || len(have) > 0 && p.Set == "" || len(have) == 1 && slices.Contains(specs, have[0].Spec) {
			return err
		}
		for _, h := range have {
			if err := c.RemovePort(ctx, strconv.Itoa(h.ID)); err != nil {
				return err
			}
		}
		for _, spec := range specs {
			var refused *api.Error
			if _, err = c.AddPort(ctx, spec); !errors.As(err, &refused) || refused.Code != api.ErrPortExists {
				break
			}
		}
		return err
	})
}

// with asks the port's switch something.
func (p dialledPort) with(ask func(context.Context, *client.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	c, err := client.Dial(p.Switch)
	if err == nil {
		defer c.Close()
		err = ask(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("the port of the switch in %s: %w", p.Switch, err)
	}
	return nil
}

// find lists the ports that dial p's path.
func (p dialledPort) find(ctx context.Context, c *client.Client) (list []api.Port, err error) {
	ports, err := c.Ports(ctx)
	for _, have := range ports {
		if strings.HasPrefix(have.Spec, p.address()) {
			list = append(list, have)
		}
	}
	return list, err
}

// remove takes the port off the switch. One that is gone needs nothing.
func (p dialledPort) remove() error {
	return p.with(func(ctx context.Context, c *client.Client) error {
		have, err := p.find(ctx, c)
		for _, h := range have {
			err = errors.Join(err, c.RemovePort(ctx, strconv.Itoa(h.ID)))
		}
		return err
	})
}

// preparePorts makes sure that no port of a life before is there for a QEMU whose
// port is to be set: it might be set otherwise. Ports that QEMU dials must be there
// before it.
func (v *vm) preparePorts() error {
	for _, p := range v.Ports {
		if p.Set == "" {
			continue
		}
		if err := p.remove(); err != nil {
			return err
		}
		if p.Kind == vhostKind {
			if err := p.add(); err != nil {
				return err
			}
		}
	}
	return nil
}

// addPorts adds the VM's ports to their switches.
func (v *vm) addPorts() error {
	for _, p := range v.Ports {
		if err := p.add(); err != nil {
			return err
		}
	}
	return nil
}

// removePorts takes them off again.
func (v *vm) removePorts() {
	for _, p := range v.Ports {
		_ = p.remove() // a switch that is gone has no port
	}
}

// Looking at a file costs so little, and a connection that waits for the switch's
// end is one of the few that the switch lets in.
const (
	watchEvery = 250 * time.Millisecond
	retryEvery = 4 // of those, where a switch says no
)

// watchPorts adds the ports again to each switch that was started anew, until
// done is closed. One that an admin has removed stays away until then.
func (v *vm) watchPorts(done <-chan struct{}) {
	seen := make([]string, len(v.Ports)) // unknown at first: a switch may have been started since addPorts
	wait := make([]int, len(v.Ports))
	said := make([]string, len(v.Ports))
	for again(done) {
		for i, p := range v.Ports {
			now := life(p.Switch)
			if wait[i] > 0 {
				wait[i]--
				continue
			}
			if now == "" || now == seen[i] {
				continue
			}
			if err := p.add(); err != nil {
				if wait[i] = retryEvery; err.Error() != said[i] && api.ExitCode(err) != api.ExitUnreachable {
					said[i] = err.Error()
					fmt.Fprintf(os.Stderr, "vmrun: a card has no network: %v\n", err)
				}
				continue
			}
			if seen[i] != "" {
				fmt.Fprintf(os.Stderr, "vmrun: the switch in %s was started anew: it has its port again\n", p.Switch)
			}
			seen[i] = now
		}
	}
}

// again returns true when it is time to look again, and false when done is closed.
func again(done <-chan struct{}) bool { return link.Pause(done, watchEvery) }

// life tells one life of a switch from another: each makes its api socket anew.
func life(dir string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, api.SocketName), &st); err != nil {
		return ""
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Ctim)
}
