package console

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	vswitch "vnetkit/switch"
)

// This file is what the console knows of clients: who is plugged in, and who may.

// endpoint is one client of a port.
type endpoint struct {
	id     int
	module string
	descr  string
}

// modules are the original's names for what it has, too.
var modules = map[string]string{"vde": "unix prog", "tap": "tuntap"}

// endpoints lists the clients of a port, newest first.
func (c *Console) endpoints(p *vswitch.PortInfo) []endpoint {
	var list []endpoint
	for _, e := range slices.Backward(p.Endpoints) {
		ep := endpoint{id: e.ID, module: p.Kind, descr: e.Peer.Description}
		if name := modules[p.Kind]; name != "" {
			ep.module = name
		}
		switch {
		case ep.descr != "":
		case e.Peer.PID != 0:
			ep.descr = fmt.Sprintf("%s user=%s pid=%d", p.Config.Name, nameOf(e.Peer.UID), e.Peer.PID)
		default:
			ep.descr = e.Peer.Addr
		}
		list = append(list, ep)
	}
	return list
}

func (c *call) portEndpointClose() error {
	w, err := c.words(2)
	if err != nil {
		return err
	}
	p, err := c.thePort()
	if err != nil {
		return err
	}
	id, err := number(w[1], 0, 1<<30)
	if err != nil {
		return err
	}
	return c.sw.CloseEndpoint(strconv.Itoa(p.id), id)
}

// isAllocatable tells whether a client that asks for no number may get this port:
// it has got it, or it is of the pool.
func (c *Console) isAllocatable(p *portView) bool { return p.cfg.Pool || p.Door != "" }

func (c *call) portAllocatable() error {
	w, err := c.words(2)
	if err != nil {
		return err
	}
	on, err := onOff(w[1])
	if err != nil {
		return err
	}
	return c.setPort(vswitch.PortChange{Pool: &on})
}

// setPort changes the port that the command's first word names, which then stays
// when its client leaves.
func (c *call) setPort(ch vswitch.PortChange) error {
	keep := true
	ch.Keep = &keep
	p, err := c.thePort()
	if err != nil {
		return err
	}
	_, err = c.sw.SetPort(strconv.Itoa(p.id), ch)
	return err
}

// access says who may use a port.
func (c *Console) access(p *portView) (owner, group string) {
	owner, group = anyone, anyone
	if p.cfg.User != nil {
		owner = nameOf(*p.cfg.User)
	}
	if p.cfg.Group != nil {
		group = strconv.Itoa(*p.cfg.Group)
		if g, err := user.LookupGroupId(group); err == nil {
			group = printable(g.Name)
		}
	}
	return owner, group
}

const anyone = "NONE"

func isAnyone(text string) bool { return text == anyone || text == "ANY" }

func (c *call) portSetUser() error {
	id, err := c.account(vswitch.ParseUser)
	if err != nil {
		return err
	}
	return c.setPort(vswitch.PortChange{User: id})
}

func (c *call) portSetGroup() error {
	id, err := c.account(vswitch.ParseGroup)
	if err != nil {
		return err
	}
	return c.setPort(vswitch.PortChange{Group: id})
}

// account reads the user or group behind a port's number, which must be there.
func (c *call) account(parse func(string) (*int, error)) (*int, error) {
	w, err := c.words(2)
	if err != nil {
		return nil, err
	}
	if _, err := c.thePort(); err != nil {
		return nil, err
	}
	anybody := vswitch.Anybody
	if isAnyone(w[1]) {
		return &anybody, nil
	}
	id, err := parse(strings.TrimSpace(w[1]))
	if err != nil || id == nil {
		return nil, fmt.Errorf("%w: there is no %q", syscall.EINVAL, w[1])
	}
	return id, nil
}

// userName is who is plugged into a port.
func userName(p *portView) string {
	if !p.active || p.Peer.UID < 0 {
		return anyone
	}
	return nameOf(p.Peer.UID)
}

// nameOf is a user's name, or the number where it has none.
func nameOf(uid int) string {
	number := strconv.Itoa(uid)
	if u, err := user.LookupId(number); err == nil {
		return printable(u.Username)
	}
	return number
}
