package mgmt_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// A thousand requests that somebody begins and never ends do not keep an admin
// out, not even for a moment, whatever he asks for.
func TestThousandHalfRequests(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make requests as other users")
	}
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	program := filepath.Join(s.Dir, "client")
	copyProgram(t, program)
	cmd := exec.Command(program)
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0", "MGMT_TEST_SOCKET=" + filepath.Join(s.Dir, api.SocketName), "MGMT_TEST_REQUEST=1000"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("%q %v", line, err)
	}
	for i := range 50 {
		if n := s.Server.Connections(); i == 0 && n < 192 {
			t.Fatalf("only %d are held open", n)
		}
		get[api.Info](t, s, "/v1/info")
		if status, answer := do(t, s, "PATCH", "/v1/ports/1", `{"mtu":1500}`); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	// Another guest is told, or cut off, and does not wait in vain.
	if _, _, err := exchangeAs(t, s, "GET /v1/info "); err == nil {
		t.Error("there was room for another guest")
	}
}

// exchangeAs makes a request as nobody; it fails when the switch has no room.
func exchangeAs(t *testing.T, s *mgmttest.Switch, request string) (status, answer string, err error) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.Dir, "client"))
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0", "MGMT_TEST_SOCKET=" + filepath.Join(s.Dir, api.SocketName), "MGMT_TEST_REQUEST=" + request}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	status, answer, _ = strings.Cut(string(out), " ")
	return status, answer, err
}
