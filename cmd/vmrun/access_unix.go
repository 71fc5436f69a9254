//go:build unix

package main

import "golang.org/x/sys/unix"

// mayConnect tells whether we may connect to a unix socket, without doing so:
// a connection would be a port.
func mayConnect(socket string) error { return unix.Access(socket, unix.W_OK) }

// mayEnter tells whether we may open what is in a directory.
func mayEnter(dir string) error { return unix.Access(dir, unix.X_OK) }
