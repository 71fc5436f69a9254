package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/remote/sshtest"
)

// Hosts without vnetctl get it, once, whole, and where nobody else can put another.
func TestRemotePush(t *testing.T) {
	t.Parallel() // it waits much
	s := newSite(t)
	bare := s.Start("bare", sshtest.Options{})
	s.host("good", sshtest.Options{})
	s.Start("old", sshtest.Options{Bin: s.script("old", "echo 'vnetctl: unknown flag: --far' >&2; exit 2")})
	odd := filepath.Join(s.Dir, "bin-odd")
	if err := os.MkdirAll(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(odd+"/uname", []byte("#!/bin/sh\necho riscv64\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Start("odd", sshtest.Options{Bin: odd})
	full := filepath.Join(s.Dir, "home-full")
	s.Start("full", sshtest.Options{Setup: "mount -t tmpfs -o size=1m tmpfs " + full})
	_, stderr := s.does(1, strings.Fields("-r bare,good,old,odd,full --push list --interval 0"), "5 hosts: 3 done, 2 failed (odd, full)")
	for _, want := range []string{`odd:   cause: there is no vnetctl here for its architecture "riscv64"`, "full:   cause: copy vswitch: ", "No space left"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not said:\n%s", want, stderr)
		}
	}
	programs, _ := filepath.Glob(bare.Home + "/.cache/vnetkit/*/*")
	if len(programs) != 2 {
		t.Fatalf("%q", programs)
	}
	for _, path := range programs {
		mine, err1 := os.ReadFile(filepath.Join(s.bin, filepath.Base(path)))
		theirs, err2 := os.ReadFile(path)
		if err1 != nil || err2 != nil || !bytes.Equal(mine, theirs) {
			t.Errorf("%s differs: %v, %v", path, err1, err2)
		}
		if fi, err := os.Stat(filepath.Dir(path)); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", fi, err)
		}
	}
	if left, _ := filepath.Glob(bare.Home + "/.cache/vnetkit/*/.*"); len(left) != 0 {
		t.Errorf("%q is left", left)
	}
	before, err := os.Stat(programs[0])
	if err != nil {
		t.Fatal(err)
	}
	s.does(0, strings.Fields("-r bare --push list --interval 0"))
	if after, err := os.Stat(programs[0]); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("it was copied again: %v", err)
	}
	// What is cut off, or is not what it should be, is never there to be run.
	home := t.TempDir()
	cmd := exec.Command("sh", "-c", pushScript, "sh", "set", "vnetctl", strings.Repeat("0", 64))
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME=")
	cmd.Stdin = strings.NewReader("half a program")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "what arrived has SHA-256") {
		t.Errorf("%v: %s", err, out)
	}
	if left, _ := os.ReadDir(home + "/.cache/vnetkit/set"); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	t.Run("for a verb that reads", func(t *testing.T) {
		fresh := s.host("fresh", sshtest.Options{Bin: filepath.Join(s.Dir, "bin-none")})
		console := func(code int, args ...string) {
			t.Helper()
			cmd := s.command(args...)
			cmd.Stdin = strings.NewReader("showinfo\n")
			out, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != code || strings.Contains(string(out), "VDE switch") != (code == 0) {
				t.Errorf("%q: exit %d, %v: %s", args, got, err, out)
			}
		}
		console(1, "console", "fresh:lab")
		console(0, "--push", "console", "fresh:lab")
		console(0, "--push", "console", "fresh:lab")
		if programs, _ := filepath.Glob(fresh.Home + "/.cache/vnetkit/*/*"); len(programs) != 2 {
			t.Errorf("%q", programs)
		}
	})
}
