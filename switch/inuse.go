package vswitch

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// inUse explains an error that there is because another port or door of this
// switch has what d wants, by naming that.
func (d *door) inUse(err error) error {
	var cause syscall.Errno
	if !errors.As(err, &cause) || !slices.Contains([]syscall.Errno{syscall.EADDRINUSE, syscall.EBUSY, syscall.ENOTDIR, syscall.EPROTOTYPE}, cause) {
		return err
	}
	d.sw.mu.Lock()
	defer d.sw.mu.Unlock()
	want := place(d.spec.Kind + ":" + d.spec.Addr)
	for _, o := range d.sw.doors {
		opened, _, _ := strings.Cut(o.src.String(), ",")
		same := place(opened) == want || place(o.spec.Kind+":"+o.spec.Addr) == want
		if o == d || !same || o.netns() != d.netns() || o.shut.Load() {
			continue
		}
		return fmt.Errorf("%w: %s of this switch has %s: %w", ErrPortExists, o.called(), want, cause)
	}
	return err
}

// netns is the network namespace that d's Spec names.
func (d *door) netns() string {
	spec := d.spec
	name, _ := spec.Take("netns")
	return name
}

// place is what kind:address is about: a path, whatever the kind, or else the
// whole of it.
func place(text string) string {
	_, addr, _ := strings.Cut(text, ":")
	if path := strings.TrimPrefix(addr, "unix:"); path != addr || strings.HasPrefix(path, "/") {
		return filepath.Clean(path)
	}
	return text
}
