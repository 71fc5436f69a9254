package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetkit/remote/sshtest"
)

// Whatever is wrong with a host, it is said of that host alone, in time, and the
// others do what they should.
func TestRemoteFaults(t *testing.T) {
	t.Parallel() // it waits much
	s := newSite(t)
	s.host("good", sshtest.Options{})
	s.host("noisy", sshtest.Options{Bin: s.script("noisy", "echo Welcome to noisy; echo mind the gap >&2; exec "+s.bin+`/vnetctl "$@"`)})
	deaf, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	_, port, _ := net.SplitHostPort(deaf.Addr().String())
	s.Alias("127.0.0.1", port, "hangs")
	s.Alias("127.0.0.1", "1", "refuses")
	greet := "echo vnetctl-far 1 v9 linux/amd64; echo vnetctl-far >&2\n"
	for name, text := range map[string]string{
		"drops":    greet + "echo half an answer; kill -9 $PPID; sleep 100",
		"stalls":   greet + "exec sleep 100",
		"mute":     "exec sleep 100",
		"garbage":  "exec cat /dev/urandom",
		"hello":    "echo Hello; exit 3",
		"old":      "echo 'vnetctl: unknown flag: --far' >&2; exit 2",
		"new":      "echo vnetctl-far 9 v77 linux/amd64; echo vnetctl-far >&2; echo 'vnetctl: speaks version 9' >&2; exit 2",
		"floods":   greet + "exec yes",
		"zeros":    greet + "exec cat /dev/zero",
		"badjson":  greet + "echo '{'",
		"terminal": greet + `printf '\033]0;evil\007\033[2Jtext\n'`,
	} {
		s.Start(name, sshtest.Options{Bin: s.script(name, text)})
	}
	s.Start("missing", sshtest.Options{})
	arm := s.script("arm", "")
	// The head of a program for arm64, as this machine's loader refuses it.
	head := append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00\x01\x00\x00\x00"), make([]byte, 200)...)
	if err := os.WriteFile(filepath.Join(arm, "vnetctl"), head, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Start("arm", sshtest.Options{Bin: arm})

	said := map[string]string{
		"hangs": "no answer within 10s", "refuses": "Connection refused", "drops": "cut", "stalls": "did not come to an end within 10s", "mute": "no answer within 10s",
		"garbage": "something else", "hello": `"Hello"`, "old": "older than this one", "new": "is newer", "floods": "", "missing": "not installed there", "arm": "Exec format error", "nosuch.invalid": "",
	}
	hosts := "hangs,good,refuses,drops,stalls,mute,garbage,hello,old,new,missing,arm,terminal,nosuch.invalid,noisy"
	begin := time.Now()
	out, stderr := s.does(4, []string{"-r", hosts, "-s", "lab", "--timeout", "10s", "ports", "-o", "name"}, "=== good\ngood\n", "=== noisy\nnoisy\n", "!Welcome", "!\x1b", "15 hosts: 3 done")
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
	for host, want := range said {
		found := false
		for line := range strings.Lines(stderr) {
			found = found || strings.HasPrefix(line, host+": ") && strings.Contains(line, want)
		}
		if !found && strings.Contains(hosts, host) {
			t.Errorf("%q is not said of %s:\n%s", want, host, stderr)
		}
	}
	if order := strings.Index(out, "=== hangs"); order != 0 {
		t.Errorf("the first host stands at %d", order)
	}
	t.Run("JSON", func(t *testing.T) {
		out, _ := s.does(4, []string{"-r", "badjson,drops,good", "-s", "lab", "--timeout", "20s", "ports", "--json"}, `"host":"badjson","exit":1`, "no JSON", `"host":"drops","exit":4`, `"host":"good","exit":0`)
		if n := strings.Count(out, "\n"); n != 3 {
			t.Errorf("%d lines", n)
		}
	})
	t.Run("a flood is stopped", func(t *testing.T) {
		// Nothing of it is printed before it has ended.
		s.does(1, []string{"-r", "floods", "--timeout", "60s", "list", "--json"}, "it prints too much")
		s.does(1, []string{"-r", "zeros", "--timeout", "60s", "create", "--json"}, "it prints too much")
	})
}
