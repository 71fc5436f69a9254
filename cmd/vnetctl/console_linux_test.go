package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/mgmttest"
)

// exec prints a command's data and ends with a code that is true.
func TestExec(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	transcript(t, s, "exec-no-console", "exec showinfo", "console")
	openConsole(t, s)
	transcript(t, s, "exec", "exec port/showinfo", "exec vlan/create 10", "exec vlan/create 10", "exec vlan/create x", "exec nosuch", "exec vlan/print", "exec vlan/print --json",
		"exec vlan/create 10 --json", "exec hash/setgcint -1", "exec -- hash/setgcint -1", "exec", "exec load /nonexistent", "exec -S DIR/mgmt ds/showinfo", "exec logout")
}

// Commands from a pipe.
func TestConsoleFromPipe(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	openConsole(t, s)
	run := func(input string) (stdout, stderr string, code int) {
		var out, errs bytes.Buffer
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "VNETCTL_TEST_ARGS=-s "+s.Dir+" console", "GORACE=atexit_sleep_ms=0")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
		_ = cmd.Run()
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	if out, errs, code := run("vlan/create 10\n\n# nothing\nvlan/print\n"); out != "VLAN 0000\nVLAN 0010\n" || errs != "" || code != 0 {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if out, errs, code := run("nosuch\nvlan/create 10\nds/showinfo\nlogout\nvlan/print\n"); out != "ctl dir "+s.Dir+"\nstd mode 0600\n" || code != 1 ||
		errs != "vnetctl: nosuch: 1038 Function not implemented\nvnetctl: vlan/create 10: 1017 File exists\n" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

// A session on a terminal: completion, history, news between lines, the end.
func TestConsoleOnTerminal(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	openConsole(t, s)
	p := openPTY(t, 80, 24)
	before := p.modes()
	cmd := p.vnetctl(s, "console")
	p.shows("VDE switch V.2.3.2", "vde$")
	p.press("ds\t\r")
	p.shows("vde$ ds/showinfo", "std mode 0600")
	p.press("vlan/cr\t33\r")
	p.shows("vde$ vlan/create 33", "1000 Success")
	p.press("\x1b[A\r") // the line before
	p.shows("1017 File exists")
	p.press("debug/add port/+\r")
	p.until("it has answered", func(e *emulator) bool { return strings.Count(e.text(), "1000 Success") == 2 })
	p.press("vlan/pr") // not finished yet
	s.Plug()
	p.shows("3021 port/+ 01", "vde$ vlan/pr")
	p.press("int\r")
	p.shows("VLAN 0033")
	p.press("logout\r")
	p.ended(cmd, 0, before)
	cmd = p.vnetctl(s, "console")
	p.press("nosuch\r")
	p.shows("1038 Function not implemented")
	p.press("\x04")
	p.ended(cmd, 0, before)
}
