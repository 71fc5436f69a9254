package plug

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"vnetkit/switch/link"
)

// Dgram is the port kind "dgram": one frame in each datagram between two named
// Unix sockets, as QEMU's -netdev dgram and vfkit do it.
func Dgram() link.Kind {
	return link.Kind{
		Name: "dgram",
		Help: `dgram:unix:LOCAL,remote=REMOTE[,mode=0660]
                                 QEMU's -netdev dgram with local.path=REMOTE and remote.path=LOCAL
dgram:unix:LOCAL[,mode=0660]     the same, or vfkit, for whoever is first to send to LOCAL, until that one ends`,
		Check: func(spec link.Spec) (bool, error) {
			_, err := parseDgram(spec)
			return false, err
		},
		Open: func(ctx context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
			s, err := parseDgram(spec)
			if err != nil {
				return nil, err
			}
			s.text = spec.String()
			return openDgram(ctx, s, opt)
		},
	}
}

// dgramSpec is a Spec of this kind, understood.
type dgramSpec struct {
	text   string
	local  string // absolute
	remote string // absolute; "": whoever comes
	mode   int    // of our socket's file; -1: what the umask leaves
}

func parseDgram(spec link.Spec) (s dgramSpec, err error) {
	s.mode = -1
	if !strings.HasPrefix(spec.Addr, "unix:") {
		return s, link.Errorf("address %q: want unix:PATH (over IP, frames in datagrams are udp:, mcast: or l2tpv3:)", spec.Addr)
	}
	local, err := parseAddress(spec.Addr)
	if err != nil {
		return s, err
	}
	s.local = local.text
	if v, ok := spec.Take("remote"); ok {
		remote, err := parseAddress("unix:" + v)
		if err != nil {
			return s, link.Errorf("remote=%s: %w", v, err)
		}
		if s.remote = remote.text; filepath.Clean(s.remote) == filepath.Clean(s.local) {
			return s, link.Errorf("remote=%s: that is this end itself", v)
		}
	}
	if v, ok := spec.Take("mode"); ok {
		m, err := strconv.ParseUint(v, 8, 32)
		if err != nil || m > 0o777 {
			return s, link.Errorf("mode=%s: want an octal file mode such as 0660", v)
		}
		s.mode = int(m)
	}
	return s, spec.Done("remote", "mode")
}
