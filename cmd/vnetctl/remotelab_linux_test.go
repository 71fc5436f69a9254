package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vnetkit/remote/sshtest"
)

// builtTool is a directory with vnetctl and vswitch as they are installed.
var builtTool = sync.OnceValues(func() (dir string, err error) {
	dir, err = os.MkdirTemp("", "vnetctl-tool")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { os.RemoveAll(dir) })
	cmd := exec.Command("go", "build", "-o", dir+"/", "vnetkit/cmd/vnetctl", "vnetkit/cmd/vswitch")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, os.Chmod(dir, 0o755)
})

func buildTool(t *testing.T) string {
	t.Helper()
	dir, err := builtTool()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// site is an admin with a vnetctl and hosts.
type site struct {
	*sshtest.Lab
	t       *testing.T
	bin     string
	servers map[string]*sshtest.Host // those that have a switch
}

func newSite(t *testing.T) *site {
	t.Helper()
	lab := sshtest.New(t)
	return &site{lab, t, buildTool(t), map[string]*sshtest.Host{}}
}

// host starts a host on which a switch "lab" runs, whose directory all hosts see.
func (s *site) host(name string, o sshtest.Options) *sshtest.Host {
	s.t.Helper()
	if o.Bin == "" {
		o.Bin = s.bin
	}
	o.Setup += "\nmkdir -p /run/vswitch; " +
		"setpriv --pdeathsig KILL " + s.bin + "/vswitch --quiet --name lab --port stream:unix:" + s.door(name) + ",name=" + name + " >/dev/null 2>" + s.Dir + "/log-" + name + " &\n" +
		"for i in $(seq 600); do [ ! -S /run/vswitch/lab/api ] || break; sleep 0.05; done"
	s.servers[name] = s.Start(name, o)
	return s.servers[name]
}

// door is a door of the switch on a host, outside of what the host has for itself.
func (s *site) door(name string) string { return filepath.Join(s.Dir, "door-"+name) }

// script makes a directory with a program vnetctl that is a shell script.
func (s *site) script(name, text string) (dir string) {
	s.t.Helper()
	dir = filepath.Join(s.Dir, "bin-"+name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vnetctl"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// command is the admin's vnetctl.
func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.bin+"/vnetctl", args...)
	cmd.Env = os.Environ()
	for k, v := range s.Environ() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs it to its end.
func (s *site) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// does fails unless vnetctl ends with a code and says all of want; what begins
// with ! it must not say.
func (s *site) does(code int, args []string, want ...string) (stdout, stderr string) {
	s.t.Helper()
	begin := time.Now()
	stdout, stderr, got := s.run(args...)
	text := stdout + stderr
	ok := got == code
	for _, w := range want {
		no, not := strings.CutPrefix(w, "!")
		if not {
			w = no
		}
		if strings.Contains(text, w) == not {
			s.t.Errorf("%q is there: %v", w, not)
			ok = false
		}
	}
	if !ok {
		s.t.Errorf("vnetctl %q: exit %d, want %d, after %v:\n%s--\n%s", args, got, code, time.Since(begin), stdout, stderr)
	}
	return stdout, stderr
}

// started is a vnetctl that runs.
type started struct {
	*exec.Cmd
	out, err sshtest.Output
	ended    chan struct{}
}

func (s *site) start(args ...string) *started {
	s.t.Helper()
	p := &started{Cmd: s.command(args...), ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.out, &p.err
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	s.t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
		if s.t.Failed() {
			s.t.Logf("vnetctl %q: %s--\n%s", args, &p.out, &p.err)
		}
	})
	return p
}

// interrupt presses Ctrl-C and waits.
func (p *started) interrupt(t *testing.T) int {
	t.Helper()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatal("an interrupt does not end it")
	}
	return p.ProcessState.ExitCode()
}

// running counts processes whose command line has all words.
func running(words ...string) (n int) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
next:
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, w := range words {
			if !strings.Contains(strings.ReplaceAll(string(b), "\x00", " "), w) {
				continue next
			}
		}
		n++
	}
	return n
}
