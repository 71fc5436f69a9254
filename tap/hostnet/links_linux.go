package hostnet

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// markPrefix begins the alias of every interface that we made.
const markPrefix = "vnetctl:"

// Marked tells whether an interface's alias says that we made it.
func Marked(alias string) bool { return strings.HasPrefix(alias, markPrefix) }

// Bridge makes a bridge, down and without ports. Its address is its own and
// chosen with the plan: so it never changes with the ports, and so a bridge
// that a killed run made is known before it is marked.
type Bridge struct {
	Name  string `json:"name"`
	Index int    `json:"index,omitempty"` // 0: whichever the kernel gives
	MAC   string `json:"mac"`
	MTU   int    `json:"mtu"`
	Mark  string `json:"mark"`
}

// Do makes it.
func (s *Bridge) Do(h *Host) error {
	mac, err := net.ParseMAC(s.MAC)
	if err != nil {
		return err
	}
	a := netlink.NewLinkAttrs()
	a.Name, a.Index, a.HardwareAddr, a.MTU = s.Name, s.Index, mac, s.MTU
	if err := h.nl.LinkAdd(&netlink.Bridge{LinkAttrs: a}); err != nil {
		return fmt.Errorf("make bridge %s: %w", s.Name, err)
	}
	l, err := h.Link(s.Name)
	if err != nil {
		return err
	}
	s.Index = l.Index
	return h.setAlias(l, s.Mark)
}

func (h *Host) setAlias(l Link, alias string) error {
	if err := h.nl.LinkSetAlias(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}, alias); err != nil {
		return fmt.Errorf("mark %s: %w", l.Name, err)
	}
	return nil
}

// Done reads back.
func (s *Bridge) Done(h *Host) error {
	l, err := h.Link(s.Name)
	if err != nil {
		return err
	}
	return s.same(l)
}

func (s *Bridge) same(l Link) error {
	return l.mustBe("bridge", s.MAC, s.Mark, s.Index)
}

// mustBe fails unless l is the interface that a step made; index is 0 while that
// is not known.
func (l Link) mustBe(kind, mac, mark string, index int) error {
	if l.Kind != kind || l.MAC.String() != mac || l.Alias != mark || index != 0 && l.Index != index {
		return notOurs(l)
	}
	return nil
}

func notOurs(l Link) error {
	return refuse(ErrNotOurs, fmt.Sprintf("interface %s (number %d, a %s, alias %q) is not the one that vnetctl made", l.Name, l.Index, l.Kind, l.Alias),
		"if nobody needs it: ip link delete %s", l.Name)
}

// Undo removes it. What has its name and is not ours stays.
func (s *Bridge) Undo(h *Host) error { return h.removeIf(s.Name, s.ours) }

// ours tells whether it is the bridge that the step made, perhaps not marked yet.
func (s *Bridge) ours(l Link) bool {
	return s.same(l) == nil || l.Kind == "bridge" && l.MAC.String() == s.MAC && l.Alias == ""
}

// removeIf deletes the interface of a name, if there is one and it is ours.
func (h *Host) removeIf(name string, ours func(Link) bool) error {
	l, err := h.Link(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || !ours(l) {
		return err
	}
	return h.remove(l)
}

// remove deletes an interface by number, so that one that took its name at this
// moment stays.
func (h *Host) remove(l Link) error {
	err := h.nl.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: l.Index}})
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete interface %s: %w", l.Name, err)
	}
	return nil
}

// Undone reads back.
func (s *Bridge) Undone(h *Host) error { return h.gone(s.Name, s.ours) }

func (h *Host) gone(name string, ours func(Link) bool) error {
	l, err := h.Link(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil && ours(l) {
		err = fmt.Errorf("interface %s is still there", name)
	}
	return err
}

// Text says what it does.
func (s *Bridge) Text() (string, []string) {
	return "make bridge " + s.Name, []string{
		fmt.Sprintf("ip link add name %s address %s mtu %d type bridge", s.Name, s.MAC, s.MTU),
		fmt.Sprintf("ip link set dev %s alias %s", s.Name, s.Mark),
	}
}

// UndoText says how it is undone.
func (s *Bridge) UndoText() (string, []string) {
	return "delete bridge " + s.Name, []string{"ip link delete dev " + s.Name}
}

// Up sets an interface up that was down.
type Up struct {
	Name string `json:"name"`
}

// Do sets it up.
func (s *Up) Do(h *Host) error { return h.setFlag(s.Name, h.nl.LinkSetUp) }

// Done reads back.
func (s *Up) Done(h *Host) error { return s.check(h, true) }

// Undo sets it down.
func (s *Up) Undo(h *Host) error {
	err := h.setFlag(s.Name, h.nl.LinkSetDown)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Undone reads back.
func (s *Up) Undone(h *Host) error {
	err := s.check(h, false)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *Up) check(h *Host, up bool) error {
	l, err := h.Link(s.Name)
	if err == nil && l.Up != up {
		err = fmt.Errorf("interface %s: up is %v", s.Name, l.Up)
	}
	return err
}

func (h *Host) setFlag(name string, set func(netlink.Link) error) error {
	l, err := h.Link(name)
	if err != nil {
		return err
	}
	if err := set(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}); err != nil {
		return fmt.Errorf("set %s up or down: %w", name, err)
	}
	return nil
}

// Text says what it does.
func (s *Up) Text() (string, []string) {
	return "set " + s.Name + " up", []string{"ip link set dev " + s.Name + " up"}
}

// UndoText says how it is undone.
func (s *Up) UndoText() (string, []string) {
	return "set " + s.Name + " down", []string{"ip link set dev " + s.Name + " down"}
}

// Join puts an interface that is in no bridge into one.
type Join struct {
	Name   string `json:"name"`
	Bridge string `json:"bridge"`
}

// Do puts it in.
func (s *Join) Do(h *Host) error {
	l, err := h.Link(s.Name)
	if err != nil {
		return err
	}
	b, err := h.Link(s.Bridge)
	if err != nil {
		return err
	}
	return h.raw.batch([]request{masterRequest(device{l.Name, l.Index}, device{b.Name, b.Index})})
}

// Done reads back.
func (s *Join) Done(h *Host) error {
	l, err := h.Link(s.Name)
	if err == nil && l.Master != s.Bridge {
		err = fmt.Errorf("interface %s is not in bridge %s", s.Name, s.Bridge)
	}
	return err
}

// Undo takes it out.
func (s *Join) Undo(h *Host) error {
	l, err := h.Link(s.Name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || l.Master != s.Bridge {
		return err
	}
	return h.raw.batch([]request{masterRequest(device{l.Name, l.Index}, device{})})
}

// Undone reads back.
func (s *Join) Undone(h *Host) error {
	l, err := h.Link(s.Name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil && l.Master == s.Bridge {
		err = fmt.Errorf("interface %s is still in bridge %s", s.Name, s.Bridge)
	}
	return err
}

// Text says what it does.
func (s *Join) Text() (string, []string) {
	return fmt.Sprintf("put %s into bridge %s", s.Name, s.Bridge), []string{fmt.Sprintf("ip link set dev %s master %s", s.Name, s.Bridge)}
}

// UndoText says how it is undone.
func (s *Join) UndoText() (string, []string) {
	return fmt.Sprintf("take %s out of bridge %s", s.Name, s.Bridge), []string{"ip link set dev " + s.Name + " nomaster"}
}
