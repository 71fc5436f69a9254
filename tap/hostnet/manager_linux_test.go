package hostnet

import (
	"os"
	"path/filepath"
	"testing"
)

// The traces that programs leave, as files.
func TestManagerOf(t *testing.T) {
	l := Link{Name: "eth0", Index: 2}
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
		moves bool
	}{
		{"nobody", nil, "", false},
		{"NetworkManager", map[string]string{"run/NetworkManager/devices/2": "[device]\nmanaged=true\nperm-hw-addr-fake=x\n"}, "NetworkManager", true},
		{"NetworkManager, not this one", map[string]string{"run/NetworkManager/devices/2": "[device]\nmanaged=false\n", "run/NetworkManager/devices/22": "managed=true\n"}, "", false},
		{"networkd", map[string]string{"run/systemd/netif/links/2": "# This is private data\nADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/a.network\n"}, "systemd-networkd", true},
		{"netplan", map[string]string{"run/systemd/netif/links/2": "NETWORK_FILE=/run/systemd/network/10-netplan-eth0.network\n"}, "netplan (systemd-networkd)", true},
		{"networkd, unmanaged", map[string]string{"run/systemd/netif/links/2": "ADMIN_STATE=unmanaged\n"}, "", false},
		{"dhclient", map[string]string{"proc/77/cmdline": "/sbin/dhclient\x00-4\x00-pf\x00/run/x\x00eth0\x00"}, "dhclient", true},
		{"dhclient on another", map[string]string{"proc/77/cmdline": "/sbin/dhclient\x00eth01\x00"}, "", false},
		{"dhcpcd on all", map[string]string{"proc/77/cmdline": "dhcpcd\x00-b\x00"}, "dhcpcd", true},
		{"a program that names eth0", map[string]string{"proc/77/cmdline": "tcpdump\x00-i\x00eth0\x00"}, "", false},
		{"ifupdown", map[string]string{"run/network/ifstate": "lo=lo\neth0=eth0\n"}, "ifupdown", false},
		{"ifupdown, another", map[string]string{"run/network/ifstate": "eth01=eth01\n"}, "", false},
		{"both", map[string]string{"run/network/ifstate": "eth0=eth0\n", "proc/77/cmdline": "dhclient\x00eth0\x00"}, "dhclient", true},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(root, name)
			must(t, os.MkdirAll(filepath.Dir(path), 0o755))
			must(t, os.WriteFile(path, []byte(text), 0o600))
		}
		m := ManagerOf(root, l)
		switch {
		case m == nil && c.want != "", m != nil && (m.Name != c.want || m.Moves != c.moves || m.Cure == "" || m.Sign == ""):
			t.Errorf("%s: %+v, want %q", c.name, m, c.want)
		}
	}
}
