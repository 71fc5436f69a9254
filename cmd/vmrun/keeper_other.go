//go:build !linux

package main

import (
	"context"
	"errors"
	"os"

	"vnetkit/cmd/vmrun/netdev"
)

const keeperVerb = "keep-vm"

func (o *order) keep(context.Context, string, []string, string, env) error {
	return errors.ErrUnsupported
}

func (o *order) haveDialled(netdev.Caps) error           { return nil }
func canBeDialled(string) bool                           { return false }
func (o *order) dialled(netdev.Net, int) (p dialledPort) { return p }
func (v *vm) removePorts()                               {}
func (v *vm) tend()                                      { v.sweep() }
func (v *vm) lockIdle() (*os.File, error)                { return nil, errors.ErrUnsupported }
func keeper(string) error                                { return errors.ErrUnsupported }
func (v *vm) runLogged([]string)                         {}
func (v *vm) kill() error                                { return errors.ErrUnsupported }
func end(*process)                                       {}
