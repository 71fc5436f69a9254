package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// labFile is a config with two ports that stay, one whose VLAN is changed and
// as many further ones as asked.
func labFile(t *testing.T, path, top string, vlan, more int) {
	t.Helper()
	text := fmt.Sprintf("[[port]]\nspec = \"stream:unix:%s/a,name=a\"\n[[port]]\nspec = \"stream:unix:%s/b,name=b\"\n[[port]]\nspec = \"stream:unix:%s/c,name=c,vlan=%d\"\n", top, top, top, vlan)
	for i := range more {
		text += fmt.Sprintf("[[port]]\nspec = \"stream:unix:%s/more%d,name=more%d\"\n", top, i, i)
	}
	writeFile(t, path, text)
}

// flow sends one frame after the other from a to b, each when the one before
// has arrived, until it is stopped; then it tells how many those were.
func flow(a, b *station) (stop func() (uint32, error)) {
	quit, done := make(chan struct{}), make(chan error, 1)
	var n uint32
	go func() {
		for {
			select {
			case <-quit:
				done <- nil
				return
			default:
			}
			if err := a.send(n); err != nil {
				done <- err
				return
			}
			got, err := b.receive()
			if err == nil && got != n {
				err = fmt.Errorf("frame %d arrived instead of %d", got, n)
			}
			if err != nil {
				done <- fmt.Errorf("frame %d: %w", n, err)
				return
			}
			n++
		}
	}()
	return func() (uint32, error) {
		close(quit)
		return n, <-done
	}
}

// Reloading, by signal and by API, leaves what does not change alone: not one
// frame of a flow between two such ports is lost.
func TestReloadUnderTraffic(t *testing.T) {
	top := tempDir(t)
	path := filepath.Join(top, "lab.toml")
	labFile(t, path, top, 5, 0)
	d := start(t, filepath.Join(top, "lab"), "--config", path)
	c := d.client()
	a, b, other := d.station("a"), d.station("b"), d.station("c")
	for _, name := range []string{"a", "b", "c"} {
		d.await(0, "link-up", name)
	}
	defer other.Close()
	before, err := c.Ports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop := flow(a, b)
	for i := range 20 {
		info, err := c.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		labFile(t, path, top, 6+i, i%4+1)
		if i%2 == 0 {
			d.signal(syscall.SIGHUP)
			d.await(info.EventSeq, "port-changed", "c")
			continue
		}
		r, err := c.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Changed != 1 || r.Unchanged < 2 || !strings.Contains(strings.Join(r.Changes, "\n"), fmt.Sprintf("~ port c: vlan %d -> %d", 5+i, 6+i)) {
			t.Errorf("reload %d: %+v", i, r)
		}
	}
	n, err := stop()
	if err != nil {
		t.Errorf("the flow: %v", err)
	}
	var after []api.Port
	mgmttest.Until(t, "the last frame is counted", func() bool {
		if after, err = c.Ports(t.Context()); err != nil {
			t.Fatal(err)
		}
		return after[1].Tx.Frames >= uint64(n)
	})
	for i, p := range after[:3] {
		if was := before[i]; p.ID != was.ID || p.Name != was.Name || !p.Since.Equal(was.Since) || p.State != api.StateUp || p.Peer == nil {
			t.Errorf("port %s was %+v and is %+v", was.Name, was, p)
		}
	}
	if after[0].Rx.Frames != uint64(n) || after[1].Tx.Frames != uint64(n) || len(after[0].Drops)+len(after[1].Drops) != 0 {
		t.Errorf("%d frames: a %+v, b %+v", n, after[0].Traffic, after[1].Traffic)
	}
	if len(after) != 3+4 {
		t.Errorf("%d ports", len(after))
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &d.stderr)
	}
	if got := listing(t, top); !strings.HasPrefix(got, "lab.toml ") || strings.Contains(got, ",") {
		t.Errorf("left behind: %s", got)
	}
}

