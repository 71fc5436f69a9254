package tap

import (
	"context"
	"net"
	"os/user"
	"strconv"
	"strings"

	"vnetkit/switch/link"
)

// Kind is the port kind "tap".
func Kind() link.Kind {
	return link.Kind{
		Name: "tap",
		Help: `tap:NAME                         a TAP device of this name: made if there is none, and then removed with the port
    offload=off                    one frame at a time, no 64 KiB pieces (on)
    queues=N                       queues that are read at the same time, 1 to 256 (1)
    persist=on                     the device stays when the port goes
    owner=USER,group=GROUP         who else may open it
    mtu=N mac=ADDRESS              of the device; mtu is the port's, too
    up=on|off master=BRIDGE        set it up (on for one made here); put it on a bridge
    netns=NAME                     in this network namespace: a name of ip netns, or a path
tap:fd=N                         a TAP device that was opened before the switch was started`,
		Check: func(spec link.Spec) (bool, error) {
			_, err := parse(spec)
			return false, err
		},
		Open: func(_ context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
			w, err := parse(spec)
			if err != nil {
				return nil, err
			}
			w.mtu = opt.MTU
			return open(w, opt)
		},
	}
}

// wanted is a Spec of this kind, understood.
type wanted struct {
	name    string // "": fd
	fd      int    // descriptor to adopt; -1: none
	offload bool
	queues  int
	persist choice
	up      choice
	owner   int // uid; -1: not said
	group   int // gid; -1: not said
	mtu     int // 0: not said
	mac     net.HardwareAddr
	master  string
	netns   string
}

// choice is on, off or not said.
type choice int8

const (
	unsaid choice = iota
	off
	on
)

const maxQueues = 256 // that Linux gives one device

var keys = []string{"offload", "queues", "persist", "owner", "group", "mac", "up", "master", "netns"}

func parse(spec link.Spec) (w wanted, err error) {
	w = wanted{fd: -1, queues: 1, owner: -1, group: -1}
	if w.offload, err = spec.TakeSwitch("offload", true); err != nil {
		return w, err
	}
	if text, ok := strings.CutPrefix(spec.Addr, "fd="); ok {
		if w.fd, err = strconv.Atoi(text); err != nil || w.fd < 3 {
			return w, link.Errorf("fd=%s: want the number of a descriptor that was opened for the switch, 3 or more", text)
		}
		return w, spec.Done("offload")
	}
	w.name = spec.Addr
	if err := checkName("device", w.name); err != nil {
		return w, err
	}
	for _, take := range []func(*wanted, *link.Spec) error{takeQueues, takeChoices, takeUsers, takeMAC, takePlace} {
		if err := take(&w, &spec); err != nil {
			return w, err
		}
	}
	return w, spec.Done(keys...)
}

// checkName knows what Linux takes for a name (dev_valid_name), and that one
// with a % in it would be a pattern.
func checkName(what, name string) error {
	switch {
	case name == "" || len(name) > 15:
		return link.Errorf("%s name %q has %d bytes: want 1 to 15", what, name, len(name))
	case name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r\x00"):
		return link.Errorf("%s name %q: no slash, colon, percent sign or space can be in it", what, name)
	}
	return nil
}

func takeQueues(w *wanted, spec *link.Spec) error {
	if text, ok := spec.Take("queues"); ok {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxQueues {
			return link.Errorf("queues=%s: want 1 to %d, which is what Linux gives one device", text, maxQueues)
		}
		w.queues = n
	}
	return nil
}

func takeChoices(w *wanted, spec *link.Spec) error {
	for _, c := range []struct {
		key string
		to  *choice
	}{{"persist", &w.persist}, {"up", &w.up}} {
		if !spec.Has(c.key) {
			continue
		}
		yes, err := spec.TakeSwitch(c.key, false)
		if err != nil {
			return err
		}
		*c.to = off
		if yes {
			*c.to = on
		}
	}
	return nil
}

func takeUsers(w *wanted, spec *link.Spec) error {
	if name, ok := spec.Take("owner"); ok {
		id, err := strconv.Atoi(name)
		if err != nil {
			u, err := user.Lookup(name)
			if err != nil {
				return link.Errorf("owner=%s: %w (getent passwd lists who there is)", name, err)
			}
			id, _ = strconv.Atoi(u.Uid)
		}
		w.owner = id
	}
	if name, ok := spec.Take("group"); ok {
		id, err := strconv.Atoi(name)
		if err != nil {
			g, err := user.LookupGroup(name)
			if err != nil {
				return link.Errorf("group=%s: %w (make it with: groupadd %s)", name, err, name)
			}
			id, _ = strconv.Atoi(g.Gid)
		}
		w.group = id
	}
	return nil
}

func takeMAC(w *wanted, spec *link.Spec) error {
	if text, ok := spec.Take("mac"); ok {
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00" {
			return link.Errorf("mac=%s: want a station's address, as in 52:54:00:12:34:56", text)
		}
		w.mac = mac
	}
	return nil
}

func takePlace(w *wanted, spec *link.Spec) error {
	if name, ok := spec.Take("master"); ok {
		if err := checkName("bridge", name); err != nil {
			return err
		}
		w.master = name
	}
	if name, ok := spec.Take("netns"); ok {
		if name == "" || name == "." || name == ".." || strings.Contains(name, "/") && name[0] != '/' {
			return link.Errorf("netns=%s: want a name of ip netns, or a path from the root such as /proc/1234/ns/net", name)
		}
		w.netns = name
	}
	return nil
}
