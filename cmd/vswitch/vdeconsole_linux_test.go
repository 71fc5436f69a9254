package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A program that started it types commands, as NixOS's tests do, and ends it by
// closing standard input.
func TestCommandsOnStandardInput(t *testing.T) {
	dir := filepath.Join(tempDir(t), "sw")
	s := startStdio(t, "--sock", dir, "--dirmode", "0700", "--hub", "--macaddr", "00:ff:01:02:03:04")
	got := s.do("showinfo")
	for _, want := range []string{"0000 DATA END WITH '.'\nVDE switch V.2.3.2\n", fmt.Sprintf("pid %d MAC 00:ff:01:02:03:04 uptime ", s.cmd.Process.Pid), "\n.\n1000 Success\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("showinfo without %q:\n%s", want, got)
		}
	}
	if got := s.do("port/showinfo"); got != "0000 DATA END WITH '.'\nNumports=32\nHUB=true\ncounters=true\n.\n1000 Success\n" {
		t.Errorf("port/showinfo:\n%s", got)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode() != os.ModeDir|0o700 {
		t.Errorf("the directory: %v, %v", fi.Mode(), err)
	}
	if _, err := io.WriteString(s.in, "logout\n\n# nothing\n"); err != nil {
		t.Fatal(err)
	}
	if got := s.do("nosuch"); got != "1038 Function not implemented\n" {
		t.Errorf("nosuch: %q", got)
	}
	s.in.Close()
	rest, _ := io.ReadAll(s.out)
	if st := s.wait(); !st.Success() || !strings.Contains(s.stderr.String(), "vde_switch: EOF on stdin, cleaning up and exiting\n") || len(rest) > 0 {
		t.Errorf("it ended with %v, %q:\n%s", st, rest, &s.stderr)
	}
	if got := listing(t, dir); got != "gone" {
		t.Errorf("left behind: %s", got)
	}
}

func TestShutdownOnStandardInput(t *testing.T) {
	dir := filepath.Join(tempDir(t), "sw")
	s := startStdio(t, "-sock", dir)
	s.do("showinfo")
	if _, err := io.WriteString(s.in, "shutdown\n"); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(s.out)
	if st := s.wait(); !st.Success() || string(rest) != "9999 END OF SESSION" || s.stderr.String() != "" {
		t.Errorf("it ended with %v, %q:\n%s", st, rest, &s.stderr)
	}
	if got := listing(t, dir); got != "gone" {
		t.Errorf("left behind: %s", got)
	}
}

