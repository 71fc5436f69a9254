package config

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// inMountNamespace runs this test binary where its mounts are its own.
func inMountNamespace(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asSaver+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		return "SKIP " + err.Error(), err
	}
	return string(out), err
}
