//go:build !linux

package main

import (
	"context"
	"errors"
)

const keeperVerb = "keep-vm"

func (o *order) keep(context.Context, string, []string, string, env) error {
	return errors.ErrUnsupported
}

func keeper(string) error        { return errors.ErrUnsupported }
func (v *vm) runLogged([]string) {}
func (v *vm) kill() error        { return errors.ErrUnsupported }
func end(*process)               {}
