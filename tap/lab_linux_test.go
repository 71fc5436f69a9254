package tap

import (
	"context"
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

func TestMain(m *testing.M) {
	// What a Source has started ends soon after it, not with it.
	goleak.VerifyTestMain(m)
}

// tryOpen opens a Spec of kind tap, as the switch does.
func tryOpen(t testing.TB, text string, opt link.Options) (link.Source, error) {
	t.Helper()
	spec, err := link.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	src, err := Kind().Open(t.Context(), spec, opt)
	if err == nil {
		t.Cleanup(func() { _ = src.Close() })
	}
	return src, err
}

func mustOpen(t testing.TB, text string, opt link.Options) link.Source {
	t.Helper()
	src, err := tryOpen(t, text, opt)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func accept(t testing.TB, src link.Source) *tapLink {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), linktest.Patience)
	defer cancel()
	l, err := src.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*tapLink)
}

// find looks a device up in a namespace; nil: there is none.
func find(t testing.TB, ns *linktest.Namespace, name string) (l netlink.Link) {
	t.Helper()
	within(ns, func(h *netlink.Handle) error {
		var err error
		l, err = h.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		return err
	})
	return l
}

// within calls f with a netlink handle in a namespace.
func within(ns *linktest.Namespace, f func(h *netlink.Handle) error) {
	ns.Do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		return f(h)
	})
}

// add makes a device.
func add(ns *linktest.Namespace, l netlink.Link) {
	within(ns, func(h *netlink.Handle) error { return h.LinkAdd(l) })
}

// change does something to a device.
func change(ns *linktest.Namespace, name string, f func(h *netlink.Handle, l netlink.Link) error) {
	within(ns, func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		return f(h, l)
	})
}

func setUpLink(h *netlink.Handle, l netlink.Link) error   { return h.LinkSetUp(l) }
func setDownLink(h *netlink.Handle, l netlink.Link) error { return h.LinkSetDown(l) }
func deleteLink(h *netlink.Handle, l netlink.Link) error  { return h.LinkDel(l) }
