package vhost

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// How long a dialer waits between attempts: doubling, with up to a quarter of
// chance in it.
const (
	retryMin = 100 * time.Millisecond
	retryMax = 5 * time.Second
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
		// Out of descriptors or memory: others may give some back.
		if err := pause(ctx, retryMin); err != nil {
			return nil, err
		}
	}
}

// Listening implements link.Source.
func (l *listener) Listening() bool { return true }

// String implements link.Source.
func (l *listener) String() string { return l.spec.String() }

// Close implements link.Source.
func (l *listener) Close() error { return l.ln.Close() }

// dialer yields a Link to one front end that listens, and another when that has
// died.
type dialer struct {
	spec spec
	opt  link.Options
	last time.Time // when it yielded the latest Link
	wait time.Duration
}

func newDialer(s spec, opt link.Options) (link.Source, error) { return &dialer{spec: s, opt: opt}, nil }

// Accept implements link.Source. It tries for ever. A Link that lived for less
// than the longest wait does not count as success.
func (d *dialer) Accept(ctx context.Context) (link.Link, error) {
	if time.Since(d.last) > retryMax {
		d.wait = 0
	}
	for {
		if d.wait > 0 {
			if err := pause(ctx, d.wait+rand.N(d.wait/4)); err != nil {
				return nil, err
			}
		}
		d.wait = min(max(2*d.wait, retryMin), retryMax)
		l, err := d.dial(ctx)
		if ctx.Err() != nil {
			if err == nil {
				_ = l.Close()
			}
			return nil, ctx.Err()
		}
		if d.opt.Retrying != nil {
			d.opt.Retrying(err)
		}
		if err == nil {
			d.last = time.Now()
			return l, nil
		}
	}
}

func (d *dialer) dial(ctx context.Context) (*Link, error) {
	var nd net.Dialer
	conn, err := nd.DialContext(ctx, "unix", d.spec.path)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", d.spec.path, err)
	}
	return newLink(conn.(*net.UnixConn), d.spec.opt)
}

// Listening implements link.Source.
func (d *dialer) Listening() bool { return false }

// String implements link.Source.
func (d *dialer) String() string { return d.spec.String() }

// Close implements link.Source.
func (d *dialer) Close() error { return nil }

// pause waits for d, or fails when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
