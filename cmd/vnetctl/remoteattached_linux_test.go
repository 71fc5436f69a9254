package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/mgmttest"
	"vnetkit/remote/sshtest"
)

// deaf is an address that takes connections and says nothing.
func deaf(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// The verbs that have this terminal, on another host: console and top over ssh -t.
func TestRemoteOnTerminal(t *testing.T) {
	t.Parallel() // it waits much
	s := newSite(t)
	a := s.host("a", sshtest.Options{})
	if err := os.WriteFile(a.Home+"/.bashrc", []byte("printf 'Welcome, '; echo mind the gap >&2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	deaf := deaf(t)

	t.Run("console", func(t *testing.T) {
		p := openPTY(t, 80, 24)
		before := p.modes()
		cmd := p.start(s.command("console", "a:lab"))
		p.shows("VDE switch V.2.3.2", "vde$")
		p.press("ds\t\r")
		p.shows("vde$ ds/showinfo", "ctl dir /run/vswitch/lab")
		p.press("nosuch\r")
		p.shows("1038 Function not implemented")
		p.press("\x1b[A\x1b[A\r") // the line before the last
		p.until("it has answered", func(e *emulator) bool { return strings.Count(e.text(), "ctl dir ") == 2 })
		p.press("logout\r")
		p.ended(cmd, 0, before)
	})
	t.Run("console into a pipe", func(t *testing.T) {
		p := openPTY(t, 80, 24)
		cmd := s.command("console", "a:lab")
		var out sshtest.Output
		p.start(cmd, func() { cmd.Stdout = &out })
		p.press("showinfo\r")
		mgmttest.Until(t, "it has answered", func() bool { return strings.Contains(out.String(), "VDE switch") })
		p.press("\x04")
		if err := cmd.Wait(); err != nil || !strings.HasPrefix(out.String(), "VDE switch") {
			t.Errorf("%v: %s", err, &out)
		}
	})
	t.Run("top", func(t *testing.T) {
		p := openPTY(t, 80, 24)
		before := p.modes()
		cmd := p.start(s.command("-s", "a:lab", "top", "--interval", "100ms"))
		p.shows("by rate", "NAME", "DROP/s", "waiting", "q quit")
		p.press("n")
		p.shows("by name")
		p.resize(132, 40)
		p.shows("j k scroll", "DROPS  WHY")
		p.forgive() // what was drawn before top knew of the other window
		p.press("q")
		p.ended(cmd, 0, before)
	})
	for _, tc := range []struct {
		name string
		code int
		end  func(cmd *exec.Cmd)
	}{
		{"SIGTERM", 1, func(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }},
		{"the connection is cut", 4, func(*exec.Cmd) { s.cut("a") }},
	} {
		t.Run("top ends: "+tc.name, func(t *testing.T) {
			p := openPTY(t, 100, 24)
			before := p.modes()
			cmd := p.start(s.command("-s", "a:lab", "top", "--interval", "100ms"))
			p.shows("by rate", "waiting", "q quit")
			tc.end(cmd)
			p.ended(cmd, tc.code, before)
			p.shows("vnetctl: cannot go on at a")
			mgmttest.Until(t, "nothing is left there", func() bool { return running("vnetctl", "top", "--switch=lab", "--interval=100ms") == 0 })
		})
	}
	t.Run("a host that says nothing", func(t *testing.T) {
		for _, words := range []string{"top -s", "console"} {
			p := openPTY(t, 100, 24)
			before := p.modes()
			begin := time.Now()
			cmd := p.start(s.command(append(strings.Fields("--timeout 2s "+words), deaf+":lab")...))
			p.ended(cmd, 4, before)
			if took := time.Since(begin); took > 40*time.Second {
				t.Errorf("%s: it took %v", words, took)
			}
		}
		s.does(4, []string{"console", deaf + ":lab", "--timeout", "2s"}, "no answer within 2s")
	})
	t.Run("Ctrl-C while it connects", func(t *testing.T) {
		p := openPTY(t, 100, 24)
		before := p.modes()
		cmd := p.start(s.command("console", deaf+":lab"))
		mgmttest.Until(t, "ssh runs", func() bool { return running("ssh", "-t", strings.Split(deaf, ":")[1], "console") > 0 })
		p.press("\x03")
		p.ended(cmd, 1, before)
		p.shows("interrupted")
	})
}

// cut ends the connections of a host, but not its sshd.
func (s *site) cut(name string) {
	s.t.Helper()
	server := s.servers[name].PID
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", server, server))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(children)) {
		if b, _ := os.ReadFile("/proc/" + pid + "/cmdline"); strings.HasPrefix(string(b), "sshd: ") {
			hostSh(s.t, "kill -9 "+pid)
		}
	}
}
