package vhost

import (
	"context"
	"errors"
	"fmt"
	"net"

	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// listener yields a Link for each front end that connects.
type listener struct {
	spec spec
	ln   net.Listener
}

func listen(ctx context.Context, s spec) (link.Source, error) {
	ln, err := plug.ListenUnix(ctx, s.path, s.mode)
	if err != nil {
		return nil, err
	}
	return &listener{s, ln}, nil
}

// Accept implements link.Source.
func (l *listener) Accept(ctx context.Context) (link.Link, error) {
	for {
		conn, err := l.ln.Accept()
		switch {
		case err == nil:
			lk, err := newLink(conn.(*net.UnixConn), l.spec.opt)
			if err == nil {
				return lk, nil
			}
		case errors.Is(err, net.ErrClosed):
			return nil, fmt.Errorf("accept on %v: %w", l.spec, err)
		}
		if !link.Recover(ctx.Done()) {
			return nil, ctx.Err()
		}
	}
}

// Listening implements link.Source.
func (l *listener) Listening() bool { return true }

// String implements link.Source.
func (l *listener) String() string { return l.spec.String() }

// Close implements link.Source.
func (l *listener) Close() error { return l.ln.Close() }

// newDialer yields a Link to one front end that listens, and another when that has
// died.
func newDialer(s spec, opt link.Options) (link.Source, error) {
	return plug.Dialer(s.String(), opt, s.connect), nil
}

func (s spec) connect(ctx context.Context) (link.Link, error) {
	var nd net.Dialer
	conn, err := nd.DialContext(ctx, "unix", s.path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.path, err)
	}
	l, err := newLink(conn.(*net.UnixConn), s.opt)
	if err != nil {
		return nil, err // not a nil *Link
	}
	return l, nil
}
