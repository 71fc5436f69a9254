//go:build !linux

package plug

import (
	"context"
	"errors"
	"net"
	"sync"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// What follows is not written for this system; the packages compile so that
// tools work anywhere.

type socket struct{ fd int }

func (s *socket) recv([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (s *socket) send([]byte) (int, error) { return 0, errors.ErrUnsupported }
func (s *socket) close() error             { return errors.ErrUnsupported }

type credit struct{ limited bool }

func (*credit) take(*socket, []frame.Ref) (int, error) { return 0, errors.ErrUnsupported }
func (*credit) exhausted(*socket) error                { return errors.ErrUnsupported }

type gather struct{ size int }

var gathers = sync.Pool{New: func() any { return &gather{} }}

func (g *gather) reset()                               {}
func (g *gather) addAll(*frame.Batch, []frame.Ref) int { return 0 }
func (g *gather) send(*socket) (int, error)            { return 0, errors.ErrUnsupported }
func newDialer(address, link.Options) link.Source      { return nil }
func newVDEDialer(vdeSpec, link.Options) link.Source   { return nil }

// ListenUnix opens a listening Unix socket.
func ListenUnix(context.Context, string, int) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

// Holder finds the process that listens on a Unix socket.
func Holder(string) (pid int, ok bool) { return 0, false }

func listen(context.Context, address, int) (link.Source, error) {
	return nil, errors.ErrUnsupported
}

func listenVDE(context.Context, vdeSpec, link.Options) (link.Source, error) {
	return nil, errors.ErrUnsupported
}

func newNetSource(netSpec, link.Options) (link.Source, error) { return nil, errors.ErrUnsupported }

func openDgram(context.Context, dgramSpec, link.Options) (link.Source, error) {
	return nil, errors.ErrUnsupported
}

func adopt(int) (link.Source, error) { return nil, errors.ErrUnsupported }
