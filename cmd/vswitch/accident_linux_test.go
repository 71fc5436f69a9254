package main

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/client"
)

// A switch whose log nobody reads any more goes on.
func TestReaderOfTheLogIsGone(t *testing.T) {
	dir := filepath.Join(tempDir(t), "lab")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := command("-s", dir)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	d := &daemon{t: t, cmd: cmd, dir: dir, ended: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(d.ended) }()
	t.Cleanup(func() { d.signal(syscall.SIGKILL); <-d.ended })
	for lines := bufio.NewScanner(r); lines.Scan() && !strings.Contains(lines.Text(), "switch is up"); {
		continue
	}
	r.Close()
	d.check() // each link is logged
	c, err := client.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.AddPort(t.Context(), "vde:,name=a"); err != nil {
		t.Error(err)
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := listing(t, dir); got != "gone" {
		t.Errorf("left behind: %s", got)
	}
}

// A switch whose directory was moved away takes nothing from the one that has its
// place.
func TestDirectoryOfAnother(t *testing.T) {
	top := tempDir(t)
	dir := filepath.Join(top, "lab")
	first := start(t, dir)
	if err := os.Rename(dir, dir+"2"); err != nil {
		t.Fatal(err)
	}
	second := start(t, dir)
	before := listing(t, dir)
	if code := first.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &first.stderr)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("the other switch's directory has %s, had %s", after, before)
	}
	_, stderr, code := fail(t, "-s", dir)
	wantFailure(t, stderr, code, 1, "in use by process")
	second.check()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if code := second.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code of one whose directory was removed: %d:\n%s", code, &second.stderr)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
