package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetkit/remote/sshtest"
)

// tryOf is the ssh command that the last line of a text asks one to try.
func tryOf(t *testing.T, text string) string {
	t.Helper()
	i := strings.LastIndex(text, "ssh -F ")
	if i < 0 {
		t.Fatalf("there is nothing to try in %q", text)
	}
	return strings.TrimSpace(text[i:])
}

// A log-in that prints, and one that cannot be.
func TestRemoteLogin(t *testing.T) {
	t.Parallel() // it waits much
	s := newSite(t)
	// A window's title, and half a line: neither ends with a newline.
	s.host("title", sshtest.Options{Bin: s.script("title", `printf '\033]0;title\007'; printf 'mind the gap' >&2; exec `+s.bin+`/vnetctl "$@"`)})
	s.does(0, strings.Fields("-r title -s lab ports -o name"), "title\n", "!gap", "!\x1b")

	t.Run("a cure can be run as it stands", func(t *testing.T) {
		h := s.Start("hello", sshtest.Options{Bin: s.script("hello", "echo Hello; exit 3")})
		for _, host := range []string{"hello", "root@hello", "root@127.0.0.1:" + h.Port} {
			_, stderr := s.does(1, []string{"-r", host, "list"}, `"Hello"`)
			cure := tryOf(t, stderr)
			cmd := exec.Command("sh", "-c", cure)
			cmd.Env = append(os.Environ(), "HOME="+s.Dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", cure, err, out)
			}
		}
	})
	t.Run("a jump host that wants a password", func(t *testing.T) {
		gate := s.Start("gate", sshtest.Options{Config: "PasswordAuthentication yes"})
		s.Configure("Host nokey\n  HostName 127.0.0.1\n  Port " + gate.Port + "\n  PubkeyAuthentication no\n" +
			"Host behind\n  HostName 127.0.0.1\n  Port " + gate.Port + "\n  ProxyJump nokey\n")
		p := openPTY(t, 200, 24) // a terminal to ask on
		begin := time.Now()
		cmd := p.start(s.command("-r", "behind", "--timeout", "1m", "list"))
		_ = cmd.Wait()
		if took := time.Since(begin); took > 50*time.Second || cmd.ProcessState.ExitCode() != 4 {
			t.Errorf("exit %d after %v", cmd.ProcessState.ExitCode(), took)
		}
		p.shows("cannot reach behind", " behind true")
	})
	t.Run("keys of hosts", func(t *testing.T) {
		h := s.Start("key", sshtest.Options{})
		other := filepath.Join(s.Dir, "other")
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		key, err := os.ReadFile(other + ".pub")
		if err == nil {
			err = os.WriteFile(other, append([]byte("[127.0.0.1]:"+h.Port+" "), key...), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		at := "\n  HostName 127.0.0.1\n  Port " + h.Port + "\n  StrictHostKeyChecking ask\n"
		s.Configure("Host changed" + at + "  UserKnownHostsFile " + other + "\nHost unknown" + at + "  UserKnownHostsFile /dev/null\n")
		s.does(4, strings.Fields("-r changed list"), "has changed")
		s.does(4, strings.Fields("-r unknown list"), "Host key verification failed")
	})
}
