package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseFlags(t *testing.T) {
	dir := tempDir(t)
	o, err := parseFlags([]string{
		"-s", dir, "-p", "stream:tcp:[::1]:5,id=3", "--port", "stream:unix:/a,,b", "--port-default", "vlan=10", "-m", "0660", "-g", "12",
		"--mgmtgroup", "13", "--hub", "--ageing", "10s", "--fdb-size", "5", "--workers", "3", "-q",
	})
	if err != nil {
		t.Fatal(err)
	}
	if o.dir != dir || o.mode != 0o660 || o.group != 12 || o.mgmtGroup != 13 || !o.hub || o.ageing != 10*time.Second || o.fdbSize != 5 || o.workers != 3 || !o.quiet {
		t.Errorf("options %+v", o)
	}
	if strings.Join(o.ports, " ") != "stream:tcp:[::1]:5,id=3 stream:unix:/a,,b" || o.defaults != "vlan=10" {
		t.Errorf("ports %q, defaults %q", o.ports, o.defaults)
	}
	o, err = parseFlags(nil)
	if err != nil || o.mode != 0o600 || o.group != -1 || o.mgmtGroup != -1 || o.ageing != 300*time.Second || o.fdbSize != 65536 || filepath.Base(o.dir) != "default" {
		t.Errorf("without any: %+v, %v", o, err)
	}
	if o, err = parseFlags([]string{"--name", "lab.1"}); err != nil || filepath.Base(o.dir) != "lab.1" {
		t.Errorf("by name: %+v, %v", o, err)
	}
}

// A name is a name, whatever lies in the working directory.
func TestNameIsNoPath(t *testing.T) {
	t.Chdir(tempDir(t))
	if err := os.Mkdir("lab", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/b", "/tmp/x", "..", ".", "a b"} {
		if o, err := parseFlags([]string{"--name", name}); err == nil {
			t.Errorf("--name %q is directory %s", name, o.dir)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if o, err := parseFlags([]string{"--name", "lab"}); err != nil || strings.HasPrefix(o.dir, here) {
		t.Errorf("--name lab is directory %s, %v", o.dir, err)
	}
	if o, err := parseFlags([]string{"-s", "lab"}); err != nil || o.dir != filepath.Join(here, "lab") {
		t.Errorf("-s lab is directory %s, %v", o.dir, err)
	}
}

func TestWrongUsage(t *testing.T) {
	top := tempDir(t)
	dir := filepath.Join(top, "lab")
	for _, c := range []struct {
		args string
		says string
	}{
		{"--nonsense", "nonsense"},
		{"stray", `unexpected argument "stray"`},
		{"--name lab", "give one"},
		{"--mode 0888", "octal"},
		{"--mode 01777", "octal"},
		{"--group no-such-group-here", "groupadd"},
		{"--ageing 1500ms", "ageing"},
		{"--ageing 0.5s", "ageing"},
		{"--ageing 0", "from 1s"},
		{"--ageing -5s", "from 1s"},
		{"--fdb-size -1", "--fdb-size -1: want 1 to"},
		{"--fdb-size 0", "want 1 to"},
		{"--numports 0", "want 1 to"},
		{"-n -1", "want 1 to"},
		{"--hashsize 0", "want 1 to"},
		{"--hashsize -1", "want 1 to"},
		{"--stp-priority -1", "want 0 to"},
		{"--stp-hello 0s", "whole seconds"},
		{"--spin -1us", "want 0 to"},
		{"--workers -1", "want 0"},
		{"--workers 100000", "to 1024"},
		{"--fdb-size 99999999", "want 1 to"},
		{"--port-default colour=red", "colour"},
		{"--port-default mtu=9", "68 to 65535"},
		{"--port tap", "kind:address"},
		{"--port carrier-pigeon:x", "known kinds: stream"},
		{"--port tap:a/b", "no slash"},
		{"--port tap:a,queues=257", "1 to 256"},
		{"--port tap:a,owner=no-such-user-here", "getent"},
		{"-t a-name-that-is-too-long", "1 to 15"},
		{"--port stream:unix:x,id=0", "1 to 32767"},
		{"--port stream:unix:x,colour=red", "colour"},
		{"--port stream:tcp:127.0.0.1:99999", "1 to 65535"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := append([]string{"-s", dir}, strings.Fields(c.args)...)
			_, stderr, code := fail(t, args...)
			wantFailure(t, stderr, code, 2, c.says)
			if got := listing(t, dir); got != "gone" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	stdout, stderr, code := fail(t, "--help")
	if code != 0 || stderr != "" {
		t.Errorf("--help: exit code %d, %s", code, stderr)
	}
	words := []string{"--sock", "--port", "--mode", "stream:unix:PATH", "stream:tcp:", "connect=on", "id=N", "name=S", "vlan=V", "tagged=", "transparent=on",
		"isolated=on", "mtu=N", "maclimit=N", "mirror=", "down=on", "save=off"}
	for _, k := range kinds {
		words = append(words, k.Name+":")
	}
	for _, w := range words {
		if !strings.Contains(stdout, w) {
			t.Errorf("--help does not say %q", w)
		}
	}
	stdout, _, code = fail(t, "--version")
	if code != 0 || !strings.HasPrefix(stdout, "vswitch "+version) || !strings.Contains(stdout, commit) {
		t.Errorf("--version: exit code %d, %q", code, stdout)
	}
}

// Further ports come with the switch and go with it.
func TestPortsFromTheCommandLine(t *testing.T) {
	top := tempDir(t)
	door := filepath.Join(top, "door")
	d := start(t, filepath.Join(top, "lab"), "--port", "stream:unix:"+door+",vlan=10,mode=0666", "--port", "stream:unix:"+filepath.Join(top, "absent")+",connect=on,name=up")
	if got := listing(t, top); !strings.Contains(got, "door Srw-rw-rw-") {
		t.Errorf("made: %s", got)
	}
	d.check()
	if code := d.stop(15); code != 0 {
		t.Errorf("exit code %d:\n%s", code, &d.stderr)
	}
	if got := listing(t, top); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

func TestQuiet(t *testing.T) {
	dir := filepath.Join(tempDir(t), "lab")
	cmd := command("-s", dir, "-q", "--port", "stream:tap")
	stdout, stderr, code := runCmd(t, cmd)
	if stdout != "" || code != 1 && code != 2 {
		t.Errorf("exit code %d, printed %q and\n%s", code, stdout, stderr)
	}
}
