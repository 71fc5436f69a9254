package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/mgmttest"
)

// Who may look but not change, and who may not even look, is told what to do,
// and the exit code is 3.
func TestNotPermitted(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	asNobody := func(args ...string) (text string, code int) {
		cmd := mgmttest.AsUser(t, mgmttest.Nobody, "vnetctl", "VNETCTL_TEST_ARGS="+strings.Join(append([]string{"-s", s.Dir}, args...), " "))
		out, err := cmd.CombinedOutput()
		if err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}

	if text, code := asNobody("info"); code != 0 || !strings.Contains(text, "may look, not change") {
		t.Errorf("look: exit %d: %s", code, text)
	}
	text, code := asNobody("port", "down", "port1")
	for _, want := range []string{"cannot set port port1 down", "user nobody (uid 65534) may look at this switch but not change it", "sudo -u root", "--mgmtgroup"} {
		if code != 3 || !strings.Contains(text, want) {
			t.Errorf("change: exit %d, want %q in %s", code, want, text)
		}
	}
	socket := filepath.Join(s.Dir, "api")
	if err := os.Chmod(socket, 0o600); err != nil {
		t.Fatal(err)
	}
	text, code = asNobody("ports")
	if code != 3 || !strings.Contains(text, "user nobody may not open "+socket+": "+socket+" belongs to root:root and has mode 0600") || !strings.Contains(text, "sudo") {
		t.Errorf("closed socket: exit %d: %s", code, text)
	}
	if err := errors.Join(os.Chown(s.Dir, 0, 1), os.Chmod(s.Dir, 0o710)); err != nil {
		t.Fatal(err)
	}
	text, code = asNobody("ports")
	if code != 3 || !strings.Contains(text, s.Dir+" belongs to root:daemon and has mode 0710") || !strings.Contains(text, "usermod -aG daemon nobody") {
		t.Errorf("closed directory: exit %d: %s", code, text)
	}
}
