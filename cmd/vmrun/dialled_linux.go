package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
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
		if n.Mode != "switch" && n.Mode != "network" || n.Has("br") || door != "" && door != "stream" || !canBeDialled(n.Get("sock")) {
			continue
		}
		o.vm.Nets[i] = n.Set("listen", filepath.Join(dir, fmt.Sprintf("port%d", i)))
	}
	return nil
}

var portName = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)

// dialled is the port of a card.
func (o *order) dialled(n netdev.Net, card int) dialledPort {
	p := dialledPort{Switch: n.Get("sock"), Path: n.Get("listen")}
	if _, err := strconv.Atoi(o.vm.Name); err != nil && portName.MatchString(o.vm.Name) { // a number would be another port
		p.Name = fmt.Sprintf("%s.%d", o.vm.Name, card)
	}
	return p
}

// dialTime is how long a switch may take to answer.
const dialTime = 5 * time.Second

// add makes sure that the switch has the port.
func (p dialledPort) add() error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	c, err := client.Dial(p.Switch)
	if err != nil {
		return err
	}
	defer c.Close()
	ids, err := p.find(ctx, c)
	if err != nil || len(ids) > 0 {
		return err
	}
	spec := "stream:unix:" + comma(p.Path) + ",connect=on"
	if p.Name != "" {
		_, err = c.AddPort(ctx, spec+",name="+p.Name)
		var refused *api.Error
		if err == nil || !errors.As(err, &refused) || refused.Code != api.ErrPortExists {
			return err
		}
	}
	_, err = c.AddPort(ctx, spec)
	return err
}

// find lists the ports that dial p's path.
func (p dialledPort) find(ctx context.Context, c *client.Client) (ids []int, err error) {
	ports, err := c.Ports(ctx)
	for _, have := range ports {
		if strings.HasPrefix(have.Spec, "stream:unix:"+comma(p.Path)+",") {
			ids = append(ids, have.ID)
		}
	}
	return ids, err
}

// remove takes the port off the switch. One that is gone needs nothing.
func (p dialledPort) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	c, err := client.Dial(p.Switch)
	if err != nil {
		return
	}
	defer c.Close()
	ids, _ := p.find(ctx, c)
	for _, id := range ids {
		_ = c.RemovePort(ctx, strconv.Itoa(id))
	}
}

// addPorts adds the VM's ports to their switches.
func (v *vm) addPorts() error {
	for _, p := range v.Ports {
		if err := p.add(); err != nil {
			return fmt.Errorf("add a port to the switch in %s: %w", p.Switch, err)
		}
	}
	return nil
}

// removePorts takes them off again.
func (v *vm) removePorts() {
	for _, p := range v.Ports {
		p.remove()
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
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
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
				wait[i] = retryEvery
				continue
			}
			if seen[i] != "" {
				fmt.Fprintf(os.Stderr, "vmrun: the switch in %s was started anew: it has its port again\n", p.Switch)
			}
			seen[i] = now
		}
	}
}

// life tells one life of a switch from another: each makes its api socket anew.
func life(dir string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(dir, api.SocketName), &st); err != nil {
		return ""
	}
	return fmt.Sprint(st.Dev, st.Ino, st.Ctim)
}
