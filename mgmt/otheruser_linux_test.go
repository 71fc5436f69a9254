package mgmt_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// clientAs is a process of another user that makes a request.
func clientAs(t *testing.T, cred syscall.Credential, s *mgmttest.Switch, request string) *exec.Cmd {
	t.Helper()
	return mgmttest.AsUser(t, cred, "client", "MGMT_TEST_SOCKET="+filepath.Join(s.Dir, api.SocketName), "MGMT_TEST_REQUEST="+request)
}

// asUser makes a request from a process of another user, and returns the
// answer's status and body as text.
func asUser(t *testing.T, cred syscall.Credential, s *mgmttest.Switch, request string) string {
	t.Helper()
	out, err := clientAs(t, cred, s, request).CombinedOutput()
	if err != nil {
		t.Fatalf("%s as uid %d: %v: %s", request, cred.Uid, err, out)
	}
	return string(out)
}

func TestOtherUsers(t *testing.T) {
	const group = 4242
	plain := mgmttest.Start(t, mgmt.Options{})
	grouped := mgmttest.Start(t, mgmt.Options{Group: group})
	for _, tc := range []struct {
		name  string
		s     *mgmttest.Switch
		cred  syscall.Credential
		admin bool
	}{
		{"root", plain, syscall.Credential{}, true},
		{"stranger", plain, mgmttest.Nobody, false},
		{"member of root's group", plain, syscall.Credential{Uid: 65534, Gid: 0, Groups: []uint32{0}}, false},
		{"stranger where a group may", grouped, syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{1, 2, 3}}, false},
		{"primary group", grouped, syscall.Credential{Uid: 65534, Gid: group}, true},
		{"supplementary group", grouped, syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{1, group, 7}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, answer, _ := strings.Cut(asUser(t, tc.cred, tc.s, "GET /v1/info "), " ")
			if in := decode[api.Info](t, answer); status != "200" || in.MayChange != tc.admin {
				t.Errorf("info: %s %s", status, answer)
			}
			before := tc.s.Info().Hub
			body := map[bool]string{true: `{"hub":false}`, false: `{"hub":true}`}[before]
			status, answer, _ = strings.Cut(asUser(t, tc.cred, tc.s, "PATCH /v1/switch "+body), " ")
			if tc.admin {
				if status != "200" || tc.s.Info().Hub == before {
					t.Errorf("change: %s %s", status, answer)
				}
				return
			}
			e := failed(t, 403, answer, api.ErrForbidden)
			if status != "403" || tc.s.Info().Hub != before || !strings.Contains(e.Message, "uid 65534") || !strings.Contains(e.Hint, "sudo") {
				t.Errorf("change: %s %s", status, answer)
			}
			if tc.s == grouped && !strings.Contains(e.Hint, "usermod -aG 4242") {
				t.Errorf("the group is the cure: %s", e.Hint)
			}
		})
	}
}

// The peer of a port is told by name.
func TestPeerOfOtherUser(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	answer := asUser(t, mgmttest.Nobody, s, "DELETE /v1/ports/1 ")
	if !strings.Contains(answer, "user nobody (uid 65534)") {
		t.Errorf("who may not: %s", answer)
	}
}
