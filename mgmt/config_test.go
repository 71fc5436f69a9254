package mgmt_test

import (
	"context"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

// noFile is a Configurer with nothing behind it. The real one has its tests in
// mgmt/config and cmd/vswitch.
type noFile struct{ err error }

func (noFile) Config() api.Config { return api.Config{File: "/etc/lab.toml", TOML: "hub = false\n"} }

func (f noFile) Reload(_ context.Context, dry bool) (api.Reloaded, error) {
	return api.Reloaded{File: "/etc/lab.toml", DryRun: dry, Changes: []string{}, Restart: []string{}, Overridden: []string{}}, f.err
}

func TestConfigRoutes(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Config: noFile{}})
	if c := get[api.Config](t, s, "/v1/config"); c.File != "/etc/lab.toml" || c.TOML != "hub = false\n" {
		t.Errorf("got %+v", c)
	}
	if status, answer := do(t, s, "POST", "/v1/reload", ""); status != 200 || decode[api.Reloaded](t, answer).File != "/etc/lab.toml" {
		t.Errorf("got %d %s", status, answer)
	}
	if status, answer := do(t, s, "POST", "/v1/reload?dry-run=true", ""); status != 200 || !decode[api.Reloaded](t, answer).DryRun {
		t.Errorf("got %d %s", status, answer)
	}
	status, answer := do(t, s, "POST", "/v1/reload?dry-run=maybe", "")
	failed(t, status, answer, api.ErrBadRequest)
	status, answer = do(t, s, "POST", "/v1/reload", "{}")
	failed(t, status, answer, api.ErrBadRequest)
	status, answer = do(t, s, "POST", "/v1/reload?file=x", "")
	failed(t, status, answer, api.ErrBadRequest)
	status, answer = do(t, s, "GET", "/v1/config?x=1", "")
	failed(t, status, answer, api.ErrBadRequest)
}

func TestReloadFails(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Config: noFile{vswitch.ErrInvalid}})
	status, answer := do(t, s, "POST", "/v1/reload", "")
	failed(t, status, answer, api.ErrInvalid)
	s = mgmttest.Start(t, mgmt.Options{})
	status, answer = do(t, s, "POST", "/v1/reload", "")
	failed(t, status, answer, api.ErrFailed)
	status, answer = do(t, s, "GET", "/v1/config", "")
	failed(t, status, answer, api.ErrFailed)
}
