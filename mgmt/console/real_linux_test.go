package console

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	vswitch "vnetkit/switch"
)

// startReal runs Debian's vde_switch and returns its console's path.
func startReal(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("vde_switch"); err != nil {
		t.Skip("needs the real vde_switch to compare with: scripts/deps test installs it (package vde2)")
	}
	dir, err := os.MkdirTemp("", "real")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "mgmt")
	cmd := exec.Command("vde_switch", append([]string{"-s", filepath.Join(dir, "sw"), "-M", socket, "--macaddr", testMAC.String()}, args...)...)
	in, err := cmd.StdinPipe() // it ends with its standard input
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	until(t, "the real console", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return socket
}

// same makes what differs from run to run, and names of places, the same.
func same(text, socket string) string {
	text = strings.ReplaceAll(text, socket, "MGMT")
	for _, r := range []struct{ pattern, with string }{
		{`(?m)^\(C\) Virtual Square.*$`, "WHO"},
		{`(?m)^vswitch .*$`, "WHO"},
		{`pid \d+ `, "pid N "},
		{`uptime \d+`, "uptime N"},
		{`(?m)^ctl dir .*$`, "ctl dir DIR"},
		{` age \d+ bonus`, " age N bonus"},
		{`Hash size \d+`, "Hash size N"},
		{`Min persistence \d+`, "Min persistence N"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

// Line for line of a long list, our answers are those of the real switch.
func TestAnswersAsTheRealSwitch(t *testing.T) {
	real := startReal(t)
	l := newLab(t, vswitch.Options{MaxPort: 32, Ageing: 100e9})
	list, err := os.ReadFile("testdata/same.txt")
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("ds/showinfo\n# c\nnosuch\nvlan/create 55\nvlan/create 55\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, ours := dialConsole(t, real), l.dial()
	count := 0
	for command := range bytes.Lines(list) {
		text := strings.TrimSuffix(strings.ReplaceAll(string(command), "SCRIPT", script), "\n")
		want := same(theirs.do(text), real)
		got := same(ours.do(text), filepath.Join(l.dir, "mgmt"))
		if got != want {
			t.Errorf("%s\nanswered:\n%s\nthe real one:\n%s", text, got, want)
		}
		count++
	}
	if count < 150 {
		t.Errorf("only %d commands were compared", count)
	}
	t.Log(fmt.Sprint(count, " commands compared"))
}

// A client of VDE's looks the same on both consoles, and so do its comings and
// goings.
func TestClientsAsAtTheRealSwitch(t *testing.T) {
	if _, err := exec.LookPath("vde_plug"); err != nil {
		t.Skip("needs vde_plug: scripts/deps test installs it (package vde2)")
	}
	real := startReal(t)
	l := newLab(t, vswitch.Options{MaxPort: 32})
	dir := filepath.Join(l.dir, "sw")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := l.sw.Add(t.Context(), "vde:"+dir+",listen=on"); err != nil {
		t.Fatal(err)
	}
	theirs, ours := dialConsole(t, real), l.dial()
	plugIn := func(dir string) (*exec.Cmd, io.Writer) {
		cmd := exec.Command("vde_plug", "--descr", "hello", "--port", "5", dir)
		in, err := cmd.StdinPipe() // open for as long as it runs
		if err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd, in
	}
	told := func(c *client, lines int) string {
		var text []byte
		for buf := make([]byte, 4096); bytes.Count(text, []byte("\n")) < lines; {
			n, err := c.Read(buf)
			if text = append(text, buf[:n]...); err != nil {
				t.Fatalf("%v after %q", err, text)
			}
		}
		return string(text)
	}
	plain := func(text string) string {
		for _, r := range []struct{ pattern, with string }{{`pid=\d+`, "pid=N"}, {`(?m)^ DROP: .*\n`, ""}, {`FD +\d+`, "FD N"}, {`endpoint ID \d+`, "endpoint ID N"}} {
			text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
		}
		return text
	}
	pair := []struct {
		c   *client
		dir string
	}{{theirs, filepath.Join(filepath.Dir(real), "sw")}, {ours, dir}}
	var texts [2]string
	// A client that has sent a frame has read the switch's answer. The real
	// switch keeps the ghost of one killed before: its connection then ends with
	// ECONNRESET, not with 0 bytes.
	sends := func(c *client, in io.Writer, counted string) {
		frame := append([]byte{0, 60, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5}, make([]byte, 46)...) // vde_plug's stream: length, frame
		if _, err := in.Write(frame); err != nil {
			t.Fatal(err)
		}
		until(t, "its frame is counted", func() bool { return strings.Contains(c.do("port/print 5"), counted) })
	}
	for i, s := range pair {
		s.c.want("debug/add port", success)
		a, toA := plugIn(s.dir)
		texts[i] += told(s.c, 3)
		sends(s.c, toA, "IN:  pkts          1  ")
		b, toB := plugIn(s.dir)
		texts[i] += told(s.c, 2)
		sends(s.c, toB, "IN:  pkts          2  ")
		for _, command := range []string{"port/print", "port/print 5", "port/print 4", "vlan/print", "port/remove 5", "port/epclose 5 9999", "port/setuser 5 root", "port/print 5", "port/setuser 5 NONE", "vlan/create 9", "port/setvlan 5 9"} {
			texts[i] += "> " + command + "\n" + s.c.do(command)
		}
		_ = a.Process.Kill()
		texts[i] += told(s.c, 1)
		_ = b.Process.Kill()
		texts[i] += told(s.c, 2)
		until(t, "it is inactive", func() bool { return strings.Contains(s.c.do("port/allprint 5"), " INACTIVE - ") })
		texts[i] += "> port/allprint 5\n" + s.c.do("port/allprint 5")
	}
	if ours, theirs := plain(texts[1]), plain(texts[0]); ours != theirs {
		t.Errorf("here:\n%s\nat the real one:\n%s", ours, theirs)
	}
}
