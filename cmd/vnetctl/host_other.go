//go:build !linux

package main

import (
	"github.com/spf13/cobra"

	"vnetkit/mgmt/client"
)

// The host's own network is changed on Linux only.
func (a *app) hostCommands() []*cobra.Command { return nil }

func hostParts(error) (hint string, code int, ok bool) { return "", 0, false }

func (a *app) ctysTable([]client.Found, bool) {}

// ctysLetters is for hosts that ctys-vnetctl works on.
func (a *app) ctysLetters(*cobra.Command) {}
