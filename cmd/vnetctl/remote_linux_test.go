package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/remote/sshtest"
)

// The same words as on one host, on three.
func TestRemote(t *testing.T) {
	t.Parallel() // it waits much
	s := newSite(t)
	for _, name := range []string{"a", "b", "c"} {
		s.host(name, sshtest.Options{})
	}
	groups := filepath.Join(s.Dir, "config/vnetkit/groups")
	if err := os.MkdirAll(groups, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(groups+"/all", []byte("c\n#include two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(groups+"/two", []byte("a, b"), 0o644); err != nil {
		t.Fatal(err)
	}
	list := func(words string, more ...string) []string { return append(strings.Fields(words), more...) }

	t.Run("in the order given", func(t *testing.T) {
		out, stderr := s.does(0, list("-r b,a,c -s lab ports -o name"))
		if out != "=== b\nb\n=== a\na\n=== c\nc\n" || stderr != "vnetctl: 3 hosts: 3 done\n" {
			t.Errorf("%q, %q", out, stderr)
		}
		if out, _ := s.does(0, list("ports -o name -r @all -s lab --parallel 1")); out != "=== c\nc\n=== a\na\n=== b\nb\n" {
			t.Errorf("%q", out)
		}
		if out, _ := s.does(0, list("-r all -s lab ports -o name")); !strings.HasPrefix(out, "=== c\n") {
			t.Errorf("%q", out)
		}
	})
	t.Run("one host looks like this one", func(t *testing.T) {
		for _, words := range []string{"-r a -s lab ports -o name", "-s a:lab ports -o name", "ports -o name -l root --switch a:/run/vswitch/lab"} {
			if out, stderr := s.does(0, list(words)); out != "a\n" || stderr != "" {
				t.Errorf("%s: %q, %q", words, out, stderr)
			}
		}
		s.does(0, list("-r a"), "pid", "0 of 1 ports up", "/run/vswitch/lab")
		s.does(4, list("-s a:nosuch ports"), "no switch", "!===", "!hosts:")
		s.does(1, list("-s a:lab port set a vlan=9999"), "VLAN 9999")
	})
	t.Run("arguments arrive as they are", func(t *testing.T) {
		for _, evil := range []string{"two words", "it's", `"x"`, "new\nline", "$(touch " + s.Dir + "/never)", "*", "`id`", "a;b", "-x"} {
			_, stderr := s.does(1, []string{"-s", "a:lab", "ports", "--", evil})
			if !strings.Contains(stderr, fmt.Sprintf("%q", evil)) && !strings.Contains(stderr, printable(evil)) {
				t.Errorf("%q became %s", evil, stderr)
			}
		}
		if _, err := os.Stat(s.Dir + "/never"); err == nil {
			t.Error("a shell ran what was an argument")
		}
	})
	t.Run("JSON", func(t *testing.T) {
		out, _ := s.does(4, list("-r a,b,nosuch.invalid -s lab ports --json"), "!=== ")
		schemas, schema := schemaOf(t, hostAnswer{})
		var hosts []string
		for line := range strings.Lines(out) {
			for _, f := range schemas.Check(schema, []byte(line)) {
				t.Errorf("%s in %s", f, line)
			}
			var h hostAnswer
			if err := json.Unmarshal([]byte(line), &h); err != nil {
				t.Fatal(err)
			}
			hosts = append(hosts, h.Host)
			var ports api.Ports
			switch err := json.Unmarshal(h.Answer, &ports); {
			case h.Host == "nosuch.invalid":
				if h.Exit != 4 || h.Error == nil || h.Error.Code != api.ErrUnreachable || h.Answer != nil {
					t.Errorf("%s", line)
				}
			case err != nil || len(ports.Ports) != 1 || ports.Ports[0].Name != h.Host || h.Exit != 0:
				t.Errorf("%s: %v", line, err)
			}
		}
		if strings.Join(hosts, " ") != "a b nosuch.invalid" {
			t.Errorf("%v", hosts)
		}
		out, _ = s.does(4, list("-r a -s nosuch ports --json"))
		var h hostAnswer
		if err := json.Unmarshal([]byte(out), &h); err != nil || h.Exit != 4 || h.Error == nil || h.Error.Code != api.ErrUnreachable {
			t.Errorf("%s: %v", out, err)
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		for words, want := range map[string]string{
			"-r @nosuch ports": "no such group", "-r a;b ports": "not allowed", "-r a -s b:lab ports": "both name a host", "-l root ports": "there is no -r",
			"--push ports": "there is no -r", "-r a,b console": "name one host", "-r a,b capture all": "name one host", "-r a,b top": "name one host",
			"-r a --parallel 0 ports": "1 to 1000", "-r a --ssh \" ports": "no command", "capture a:lab": "no port is given", "console -s lab a:lab": "both name a switch",
			"-r -oProxyCommand=x ports": "dash",
		} {
			s.does(2, list(words), want)
		}
	})
	t.Run("streams", func(t *testing.T) { testStreams(t, s) })
	sw := filepath.Join(s.Dir, "sw") // in the command lines of this test's processes, and of no others
	if err := os.Symlink("/run/vswitch/lab", sw); err != nil {
		t.Fatal(err)
	}
	t.Run("interrupt", func(t *testing.T) {
		p := s.start("-r", "a,b,c", "-s", sw, "monitor", "--since=0")
		mgmttest.Until(t, "all three run", func() bool {
			return running("vnetctl --far=", sw, "--since=0") >= 3 && strings.Count(p.out.String(), ": ") > 3
		})
		if code := p.interrupt(t); code != 0 {
			t.Errorf("exit %d: %s", code, &p.err)
		}
		mgmttest.Until(t, "none is left on the other side", func() bool { return running("vnetctl --far=", sw, "--since=0") == 0 })
	})
	t.Run("killed", func(t *testing.T) {
		p := s.start("-r", "b", "-s", sw, "monitor", "--since=1")
		mgmttest.Until(t, "it runs", func() bool { return running("vnetctl --far=", sw, "--since=1") >= 1 })
		_ = p.Process.Kill()
		mgmttest.Until(t, "nothing is left on the other side", func() bool { return running("vnetctl --far=", sw, "--since=1") == 0 })
	})
}

// testStreams is about verbs that go on.
func testStreams(t *testing.T, s *site) {
	p := s.start("-r", "a,b", "-s", "lab", "monitor")
	plug := func(name string) {
		c, err := net.Dial("unix", s.door(name))
		if errors.Is(err, syscall.EAGAIN) { // the door takes one after the other
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	seen := func(name string) bool {
		for line := range strings.Lines(p.out.String()) {
			if strings.HasPrefix(line, name+": ") && strings.Contains(line, "link-up") {
				return true
			}
		}
		return false
	}
	// Nothing says when monitor listens; so something happens until it shows it.
	mgmttest.Until(t, "both report", func() bool {
		plug("a")
		plug("b")
		return seen("a") && seen("b")
	})
	if code := p.interrupt(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	out, _ := s.does(0, strings.Fields("-r a,b -s lab monitor --since 0 --follow=false --json"))
	hosts := map[string]int{}
	for line := range strings.Lines(out) {
		var h hostAnswer
		var e api.Event
		if err := json.Unmarshal([]byte(line), &h); err != nil || json.Unmarshal(h.Answer, &e) != nil || e.Seq == 0 {
			t.Fatalf("%v: %s", err, line)
		}
		hosts[h.Host]++
	}
	if hosts["a"] == 0 || hosts["b"] == 0 {
		t.Errorf("events of %v", hosts)
	}
	out, _ = s.does(0, strings.Fields("-r a,b -s lab top -b -n 1 --interval 100ms"))
	if strings.Count(out, "\na: ") == 0 || strings.Count(out, "b: ") == 0 {
		t.Errorf("%q", out)
	}

	file := filepath.Join(s.Dir, "cap.pcapng")
	c := s.start("capture", "b:lab", "all", "-w", file)
	mgmttest.Until(t, "the capture begins", func() bool { fi, err := os.Stat(file); return err == nil && fi.Size() > 0 })
	if code := c.interrupt(t); code != 0 || !strings.Contains(c.err.String(), "0 frames captured") {
		t.Errorf("exit %d: %s", code, &c.err)
	}
	if b, err := os.ReadFile(file); err != nil || !slices.Equal(b[:4], []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		t.Errorf("%v: % x", err, b[:min(len(b), 4)])
	}
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("there is a second file")
	}
	s.does(1, []string{"capture", "b:lab", "nosuch", "-w", file + "2"}, "nosuch")
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("a capture that did not begin made a file")
	}

	batch := s.command("console", "a:lab")
	batch.Stdin = strings.NewReader("port/showinfo\nport/nosuch\n")
	text, err := batch.CombinedOutput()
	if !strings.Contains(string(text), "Numports=") || err == nil || !strings.Contains(string(text), "port/nosuch") {
		t.Errorf("%v: %s", err, text)
	}
}

// A verb of root's through sudo must not give away what ssh can do.
func TestRemoteNotThroughSudo(t *testing.T) {
	cmd := exec.Command(buildTool(t)+"/vnetctl", "check", "-r", "x", "--ssh", "touch /nonexistent/file")
	cmd.Env = append(os.Environ(), "SUDO_UID=1000")
	out, _ := cmd.CombinedOutput()
	if os.Geteuid() == 0 && !strings.Contains(string(out), "without sudo") {
		t.Errorf("%s", out)
	}
}
