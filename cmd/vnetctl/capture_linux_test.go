package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/mgmt"
	"vnetkit/mgmt/mgmttest"
)

// On a full disk it ends, says so, and what is there is a whole capture.
func TestCaptureDiskFull(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a := s.Plug()
	disk := filepath.Join(s.Dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs the right to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	file := filepath.Join(disk, "cap.pcapng")
	c := startCapture(t, s, "all", "-w", file)
	for range 200 {
		a.Send(1, 0xff, 1000)
	}
	c.end(1, "the disk is full; what was written before is valid")
	b := readFile(t, file)
	if n := frames(t, b); n < 50 || len(b) > 64<<10 || !strings.HasPrefix(c.err.String(), fmt.Sprintf("vnetctl: %d frames captured, ", n)) {
		t.Errorf("%d bytes, %d frames; %s", len(b), n, &c.err)
	}
}

// openTerminal is both ends of a pseudo terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a pseudo terminal: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs a pseudo terminal: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// A capture whose reader was killed is gone, also while it has nothing to say.
func TestCaptureKilled(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "VNETCTL_TEST_ARGS=-s "+s.Dir+" capture all")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if text, _, _ := vnetctl(t, s, "info"); !regexp.MustCompile(`(?m)^captures +1$`).MatchString(text) {
		t.Errorf("while it runs: %s", text)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	mgmttest.Until(t, "the capture has ended", func() bool { return s.Info().Captures == 0 })
}

// Nothing binary goes to a terminal.
func TestCaptureToTerminal(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	_, terminal := openTerminal(t)
	for _, args := range [][]string{{"all"}, {"all", "-w", "-"}} {
		var errs bytes.Buffer
		code := runContext(t.Context(), append([]string{"-s", s.Dir, "capture"}, args...), terminal, &errs)
		want := "vnetctl: capture: frames are not for a terminal\n  cause: standard output is a terminal, and a capture is binary\n  cure:  vnetctl capture ... | wireshark -k -i -"
		if code != 2 || !strings.HasPrefix(errs.String(), want) {
			t.Errorf("exit %d: %s", code, &errs)
		}
	}
}

// Who may only look is told why that is not enough.
func TestCaptureForbidden(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	cmd := mgmttest.AsUser(t, mgmttest.Nobody, "vnetctl", "VNETCTL_TEST_ARGS=-s "+s.Dir+" capture all")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(string(out), "frames are private, so capturing takes the right to change") {
		t.Errorf("exit %d: %s", code, out)
	}
}
