package main

import (
	"bytes"
	"strings"
	"testing"

	"vnetkit/cmd/vmrun/seed"
)

// What a VMFile says to cloud-init is in the seed, and --cloud-init counts more.
func TestSeedOfVMFile(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/var/lib/vms")
	for _, c := range []struct {
		name, own  string
		user, meta string // what is in them
	}{
		{"data", "", "packages: [nginx]", `local-hostname: "webhost"`},
		{"key", "", `"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g test"`, `local-hostname: "key"`},
		{"key", "", `"name": "vm"`, `instance-id: "key"`},
		{"key", "testdata/user-data", "packages: [nginx]", `local-hostname: "key"`},
	} {
		var said bytes.Buffer
		o := order{vmfile: "testdata/cloud-init.kdl", cloudInit: c.own, given: func(string) bool { return false }}
		o.vm.Name = c.name
		e := env{stdout: &said, stderr: &said}
		if err := o.readVMFile(e); err != nil {
			t.Fatal(err)
		}
		if err := o.readSeed(e); err != nil {
			t.Fatal(err)
		}
		user, meta := string(o.seed[seed.UserData]), string(o.seed[seed.MetaData])
		if !strings.HasPrefix(user, "#cloud-config\n") || !strings.Contains(user, c.user) || !strings.Contains(meta, c.meta) || said.Len() > 0 {
			t.Errorf("%s %s: %s%s%s", c.name, c.own, user, meta, &said)
		}
	}
}
