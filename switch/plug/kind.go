package plug

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"vnetkit/switch/link"
)

// Stream is the port kind "stream".
func Stream() link.Kind {
	return link.Kind{
		Name: "stream",
		Help: `stream:unix:PATH[,mode=0660]    QEMU's -netdev stream connects to PATH; each connection is a port
stream:tcp:[HOST]:PORT           the same over TCP; without a HOST only this machine may connect
stream:unix:PATH,connect=on      connect to a listening QEMU or switch, and again whenever it comes back
stream:tcp:HOST:PORT,connect=on`,
		Check: func(spec link.Spec) (bool, error) {
			s, err := parseStream(spec)
			return !s.dial, err
		},
		Open: func(ctx context.Context, spec link.Spec, opt link.Options) (link.Source, error) {
			s, err := parseStream(spec)
			switch {
			case err != nil:
				return nil, err
			case s.dial:
				return newDialer(s.addr, opt), nil
			}
			return listen(ctx, s.addr, s.mode)
		},
	}
}

// streamSpec is a Spec of this kind, understood.
type streamSpec struct {
	addr address
	dial bool
	mode int // of a listening Unix socket's file; -1: what the umask leaves
}

func parseStream(spec link.Spec) (s streamSpec, err error) {
	s.mode = -1
	if s.addr, err = parseAddress(spec.Addr); err != nil {
		return s, err
	}
	if s.dial, err = spec.TakeSwitch("connect", false); err != nil {
		return s, err
	}
	known := []string{"connect"}
	if !s.dial && s.addr.network == "unix" {
		known = append(known, "mode")
		if text, ok := spec.Take("mode"); ok {
			m, err := strconv.ParseUint(text, 8, 32)
			if err != nil || m > 0o777 {
				return s, link.Errorf("mode=%s: want an octal file mode such as 0660", text)
			}
			s.mode = int(m)
		}
	}
	return s, spec.Done(known...)
}

// address is where a stream socket listens or connects to.
type address struct {
	network string // unix or tcp
	text    string // absolute path, or host:port
}

func (a address) String() string { return a.network + ":" + a.text }

// maxPath is the longest path that fits into a socket address (unix(7)).
const maxPath = 107

// parseAddress reads unix:PATH or tcp:[HOST]:PORT.
func parseAddress(text string) (address, error) {
	network, rest, _ := strings.Cut(text, ":")
	switch network {
	case "unix":
		if rest == "" || strings.ContainsRune(rest, 0) {
			return address{}, link.Errorf("address %q: the path is missing", text)
		}
		path, err := filepath.Abs(rest)
		if err != nil {
			return address{}, link.Errorf("address %q: %w", text, err)
		}
		if len(path) > maxPath {
			return address{}, link.Errorf("address %q: the path has %d bytes, a socket's may have %d; choose a shorter directory", text, len(path), maxPath)
		}
		return address{network, path}, nil
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return address{}, link.Errorf("address %q: want tcp:HOST:PORT, with an IPv6 host in brackets: %w", text, err)
		}
		if host == "" {
			host = "127.0.0.1"
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return address{}, link.Errorf("address %q: port %q is not a number from 1 to 65535", text, port)
		}
		return address{network, net.JoinHostPort(host, port)}, nil
	}
	return address{}, link.Errorf("address %q: want unix:PATH or tcp:HOST:PORT", text)
}
