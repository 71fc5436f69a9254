package packet

import (
	"context"
	"strconv"
	"strings"

	"vnetkit/switch/link"
)

// Kind is the port kind "packet".
func Kind() link.Kind {
	return link.Kind{
		Name: "packet",
		Help: `packet:IFNAME                    an interface that is there, a network card or a veth; the host goes on using it
    bypass=on                      send past its queueing discipline: faster, and lost when its queue is full
    ring=off|SLOTS                 memory that the kernel puts short frames into, 2 KiB each: 4096 if not said`,
		Check: func(spec link.Spec) (bool, error) {
			_, err := parse(spec)
			return false, err
		},
		Open: func(_ context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
			w, err := parse(spec)
			if err != nil {
				return nil, err
			}
			return open(w, opt)
		},
	}
}

// How many slots a receive ring has if nobody says, at least and at most. A batch
// that was read keeps its slots until the next read.
const (
	defaultSlots = 4096
	minSlots     = 4 * batchLen
	maxSlots     = 65536
)

const batchLen = 64 // frames of one read, or one system call

// wanted is a Spec of this kind, understood.
type wanted struct {
	name   string
	bypass bool
	slots  int // of the receive ring; 0: none
}

func parse(spec link.Spec) (w wanted, err error) {
	w.name = spec.Addr
	switch {
	case w.name == "" || len(w.name) > 15:
		return w, link.Errorf("interface name %q has %d bytes: want 1 to 15", w.name, len(w.name))
	case w.name == "." || w.name == ".." || strings.ContainsAny(w.name, "/: \t\n\v\f\r\x00"):
		return w, link.Errorf("interface name %q: no slash, colon or space can be in it", w.name)
	}
	if w.bypass, err = spec.TakeSwitch("bypass", false); err != nil {
		return w, err
	}
	if w.slots, err = takeRing(&spec); err != nil {
		return w, err
	}
	return w, spec.Done("bypass", "ring")
}

// takeRing removes key ring and returns how many slots it asks for.
func takeRing(spec *link.Spec) (slots int, err error) {
	whole := *spec
	v, ok := spec.Take("ring")
	if !ok {
		return defaultSlots, nil
	}
	if n, err := strconv.Atoi(v); err == nil && n > 1 {
		if n < minSlots || n > maxSlots {
			return 0, link.Errorf("ring=%s: want %d to %d slots", v, minSlots, maxSlots)
		}
		return n, nil
	}
	on, err := whole.TakeSwitch("ring", true)
	switch {
	case err != nil:
		return 0, link.Errorf("ring=%s: want on, off, or a number of slots", v)
	case on:
		return defaultSlots, nil
	}
	return 0, nil
}