// A file that has become bad leaves everything as it is; the log says why.
func TestBadReload(t *testing.T) {
	top := tempDir(t)
	path := filepath.Join(top, "lab.toml")
	labFile(t, path, top, 5, 1)
	d := start(t, filepath.Join(top, "lab"), "--config", path, "--hub")
	before, err := d.client().Config(t.Context())
	if err != nil || before.File != path {
		t.Fatalf("%+v, %v", before, err)
	}
	writeFile(t, path, "hub = false\n[[port]]\nspec = \"stream:unix:"+top+"/a,name=a,valn=3\"\n")
	_, err = d.client().Reload(t.Context())
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.ErrInvalid || !strings.Contains(e.Message, `line 3: unknown key "valn"; did you mean "vlan"?`) || !strings.Contains(e.Hint, "--check") {
		t.Errorf("by api: %v", err)
	}
	d.signal(syscall.SIGHUP)
	// The signal is answered by the log alone, so ask until it has been.
	mgmttest.Until(t, "the log tells of both", func() bool {
		return strings.Count(d.stderr.String(), "reload changed nothing") == 2
	})
	labFile(t, path, top, 5, 1)
	after, err := d.client().Config(t.Context())
	if err != nil || after != before {
		t.Errorf("it was\n%s\nand is\n%s", before.TOML, after.TOML)
	}
	r, err := d.client().Reload(t.Context())
	if err != nil || r.Unchanged != 4 || len(r.Changes) != 0 {
		t.Errorf("with the old file: %+v, %v", r, err)
	}
	writeFile(t, path, "hub = false\nworkers = 7\n")
	r, err = d.client().TryReload(t.Context())
	if err != nil || !r.DryRun || r.Removed != 4 || len(r.Restart) != 1 || len(r.Overridden) != 1 {
		t.Errorf("dry: %+v, %v", r, err)
	}
	if after, err := d.client().Config(t.Context()); err != nil || after != before {
		t.Errorf("the dry one made it\n%s", after.TOML)
	}
	r, err = d.client().Reload(t.Context())
	if err != nil || r.Removed != 4 || len(r.Restart) != 1 || r.Restart[0] != "workers: 0 -> 7" || len(r.Overridden) != 1 || !strings.Contains(r.Overridden[0], "--hub true wins over hub = false") {
		t.Errorf("restart and override: %+v, %v", r, err)
	}
}

// What is saved is what runs: started from it, a switch is the same.
func TestSavedConfigStarts(t *testing.T) {
	top := tempDir(t)
	d := start(t, filepath.Join(top, "lab"), "--ageing", "77s", "--port-default", "mtu=1400", "--port", "stream:unix:"+top+"/a,name=a,tagged=5+7-9", "--port", "stream:unix:"+top+"/b")
	c := d.client()
	for ref, ch := range map[string]api.PortChange{"a": {MACLimit: ptr(3), Isolated: ptr(true)}} {
		if _, err := c.SetPort(t.Context(), ref, ch); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.AddPort(t.Context(), "stream:unix:"+top+"/far,connect=on"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddFDB(t.Context(), api.FDBAdd{MAC: "02:00:00:00:00:01", VLAN: 7, Port: "a"}); err != nil {
		t.Fatal(err)
	}
	first, err := c.Config(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "without a config file") {
		t.Errorf("reload without a file: %v", err)
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, &d.stderr)
	}
	path := filepath.Join(top, "saved.toml")
	writeFile(t, path, first.TOML)
	d = start(t, filepath.Join(top, "lab"), "--config", path)
	second, err := d.client().Config(t.Context())
	if err != nil || second.TOML != first.TOML {
		t.Errorf("%v; it was\n%s\nand is\n%s", err, first.TOML, second.TOML)
	}
	fdb, err := d.client().Stats(t.Context())
	if err != nil || fdb.FDB.Entries != 1 {
		t.Errorf("static addresses: %+v, %v", fdb.FDB, err)
	}
}

func ptr[T any](v T) *T { return &v }
