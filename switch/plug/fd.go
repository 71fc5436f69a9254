package plug

import (
	"context"
	"strconv"

	"vnetkit/switch/link"
)

// FD is the port kind "fd": a connected socket that whoever started the switch
// has left open for it.
func FD() link.Kind {
	parse := func(spec link.Spec) (int, error) {
		n, err := strconv.Atoi(spec.Addr)
		if err != nil || n < 3 {
			return 0, link.Errorf("descriptor %q: want its number, 3 or more", spec.Addr)
		}
		return n, spec.Done()
	}
	return link.Kind{
		Name: "fd",
		Help: `fd:N                             one end of a connected socket that the switch was started with: a stream
                                 (QEMU's -netdev stream, addr.type=fd) or one frame in each datagram`,
		Check: func(spec link.Spec) (bool, error) {
			_, err := parse(spec)
			return false, err
		},
		Open: func(_ context.Context, spec link.Spec, _ link.Options) (link.Source, error) {
			n, err := parse(spec)
			if err != nil {
				return nil, err
			}
			return adopt(n)
		},
	}
}
