package tap

import (
	"context"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
	"vnetkit/switch/packet"
)

// packetThere is kind packet with one more key: netns, where the interface is. So
// no test needs an interface in the namespace that it runs in itself.
func packetThere() link.Kind {
	k := packet.Kind()
	open := k.Open
	k.Check = func(link.Spec) (bool, error) { return false, nil }
	k.Open = func(ctx context.Context, spec link.Spec, opt link.Options) (src link.Source, err error) {
		path, _ := spec.Take("netns")
		err = there(path, func() error {
			src, err = open(ctx, spec, opt)
			return err
		})
		return sourceThere{src, path}, err
	}
	return k
}

// there calls f in a namespace.
func there(path string, f func() error) error {
	return inNamespace(path, func(ns int) error {
		defer unix.Close(ns)
		return f()
	})
}

type sourceThere struct {
	link.Source
	path string
}

// Accept implements link.Source.
func (s sourceThere) Accept(ctx context.Context) (l link.Link, err error) {
	err = there(s.path, func() error {
		l, err = s.Source.Accept(ctx)
		return err
	})
	return l, err
}

// packetPort plugs one end of a veth pair into the switch. The other one is t0 in a
// namespace.
func packetPort(t *testing.T, sw *vswitch.Switch, ns *linktest.Namespace, keys string) {
	t.Helper()
	mid := linktest.NewNamespace(t)
	add(mid, &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "q0", MTU: 1500}, PeerName: "t0", PeerNamespace: netlink.NsFd(ns.FD())})
	change(mid, "q0", setUpLink)
	change(ns, "t0", setUpLink)
	addPort(t, sw, fmt.Sprintf("packet:q0,netns=%s%s", mid.Path(), keys))
}

func packetHost(t *testing.T, sw *vswitch.Switch, keys string) host {
	t.Helper()
	ns := linktest.NewNamespace(t)
	packetPort(t, sw, ns, keys)
	return host{ns.Device("t0", true), true}
}
