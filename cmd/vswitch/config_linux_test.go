package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt/client"
	"vnetkit/mgmt/config"
)

// A file can say what the flags can say.
func TestEveryFlagIsInTheFile(t *testing.T) {
	help, _, _ := fail(t, "--help")
	onlyFlags := map[string]bool{"sock": true, "name": true, "port": true, "tap": true, "port-default": true, "config": true, "check": true, "version": true, "help": true}
	for _, name := range append(vdeNames, "mgmt") { // what vde_switch's command line says is said there
		onlyFlags[name] = onlyFlags[name] || !slices.Contains(config.Keys(), name)
	}
	inFile := map[string]bool{}
	for _, key := range config.Keys() {
		inFile[key] = true
		if !strings.Contains(help, "--"+flagOf(key)+" ") {
			t.Errorf("key %q has no flag --%s", key, flagOf(key))
		}
	}
	for line := range strings.Lines(help) {
		_, rest, ok := strings.Cut(line, "--")
		if !ok || !strings.HasPrefix(line, "  ") || strings.TrimLeft(line, " ")[0] != '-' {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if !onlyFlags[name] && !inFile[name] {
			t.Errorf("flag --%s has no key in the config file (add it to rootKeys in mgmt/config/keys.go)", name)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFileAndFlags(t *testing.T) {
	top := tempDir(t)
	path := filepath.Join(top, "a.toml")
	writeFile(t, path, fmt.Sprintf("dir = %q\nageing = \"10s\"\nmode = \"0660\"\nhub = true\n[port-default]\nvlan = 7\n[[port]]\nspec = \"stream:unix:%s/a,name=a\"\n[[port]]\nspec = \"stream:unix:%s/b,name=b,id=1\"\n",
		filepath.Join(top, "lab"), top, top))
	o, err := parseFlags([]string{"--config", path})
	if err != nil {
		t.Fatal(err)
	}
	if o.dir != filepath.Join(top, "lab") || o.ageing != 10*time.Second || o.mode != 0o660 || !o.hub || o.defaults != "vlan=7" || len(o.config.wanted.Overrides) > 0 {
		t.Errorf("options %+v", o)
	}
	// Who has a number gets it.
	if want := fmt.Sprintf("stream:unix:%s/b,id=1,name=b stream:unix:%s/a,name=a", top, top); strings.Join(o.ports, " ") != want {
		t.Errorf("ports %q", o.ports)
	}
	o, err = parseFlags([]string{"--config", path, "-s", top + "/other", "--ageing", "20s", "--hub=false", "--port-default", "mtu=100", "--port", "stream:unix:" + top + "/c,name=a"})
	if err != nil {
		t.Fatal(err)
	}
	if o.dir != top+"/other" || o.ageing != 20*time.Second || o.hub || o.mode != 0o660 || o.defaults != "mtu=100" {
		t.Errorf("options %+v", o)
	}
	if want := fmt.Sprintf("stream:unix:%s/b,id=1,name=b stream:unix:%s/c,name=a", top, top); strings.Join(o.ports, " ") != want {
		t.Errorf("ports %q", o.ports)
	}
	said := strings.Join(o.config.wanted.Overrides, "\n")
	for _, word := range []string{"--sock ", "--ageing 20s wins over ageing = 10s in line 2", "--hub false", "--port-default mtu=100", "wins over the [[port]] in line 7"} {
		if !strings.Contains(said, word) {
			t.Errorf("it does not say %q:\n%s", word, said)
		}
	}
	if _, err = parseFlags([]string{"--config", path, "--port", "stream:unix:/x,id=1", "--port", "stream:unix:/y,id=1"}); err == nil {
		t.Error("a number given twice on the command line")
	}
}

func TestCheck(t *testing.T) {
	top := tempDir(t)
	path := filepath.Join(top, "a.toml")
	dir := filepath.Join(top, "lab")
	writeFile(t, path, "[[port]]\nspec = \"stream:unix:"+top+"/a\"\n")
	stdout, stderr, code := fail(t, "-s", dir, "--config", path, "--check")
	if code != 0 || stderr != "" || !strings.Contains(stdout, "no mistakes; ports and doors: 1,") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	cable := "[[port]]\nspec = \"vde:/x\"\n"
	writeFile(t, path, cable+cable)
	_, stderr, code = fail(t, "-s", dir, "--config", path, "--check")
	wantFailure(t, stderr, code, 2, "a.toml:3:", "vde:/x is given twice, first in line 1", "stp")
	if _, stderr, code = fail(t, "-s", dir, "--config", path, "--check", "--stp", "rstp"); code != 0 {
		t.Errorf("two cables with a spanning tree: exit code %d: %s", code, stderr)
	}
	writeFile(t, path, "agein = \"3s\"\nhub = 3\n[[port]]\nspec = \"steam:unix:/a\"\n")
	for _, args := range [][]string{{"--check"}, nil} {
		stdout, stderr, code = fail(t, append([]string{"-s", dir, "--config", path}, args...)...)
		wantFailure(t, stderr, code, 2, path+`:1:1: unknown key "agein"; did you mean "ageing"?`, path+":2:7: hub: want true or false", path+":4:8: unknown kind \"steam\"", "3 mistakes")
		if stdout != "" || listing(t, dir) != "gone" {
			t.Errorf("it did something: %s, %s", stdout, listing(t, dir))
		}
	}
	_, stderr, code = fail(t, "--check")
	wantFailure(t, stderr, code, 2, "--config FILE")
	_, stderr, code = fail(t, "--config", top+"/nosuch", "--check")
	wantFailure(t, stderr, code, 2, "no such file")
}

// station is a connection to a port of the daemon.
type station struct {
	net.Conn
	t *testing.T
}

func (d *daemon) station(name string) *station {
	d.t.Helper()
	nc, err := net.Dial("unix", filepath.Join(filepath.Dir(d.dir), name))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { nc.Close() })
	return &station{nc, d.t}
}

// send sends frame number n to everybody.
func (s *station) send(n uint32) error {
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b, 60)
	copy(b[4:], []byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x88, 0xb5})
	binary.BigEndian.PutUint32(b[18:], n)
	_, err := s.Write(b)
	return err
}

// receive reads one frame's number.
func (s *station) receive() (uint32, error) {
	b := make([]byte, 64)
	_ = s.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(s, b); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b[18:]), nil
}

func (d *daemon) client() *client.Client {
	d.t.Helper()
	c, err := client.Dial(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

// await waits for an event of a type about a port, after number since.
func (d *daemon) await(since uint64, typ, name string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	for e, err := range d.client().Events(ctx, client.EventsFrom{Since: since, Follow: true}) {
		if err != nil {
			d.t.Fatal(err)
		}
		if e.Type == typ && e.Name == name {
			return
		}
	}
	d.t.Fatalf("waited in vain for %s of %s", typ, name)
}
