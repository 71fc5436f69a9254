package mgmttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// AsUser is a command that runs the test's own program as another user, who
// could not start it where go test put it. Its TestMain has to see by env what
// it is to be.
func AsUser(t testing.TB, who syscall.Credential, name string, env ...string) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run a program as another user")
	}
	program := filepath.Join(Dir(t), name)
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, self, 0o755)
	}
	if err == nil {
		err = os.Chmod(program, 0o755) // whatever the umask
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append([]string{"GORACE=atexit_sleep_ms=0"}, env...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &who, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Nobody is a user who may do nothing.
var Nobody = syscall.Credential{Uid: 65534, Gid: 65534}
