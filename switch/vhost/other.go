//go:build !linux

package vhost

import (
	"context"
	"errors"

	"vnetkit/switch/link"
)

// What follows is not written for this system; the package compiles so that
// tools work anywhere.

func newDialer(spec, link.Options) (link.Source, error) { return nil, errors.ErrUnsupported }

func listen(context.Context, spec) (link.Source, error) { return nil, errors.ErrUnsupported }
