package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Saved says what Save did.
type Saved struct {
	File    string   // after following symbolic links
	Changed bool     // false: the file said it all already
	New     bool     // there was no such file
	Lost    []string // comments that are gone, with their lines
}

// LossError says that a file cannot be saved without losing comments.
type LossError struct {
	File string
	Lost []string
}

func (e *LossError) Error() string {
	return fmt.Sprintf("%s would lose comments: %s", e.File, strings.Join(e.Lost, "; "))
}

// Save writes want into a file: all of it or nothing, with the mode and the
// owner that the file has. If comments would be lost it fails with a LossError,
// unless force is set. A file that cannot be understood is replaced only by
// force.
func Save(path string, want *Config, force bool) (Saved, error) {
	s := Saved{File: path}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		s.File = target
	}
	old, err := os.Stat(s.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.New, s.Changed = true, true
		return s, writeFile(s.File, []byte(want.TOML()), nil)
	case err != nil:
		return s, fmt.Errorf("save config file: %w", err)
	case !old.Mode().IsRegular():
		return s, fmt.Errorf("save config file: %s is not a regular file (to print it: vnetctl config show)", s.File)
	}
	data, err := os.ReadFile(s.File)
	if err != nil {
		return s, fmt.Errorf("save config file: %w", err)
	}
	out := []byte(want.TOML())
	if len(bytes.TrimSpace(data)) > 0 {
		var edited []byte
		edited, s.Lost, err = Edit(s.File, data, want)
		switch {
		case err == nil:
			out = edited
		case !force:
			return s, err
		default:
			s.Lost = []string{"all of the former content, which was no configuration"}
		}
	}
	if len(s.Lost) > 0 && !force {
		return s, &LossError{s.File, s.Lost}
	}
	if bytes.Equal(out, data) {
		return s, nil
	}
	s.Changed = true
	return s, writeFile(s.File, out, old)
}

// writeFile puts a file in the place of another at one stroke. old is that
// other one, nil if there is none.
func writeFile(path string, data []byte, old fs.FileInfo) (err error) {
	dir := filepath.Dir(path)
	mode := fs.FileMode(0o644) // less the umask
	if old != nil {
		mode = 0o600 // until it has its owner
	}
	temp := filepath.Join(dir, fmt.Sprintf(".%s.%x.tmp", filepath.Base(path), rand.Uint64()))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("save config file %s: %w", path, cause(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save config file %s: %w", path, cause(err)), os.Remove(temp))
		}
	}()
	_, err = f.Write(data)
	if err == nil && old != nil {
		err = keepOwner(f, old)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	if err = os.Rename(temp, path); err != nil {
		return err
	}
	syncDir(dir)
	return nil
}

// cause is an error without the name of a file that nobody knows.
func cause(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// syncDir makes a rename last. The file is whole in any case, the old one or the
// new one, so there is nothing to be done if it fails.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}
