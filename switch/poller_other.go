//go:build !linux

package vswitch

import (
	"errors"
	"time"

	"vnetkit/switch/link"
)

// poller is not written for this system; the packages compile so that tools
// work anywhere.
type poller struct {
	spin     time.Duration
	spinning bool
}

type ready struct {
	token                             uint64
	readable, ended, urgent, writable bool
}

type writeWatch struct{}

func newPoller(time.Duration) (*poller, error) { return nil, errors.ErrUnsupported }
func (p *poller) add(int, uint64) error        { return errors.ErrUnsupported }
func (p *poller) addControl(int, uint64) error { return errors.ErrUnsupported }
func (p *poller) remove(int) error             { return errors.ErrUnsupported }
func (p *poller) wake()                        {}
func (p *poller) yield()                       {}
func (p *poller) wait([]ready, time.Duration) ([]ready, bool, error) {
	return nil, false, errors.ErrUnsupported
}
func (p *poller) close()                                   {}
func (w *writeWatch) arm(*poller, link.Link, uint64) error { return errors.ErrUnsupported }
func (w *writeWatch) close(*poller)                        {}
