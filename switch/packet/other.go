//go:build !linux

package packet

import (
	"errors"

	"vnetkit/switch/link"
)

// Packet sockets are Linux's; the package compiles so that tools work anywhere.
func open(wanted, link.Options) (link.Source, error) { return nil, errors.ErrUnsupported }
