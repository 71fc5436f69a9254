//go:build !linux

package tap

import (
	"errors"

	"vnetkit/switch/link"
)

// TAP devices as they are here are Linux's; the package compiles so that tools
// work anywhere.
func open(wanted, link.Options) (link.Source, error) { return nil, errors.ErrUnsupported }
