//go:build linux

package main

import (
	"fmt"
	"path/filepath"
)

// startDirect is no switch at all: the receiver listens and the sender plugs into it. It shows what the generator can do.
func startDirect(b *bed, _ *plan) (*running, error) {
	return &running{stop: func() { b.sweep() }, link: func(port int) linkSpec {
		l := linkSpec{Kind: "unix", Addr: filepath.Join(b.dir, fmt.Sprintf("direct%d", (port+1)/2))}
		if port%2 == 0 {
			l.Kind = "listen"
		}
		return l
	}}, nil
}

// directLink is the listening end. It has no switch to tell its address to.
type directLink struct {
	streamLink
	door int
}

func listenDirect(path string, rxBuf int) (link, error) {
	door, err := listenStream(linkSpec{Kind: "unix", Addr: path})
	if err != nil {
		return nil, err
	}
	return &directLink{streamLink: streamLink{fd: -1, buf: make([]byte, rxBuf)}, door: door}, nil
}

func (l *directLink) send(t *train) error {
	if l.fd < 0 {
		return nil
	}
	return l.streamLink.send(t)
}

func (l *directLink) recv(s sink) error {
	if l.fd < 0 {
		fd, err := accept(l.door)
		if err != nil {
			return err
		}
		l.fd = fd
	}
	return l.streamLink.recv(s)
}
