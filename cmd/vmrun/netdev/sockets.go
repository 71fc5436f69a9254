package netdev

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func unixAddr(path string) backend { return backend{"type": "unix", "path": path} }

// stream connects, and again if QEMU can.
func (b *builder) stream(addr backend) backend {
	be := backend{"type": "stream", "server": false, "addr": addr}
	switch known := b.caps.Netdevs["stream"]; {
	case slices.Contains(known, "reconnect-ms"):
		be["reconnect-ms"] = 1000
	case slices.Contains(known, "reconnect"):
		be["reconnect"] = 1
	}
	return be
}

// address reads unix:PATH, fd:N or [tcp:]HOST:PORT.
func address(text string) (backend, error) {
	typ, rest, _ := strings.Cut(text, ":")
	switch typ {
	case "unix":
		if err := (key{kind: socketPath}).check(rest); err != nil {
			return nil, err
		}
		return unixAddr(rest), nil
	case "abstract":
		return backend{"type": "unix", "path": rest, "abstract": true}, nil
	case "fd":
		return backend{"type": "fd", "str": rest}, nil
	case "tcp", "udp":
		text = rest
	}
	host, port, err := splitEndpoint(text)
	if err != nil {
		return nil, fmt.Errorf("want unix:PATH, abstract:NAME, fd:N or HOST:PORT: %w", err)
	}
	return backend{"type": "inet", "host": host, "port": port}, nil
}

func (b *builder) streamMode() (backend, error) {
	addr, err := address(b.net.Get("addr"))
	if err != nil {
		return nil, badf("for example --net stream=unix:/run/vm.sock", "--net stream: %v", err)
	}
	be := b.stream(addr)
	if onOff[b.net.Get("server")] {
		be = backend{"type": "stream", "server": true, "addr": addr}
	}
	if v := b.net.Get("reconnect"); v != "" {
		seconds, _ := strconv.Atoi(v)
		switch {
		case be["reconnect-ms"] != nil:
			be["reconnect-ms"] = 1000 * seconds
		case be["reconnect"] != nil:
			be["reconnect"] = seconds
		default:
			return nil, badf("leave it out, or have the other side connect: --net stream=...,server=on", "--net stream: this QEMU cannot reconnect")
		}
	}
	return be, nil
}

func (b *builder) dgram() (backend, error) {
	be := backend{"type": "dgram"}
	for _, side := range []string{"local", "remote"} {
		if !b.net.Has(side) {
			continue
		}
		addr, err := address(b.net.Get(side))
		if err != nil {
			return nil, badf("for example local=unix:/run/vm.sock,remote=unix:/run/switch.sock", "--net dgram: %s: %v", side, err)
		}
		be[side] = addr
	}
	if len(be) == 1 {
		return nil, badf("give local= and remote=; for a group remote=GROUP:PORT alone", "--net dgram: no address")
	}
	return be, nil
}
