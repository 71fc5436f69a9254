//go:build !linux

package detach

import (
	"errors"
	"os"
)

func dup(*os.File, int) error { return errors.ErrUnsupported }
