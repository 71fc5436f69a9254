package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// ended checks that a program has left the terminal as it was.
func (p *pty) ended(cmd *exec.Cmd, code int, before any) {
	p.t.Helper()
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != code {
		p.t.Errorf("exit %d, want %d: %v", got, code, cmd.ProcessState)
	}
	p.until("the terminal is given back", func(e *emulator) bool { return !e.alternate && !e.hidden })
	if any(p.modes()) != before {
		p.t.Errorf("modes are %+v, were %+v", p.modes(), before)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.emu.faults) > 0 {
		p.t.Errorf("garbage: %q", p.emu.faults)
	}
}

// A session in an ordinary terminal: keys, a window that changes its size, and
// the end.
func TestTopOnTerminal(t *testing.T) {
	s := busySwitch(t)
	p := openPTY(t, 80, 24)
	before := p.modes()
	cmd := p.vnetctl(s, "top --interval 100ms")
	p.shows("by rate", "NAME", "DROP/s", "port1", "port2", "q quit")
	if p.modes() == before {
		t.Error("keys would wait for the return key")
	}
	p.press("n")
	p.shows("by name")
	p.press("i")
	p.shows("by name, reversed")
	p.until("the other order", func(e *emulator) bool {
		text := e.text()
		return strings.Index(text, "port2") < strings.Index(text, "port1")
	})
	p.press("di")
	p.shows("by drops  ")
	p.press("\x1b[B")
	p.press("u ")
	p.shows("by queue", "2 of 2 ports up")
	p.resize(20, 6)
	p.until("it fits", func(e *emulator) bool {
		return strings.Contains(e.text(), "by queue") && strings.Contains(e.text(), "NAME   RX/s  TX/s\n") && strings.Contains(e.text(), "q quit  sort: r rate"[:20])
	})
	p.forgive() // what was drawn before top knew of the narrow window
	p.resize(132, 40)
	p.shows("j k scroll", "DROPS  WHY")
	p.press("q")
	p.ended(cmd, 0, before)
}

// However top ends, the terminal is as it was.
func TestTopGivesTerminalBack(t *testing.T) {
	s := busySwitch(t)
	for _, tc := range []struct {
		name string
		end  func(p *pty, cmd *exec.Cmd)
	}{
		{"SIGTERM", func(_ *pty, cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }},
		{"SIGINT", func(_ *pty, cmd *exec.Cmd) { _ = cmd.Process.Signal(os.Interrupt) }},
		{"SIGHUP", func(_ *pty, cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGHUP) }},
		{"SIGQUIT", func(_ *pty, cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGQUIT) }},
		{"Ctrl-C", func(p *pty, _ *exec.Cmd) { p.press("\x03") }},
		{"enough readings", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := openPTY(t, 80, 24)
			before := p.modes()
			if tc.end == nil {
				p.ended(p.vnetctl(s, "top --interval 100ms -n 2"), 0, before)
				return
			}
			cmd := p.vnetctl(s, "top")
			p.shows("port1")
			tc.end(p, cmd)
			p.ended(cmd, 0, before)
		})
	}
}

// A bug in top must not cost the user his terminal either.
func TestTopPanic(t *testing.T) {
	t.Setenv("TERM", "xterm")
	p := openPTY(t, 80, 24)
	before := p.modes()
	sc, err := newScreen(p.tty, p.tty)
	if err != nil {
		t.Fatal(err)
	}
	tp := &top{view: topView{sort: "rate"}, screen: sc, interval: time.Second, read: func(context.Context) (api.Stats, error) {
		p.shows("q quit")
		panic("oh")
	}}
	func() {
		defer func() {
			if r := recover(); r != "oh" {
				t.Errorf("recovered %v", r)
			}
		}()
		_ = tp.run(t.Context())
	}()
	p.until("the terminal is given back", func(e *emulator) bool { return !e.alternate && !e.hidden })
	if p.modes() != before {
		t.Error("the modes are not")
	}
}

// A switch that goes away is waited for; one that hangs does not keep q from
// working.
func TestTopSwitchGoes(t *testing.T) {
	s := busySwitch(t)
	p := openPTY(t, 80, 24)
	before := p.modes()
	cmd := p.vnetctl(s, "top --interval 100ms")
	p.shows("port1")
	s.Stop()
	p.shows("! ")
	p.press("q")
	p.ended(cmd, 0, before)

	t.Setenv("TERM", "xterm")
	p = openPTY(t, 80, 24)
	sc, err := newScreen(p.tty, p.tty)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	tp := &top{view: topView{sort: "rate"}, screen: sc, interval: time.Second, read: func(ctx context.Context) (api.Stats, error) {
		close(asked)
		<-ctx.Done()
		return api.Stats{}, ctx.Err()
	}}
	go func() {
		<-asked
		_, _ = p.master.WriteString("q")
	}()
	if err := tp.run(t.Context()); err != nil {
		t.Error(err)
	}
}

// Without a terminal there is the batch mode, and it is named.
func TestTopWithoutTerminal(t *testing.T) {
	s := busySwitch(t)
	if _, stderr, code := vnetctl(t, s, "top"); code != 2 || !strings.Contains(stderr, "vnetctl top --batch") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	out, stderr, code := vnetctl(t, s, "top", "-b", "-n", "2", "--interval", "100ms", "--sort", "name")
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	blocks := strings.Split(strings.TrimSuffix(out, "\n\n"), "\n\n")
	if len(blocks) != 2 || strings.Contains(out, "\x1b") {
		t.Fatalf("%d blocks: %q", len(blocks), out)
	}
	for _, b := range blocks {
		b = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`).ReplaceAllString(b, "TIME")
		want := "TIME  2 of 2 ports up  in 0/s 0bit/s  drops 0/s  queue 0  macs 2\n" +
			"ID  NAME  STATE  RX/s  RX-bit/s  TX/s  TX-bit/s  DROP/s  QUEUE  DROPS  WHY\n 1  port1  up  0  0  0  0  0  0  0  -\n 2  port2  up  0  0  0  0  0  0  1  -"
		if got := regexp.MustCompile(`(\S) {2,}`).ReplaceAllString(b, "$1  "); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	out, _, code = vnetctl(t, s, "top", "--json", "-n", "1", "--interval", "100ms")
	if code != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"rates":{`) {
		t.Errorf("exit %d: %s", code, out)
	}
	s.Stop()
	if _, stderr, code := vnetctl(t, s, "top", "-b"); code != 4 || !strings.Contains(stderr, "cannot watch ports") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	_ = mgmttest.Patience
}
