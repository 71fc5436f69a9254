package mgmt_test

import (
	"bufio"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// A thousand requests that somebody begins and never ends keep nobody out, not
// even for a moment, whoever it is and whatever is asked: neither the admin nor
// a guest, neither those of the culprit's own kind nor others.
func TestThousandHalfRequests(t *testing.T) {
	for _, tc := range []struct {
		name string
		cred syscall.Credential
	}{{"of the daemon's user", syscall.Credential{}}, {"of a guest", mgmttest.Nobody}} {
		t.Run(tc.name, func(t *testing.T) {
			s := mgmttest.Start(t, mgmt.Options{})
			s.Plug()
			cmd := clientAs(t, tc.cred, s, "1000")
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
			mgmttest.Until(t, "as many held open as may be", func() bool { return s.Server.Connections() >= 192 })
			for range 50 {
				get[api.Info](t, s, "/v1/info")
				if status, answer := do(t, s, "PATCH", "/v1/ports/1", `{"mtu":1500}`); status != http.StatusOK {
					t.Fatalf("%d %s", status, answer)
				}
			}
			if answer := asUser(t, mgmttest.Nobody, s, "GET /v1/info "); !strings.HasPrefix(answer, "200 ") {
				t.Errorf("another guest: %s", answer)
			}
		})
	}
}
