package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// reservePort keeps other vmruns from a port until it is closed, or until we have
// ended. Whoever has the abstract socket of that number has it: like the ports
// themselves these names belong to the network namespace and to all users, and
// leave no file behind. Nobody ever connects.
func reservePort(port int) (io.Closer, error) {
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket", Name: fmt.Sprintf("@vnetkit-ssh-port-%d", port)})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, err
	case err != nil:
		return notKept{}, nil // we do without
	}
	return ln, nil
}
