package main

import (
	"strings"
	"testing"
)

// What nobody says is taken from where ctys-vnetctl takes it, and --explain says
// from where.
func TestCreateDefaults(t *testing.T) {
	if !ownHost(t) {
		return
	}
	for _, c := range []struct {
		args string
		env  []string
		want []string
	}{
		{"-u nobody", nil, []string{"switch directory /run/vswitch/nobody: the default for this user", "bridge ctysbr0: the default name", "-i does not ask for one"}},
		{"", []string{"SUDO_USER=daemon"}, []string{"/run/vswitch/daemon", "setpriv --reuid 1"}},
		{"-u nobody.daemon", nil, []string{"user 65534 group 1 vnet_hdr", "--regid 1 "}},
		{"-u 65534", nil, []string{"/run/vswitch/nobody"}},
		{"-u nobody", []string{"QEMUSOCK=/var/tmp/vde_switch0.root", "QEMUMGMT=/var/tmp/vde_mgmt0.root"}, []string{"/var/tmp/vde_switch0.nobody: QEMUSOCK", "--mgmt /var/tmp/vde_mgmt0.nobody"}},
		{"-u nobody", []string{"CTYS_SOCKBASE=/srv"}, []string{"/srv/vde_switch0.nobody: CTYS_SOCKBASE", "--mgmt /srv/vde_mgmt0.nobody"}},
		{"-u nobody -s /run/a -S /run/b", []string{"CTYS_SOCKBASE=/srv"}, []string{"-s /run/a", "--mgmt /run/b"}},
	} {
		text, code := host(t, "create --dry-run --explain "+c.args, c.env...)
		for _, want := range c.want {
			if code != 0 || !strings.Contains(text, want) {
				t.Errorf("%s %q: exit %d, not there: %s\n%s", c.args, c.env, code, want, text)
			}
		}
	}
	hostSh(t, "ip link add zz type bridge; ip link add aa type bridge")
	does(t, "create --dry-run --explain -u nobody", 0, "bridge aa: the first one by name", "ip link set dev tap0 master aa")
	does(t, "create --dry-run --explain -u nobody -b zz", 0, "bridge zz: -b", "master zz")
	does(t, "create -u nobody.daemon -g daemon --taps 0 -b zz", 0, "made switch /run/vswitch/nobody", "zz is there already, not made by vnetctl")
	if access := hostSh(t, "stat -c %A:%U:%G /run/vswitch/nobody"); access != "drwx--S---:nobody:daemon\n" {
		t.Errorf("-g: %s", access)
	}
	does(t, "cancel -u nobody.daemon", 0, "removed switch")
	hostSh(t, "ip link show zz")
}