// Without anybody to type it stays: a service has no standard input.
func TestNobodyTypes(t *testing.T) {
	for _, args := range [][]string{nil, {"--nostdin"}} {
		dir := filepath.Join(tempDir(t), "sw")
		cmd := asVDE(append([]string{"-s", dir}, args...)...) // /dev/null
		if args != nil {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			w.Close()
			defer r.Close()
			cmd.Stdin = r
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		socket := filepath.Join(dir, "mgmt")
		eventually(t, "the console answers", func() bool {
			conn, err := net.Dial("unix", socket)
			if err == nil {
				conn.Close()
			}
			return err == nil
		})
		if got := ask(t, socket, "ds/showinfo"); !strings.Contains(got, "ctl dir "+dir) {
			t.Errorf("ds/showinfo: %s", got)
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// The start-up script is carried out before anybody can plug in.
func TestRcfile(t *testing.T) {
	top := tempDir(t)
	rc := filepath.Join(top, "rc")
	writeFile(t, rc, "# ours\nvlan/create 7\nnosuch\n\nport/setnumports 9\n")
	s := startStdio(t, "-s", filepath.Join(top, "a"), "-f", rc)
	if got := s.do("vlan/print"); !strings.Contains(got, "VLAN 0007\n") {
		t.Errorf("vlan/print: %s", got)
	}
	if got := s.do("port/showinfo"); !strings.Contains(got, "Numports=9\n") {
		t.Errorf("port/showinfo: %s", got)
	}
	s.says("line=3")
	// One in the home directory, if none is named; a missing one is told of.
	home := filepath.Join(top, "home")
	if err := os.MkdirAll(filepath.Join(home, ".vde2"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(home, ".vde2", "vde_switch.rc"), "vlan/create 8\n")
	t.Setenv("HOME", home)
	s = startStdio(t, "-s", filepath.Join(top, "b"))
	if got := s.do("vlan/print"); !strings.Contains(got, "VLAN 0008\n") {
		t.Errorf("vlan/print: %s", got)
	}
	s = startStdio(t, "-s", filepath.Join(top, "c"), "-f", filepath.Join(top, "absent"))
	if got := s.do("vlan/print"); strings.Contains(got, "VLAN 0008\n") {
		t.Errorf("vlan/print: %s", got)
	}
	s.says("absent")
}

// How vde_switch takes signals: it survives most, and dies of SIGINT.
func TestSignalsOfVDE(t *testing.T) {
	dir := filepath.Join(tempDir(t), "sw")
	s := startStdio(t, "-s", dir)
	s.do("showinfo")
	for _, sig := range harmless {
		_ = s.cmd.Process.Signal(sig)
	}
	s.do("showinfo")
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	if st := s.wait().Sys().(syscall.WaitStatus); !st.Signaled() || st.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v:\n%s", st, &s.stderr)
	}
	if got := listing(t, dir); got != "gone" {
		t.Errorf("left behind: %s", got)
	}
}

// The programs of VDE talk to our console: unixterm copies lines, vdeterm sends
// them without their ends and reads help first, unixcmd waits a second for each
// byte and no longer.
func TestRealConsolePrograms(t *testing.T) {
	need(t, "unixterm", "unixcmd", "vdeterm")
	d := start(t, filepath.Join(tempDir(t), "lab"))
	socket := d.path("mgmt")

	term := startTerminal(t, exec.Command("unixterm", socket))
	term.await("VDE switch V.2.3.2\n")
	term.await("\nvde$ ")
	term.do("ds/showinfo", "0000 DATA END WITH '.'\nctl dir "+d.dir+"\nstd mode 0600\n.\n1000 Success\n\nvde$ ")
	term.do("nosuch", "1038 Function not implemented\n\nvde$ ")
	term.do("logout", "")
	term.ends()

	term = startTerminal(t, exec.Command("vdeterm", socket))
	term.await("vde[" + socket + "]: ")
	term.do("vlan/create 78", "Success\n")
	term.do("vlan/create 78", "File exists\n")
	term.do("nosuch", "Function not implemented\n")
	term.do("vlan/print", "VLAN 0000\nVLAN 0078\nSuccess\n")
	term.do("debug/add port/+", "Success\n")
	if got := ask(t, socket, "vlan/remove 78"); got != "1000 Success\n" {
		t.Errorf("vlan/remove: %s", got)
	}
	d.plug().Close()
	term.await("port/+ 01\n")
	term.do("logout", "")
	term.ends()

	// unixcmd ends with 255 whatever happens, and prints a NUL behind each line.
	out, _ := exec.Command("unixcmd", "-s", socket, "-f", "/etc/vde2/vdecmd", "port/showinfo").CombinedOutput()
	if text := strings.ReplaceAll(string(out), "\x00", ""); text != "Numports=32767\nHUB=false\ncounters=true\n" {
		t.Errorf("unixcmd: %q", out)
	}
	out, _ = exec.Command("unixcmd", "-s", socket, "-f", "/etc/vde2/vdecmd", "vlan/create", "77").CombinedOutput()
	if got := ask(t, socket, "vlan/print 77"); !strings.Contains(got, "VLAN 0077\n") {
		t.Errorf("unixcmd said %q and did nothing: %s", out, got)
	}
}
