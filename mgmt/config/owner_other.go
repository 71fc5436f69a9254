//go:build !unix

package config

import (
	"io/fs"
	"os"
)

func keepOwner(f *os.File, old fs.FileInfo) error { return f.Chmod(old.Mode().Perm()) }
