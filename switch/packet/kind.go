package packet

import (
	"context"
	"strings"

	"vnetkit/switch/link"
)

// Kind is the port kind "packet".
func Kind() link.Kind {
	return link.Kind{
		Name: "packet",
		Help: `packet:IFNAME                    an interface that is there, a network card or a veth; the host goes on using it
    bypass=on                      send past its queueing discipline: faster, and lost when its queue is full`,
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

// wanted is a Spec of this kind, understood.
type wanted struct {
	name   string
	bypass bool
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
	return w, spec.Done("bypass")
}
