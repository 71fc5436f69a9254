package vhost

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"vnetkit/switch/link"
)

// Kind is the port kind "vhost-user".
func Kind() link.Kind {
	return link.Kind{
		Name: "vhost-user",
		Help: `vhost-user:PATH[,mode=0660]      QEMU's -netdev vhost-user connects to PATH; each connection is a port
vhost-user:PATH,connect=on       connect to a QEMU that listens (server=on), and again whenever it comes back
                                 queues=N: most pairs of rings (8); packed=on: packed rings, too
                                 poll=always: never sleep, which takes a CPU for ever;
                                 hold=TIME: keep who sends to a full guest waiting so long, and drop later`,
		Check: func(spec link.Spec) (bool, error) {
			s, err := parse(spec)
			return !s.dial, err
		},
		Open: func(ctx context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
			s, err := parse(spec)
			switch {
			case err != nil:
				return nil, err
			case s.dial:
				return newDialer(s, opt)
			}
			return listen(ctx, s)
		},
	}
}

// spec is a Spec of this kind, understood.
type spec struct {
	path string // absolute
	dial bool
	mode int // of a listening socket's file; -1: what the umask leaves
	opt  options
}

const (
	defaultQueues = 8
	maxQueues     = 128  // messages name rings by eight bits
	maxPath       = 107  // what fits into a socket address (unix(7))
	maxMode       = 0777 // of a file
)

func parse(in link.Spec) (s spec, err error) {
	s = spec{mode: -1, opt: options{queues: defaultQueues}}
	if in.Addr == "" || strings.ContainsRune(in.Addr, 0) {
		return s, link.Errorf("address %q: the path is missing", in.Addr)
	}
	if s.path, err = filepath.Abs(in.Addr); err != nil {
		return s, link.Errorf("address %q: %w", in.Addr, err)
	}
	if len(s.path) > maxPath {
		return s, link.Errorf("address %q: the path has %d bytes, a socket's may have %d; choose a shorter directory", in.Addr, len(s.path), maxPath)
	}
	if s.dial, err = in.TakeSwitch("connect", false); err != nil {
		return s, err
	}
	if s.opt.packed, err = in.TakeSwitch("packed", false); err != nil {
		return s, err
	}
	if v, ok := in.Take("queues"); ok {
		if s.opt.queues, err = strconv.Atoi(v); err != nil || s.opt.queues < 1 || s.opt.queues > maxQueues {
			return s, link.Errorf("queues=%s: want a number from 1 to %d", v, maxQueues)
		}
	}
	if err := s.opt.takePace(&in); err != nil {
		return s, err
	}
	known := []string{"connect", "hold", "packed", "poll", "queues"}
	if !s.dial {
		known = append(known, "mode")
		if v, ok := in.Take("mode"); ok {
			m, err := strconv.ParseUint(v, 8, 32)
			if err != nil || m > maxMode {
				return s, link.Errorf("mode=%s: want an octal file mode such as 0660", v)
			}
			s.mode = int(m)
		}
	}
	return s, in.Done(known...)
}

// String is s as a Spec.
func (s spec) String() string {
	text := "vhost-user:" + s.path
	if s.dial {
		text += ",connect=on"
	}
	return text
}
