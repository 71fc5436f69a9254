//go:build !linux

package main

import (
	"errors"
	"os"
)

func dup(*os.File, int) error { return errors.ErrUnsupported }

var harmless []os.Signal
