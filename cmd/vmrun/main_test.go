package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vnetkit/cmd/vmrun/netdev"
	"vnetkit/mgmt"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/remote/shell"
)

var update = flag.Bool("update", false, "write the golden files anew")

var builtDir string // to be removed when all tests have ended

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if builtDir != "" {
			_ = os.RemoveAll(builtDir)
		}
		os.Exit(code)
	}))
}

// host is an env that records what would have been started.
type host struct {
	out, err bytes.Buffer
	path     string
	argv     []string
	execErr  error
}

func (h *host) run(args ...string) int {
	return run(args, env{
		stdout: &h.out,
		stderr: &h.err,
		lookPath: func(name string) (string, error) {
			if strings.HasPrefix(name, "qemu-") {
				return "/usr/bin/" + name, nil
			}
			return "", errors.New("not found")
		},
		exec: func(path string, argv, environ []string) error {
			h.path, h.argv = path, argv
			return h.execErr
		},
		probe: func(context.Context, string, string) (netdev.Caps, error) {
			return netdev.Caps{Netdevs: map[string][]string{"stream": {"addr"}, "user": {"hostfwd"}, "vde": {"sock"}, "vhost-user": {"chardev"}, "bridge": {"br"}, "tap": {"br"}, "dgram": {"local"}}}, nil
		},
		kvm:  func(context.Context, string) error { return errors.New("not in a test") },
		free: func(int) bool { return true },
	})
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	path := filepath.Join("testdata", golden)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", path, got, want)
	}
}

// TestPrint holds every command line that vmrun makes in testdata/*.args, and
// every one that it refuses in testdata/*.err. Nothing is started, so it needs
// no switch.
func TestPrint(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/var/lib/vms")
	t.Setenv("HOME", "/home/u")
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"default", []string{"--name", "vm1", "--", "-m", "1G", "-enable-kvm"}},
		{"program", []string{"--name", "vm1", "--", "qemu-system-aarch64", "-M", "virt"}},
		{"no-arguments", []string{"--name", "vm1", "--"}},
		{"mac", []string{"--mac", "52-54-00-AB-CD-EF", "--", "-m", "1G"}},
		{"mac-without-name", []string{"--", "-drive", "file=a b.qcow2"}},
		{"qemus-name", []string{"--", "-name", "guest=vm1,process=x"}},
		{"both-names-alike", []string{"--name", "vm1", "--", "--name", "vm1"}},
		{"name-with-comma", []string{"--name", "a,b", "--", "-S"}},
		{"name-with-equals-sign", []string{"--name", "a=b", "--", "-S"}},
		{"name-not-utf8", []string{"--name", "a\xff", "/nosuch/web.img"}},
		{"disk-not-utf8", []string{"--name", "a", "/nosuch/\xff.img"}},
		{"path-not-utf8", []string{"--net", "stream=unix:/run/\xff", "--", "-S"}},
		{"mac-twice", []string{"--mac", "52:54:00:00:00:01", "--net", "user,mac=52:54:00:00:00:02", "--", "-S"}},
		{"same-mac", []string{"--net", "user,mac=52:54:00:00:00:02", "--net", "null,mac=52-54-00-00-00-02", "--net", "null", "--", "-S"}},
		{"quoting", []string{"--name", "it's", "--", "-append", "console=ttyS0 quiet; $(reboot)", ""}},
		{"paths-with-commas", []string{"-s", "/srv/a,b \"c\"", "--name", "vm1", "--", "-S"}},
		{"names-differ", []string{"--name", "vm1", "--", "-name", "vm2"}},
		{"bad-mac", []string{"--mac", "52:54:00:12:34", "--", "-S"}},
		{"group-mac", []string{"--mac", "01:00:5e:00:00:01", "--", "-S"}},
		{"no-mac", []string{"--mac", "00:00:00:00:00:00", "--", "-S"}},
		{"bad-switch", []string{"-s", "a b", "--", "-S"}},
		{"path-too-long", []string{"-s", "/" + strings.Repeat("x", 100), "--", "-S"}},
		{"two-disks", []string{"disk.qcow2", "other.qcow2"}},
		{"disk-and-arguments", []string{"--name", "vm1", "/nosuch/disk.qcow2", "--", "-S"}},
		{"no-dashes", nil},
		{"unknown-flag", []string{"-drive", "x"}},
		{"user", []string{"--net", "user", "--", "-S"}},
		{"two-cards", []string{"--name", "vm1", "--net", "switch", "--net", "user,hostfwd=tcp:127.0.0.1:8080-:80", "--", "-S"}},
		{"vhost", []string{"--name", "vm1", "--net", "switch,door=vhost", "--", "-m", "2G"}},
		{"disk", []string{"/nosuch/web.qcow2"}},
		{"disk-user", []string{"--net", "user", "-m", "2G", "--cpus", "4", "/nosuch/web.img"}},
		{"users", []string{"--net", "user", "--net", "user,ssh=2201", "--net", "user", "--net", "user,ssh=off", "/nosuch/web.img"}},
		{"disk-kvm", []string{"--accel", "kvm", "--net", "none", "/nosuch/web.qcow2"}},
		{"kernel", []string{"--kernel", "/nosuch/vmlinuz", "--initrd", "/nosuch/initrd", "--append", "console=ttyS0", "--net", "null", "--", "-S"}},
		{"microvm", []string{"--net", "switch,door=vhost", "--net", "user,queues=2", "/nosuch/web.img", "--", "-M", "microvm,rtc=on"}},
		{"microvm-pcie", []string{"--net", "switch", "/nosuch/web.img", "--", "-M", "type=microvm", "-machine", "pcie=on"}},
		{"bad-mode", []string{"--net", "brigde=br0", "--", "-S"}},
		{"bad-name", []string{"--name", "a/b", "/nosuch/disk.img"}},
		{"bad-accel", []string{"--accel", "fast", "/nosuch/disk.img"}},
		{"passt-of-qemu", []string{"--net", "passt", "--", "-S"}},
		{"xml", []string{"--xml", "testdata/domain.xml", "--name", "vm1", "--", "-S"}},
		{"xml-missing", []string{"--xml", "testdata/nosuch.xml", "--", "-S"}},
		{"xml-bad", []string{"--xml", "testdata/bad.xml", "--", "-S"}},
		{"vmfile", []string{"--vmfile", "testdata/VMFile.kdl", "--name", "web"}},
		{"vmfile-home", []string{"--vmfile", "testdata/VMFile.kdl", "--name", "db", "-m", "4G", "--cpus", "3", "--net", "null"}},
		{"vmfile-which", []string{"--vmfile", "testdata/VMFile.kdl"}},
		{"vmfile-disk", []string{"--vmfile", "testdata/VMFile.kdl", "--name", "web", "/nosuch/disk.img"}},
		{"vmfile-missing", []string{"--vmfile", "testdata/nosuch.kdl"}},
		{"vmfile-vnic", []string{"--vmfile", "testdata/vnic.kdl"}},
		{"vmfile-mac", []string{"--vmfile", "testdata/group-mac.kdl"}},
		{"vmfile-network", []string{"--vmfile", "testdata/unknown-network.kdl"}},
		{"vmfile-malformed", []string{"--vmfile", "testdata/malformed.kdl"}},
		{"cloud-init", []string{"--cloud-init", "testdata/user-data", "--net", "none", "--name", "web,1", "/nosuch/web.img"}},
		{"cloud-init-odd", []string{"--cloud-init", "testdata/VMFile.kdl", "--net", "none", "/nosuch/web.img"}},
		{"cloud-init-missing", []string{"--cloud-init", "testdata/nosuch", "/nosuch/web.img"}},
		{"cloud-init-of-qemu", []string{"--cloud-init", "testdata/user-data", "--", "-S"}},
		{"vmfile-cloud-init", []string{"--vmfile", "testdata/cloud-init.kdl", "--name", "data"}},
		{"vmfile-key", []string{"--vmfile", "testdata/cloud-init.kdl", "--name", "key"}},
		{"vmfile-no-key", []string{"--vmfile", "testdata/cloud-init.kdl", "--name", "no-key"}},
		{"port", []string{"--net", "switch,vlan=10,tagged=20+30,isolated=on", "--net", "switch=/run/lab,impair=out-rate:8M,allowmac=own+02:00:00:00:00:01", "--name", "vm1", "/nosuch/web.img"}},
		{"port-trunks", []string{"--net", "switch,native=none,tagged=10+20", "--net", "switch,vlan=10,native=tagged", "--name", "vm1", "/nosuch/web.img"}},
		{"port-number", []string{"--net", "switch,vlan=10", "--name", "7", "/nosuch/web.img"}},
		{"port-of-qemu", []string{"--net", "switch,vlan=10", "--", "-S"}},
		{"port-door", []string{"--net", "switch,vlan=10,door=vde", "/nosuch/web.img"}},
		{"port-vhost", []string{"--net", "switch,vlan=10,door=vhost", "--name", "7", "/nosuch/web.img"}},
		{"port-script", []string{"--net", "bridge=br0,isolated=on,script=/etc/up", "/nosuch/web.img"}},
		{"port-xml", []string{"--xml", "testdata/port.xml", "--name", "vm1", "/nosuch/web.img"}},
		{"port-xml-of-qemu", []string{"--xml", "testdata/port.xml", "--name", "vm1", "--", "-S"}},
		{"no-network", []string{"--net", "network=nosuch", "--", "-S"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"--print"}, tc.args...)
			if !strings.Contains(strings.Join(tc.args, " "), "-s ") {
				args = append([]string{"-s", "/run/sw"}, args...)
			}
			var h host
			code := h.run(args...)
			if h.argv != nil {
				t.Errorf("started %q", h.argv)
			}
			if code == 0 {
				compare(t, tc.name+".args", h.err.String()+h.out.String()) // warnings first
				return
			}
			compare(t, tc.name+".err", h.err.String()+fmt.Sprintf("[exit %d]\n", code))
			if h.out.Len() > 0 || !strings.Contains(h.err.String(), "  cure:  ") {
				t.Errorf("an error without a cure: %s%s", &h.out, &h.err)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	var h host
	if code := h.run("--version"); code != 0 || h.out.String() != "vmrun dev (commit unknown)\n" {
		t.Errorf("exit %d: %s%s", code, &h.out, &h.err)
	}
}

// With a switch that answers vmrun becomes QEMU, with exactly the arguments
// that --print shows.
func TestStart(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	var shown, started host
	if code := shown.run("-s", s.Dir, "--name", "vm1", "--print", "--", "-m", "1G"); code != 0 {
		t.Fatalf("exit %d: %s", code, &shown.err)
	}
	if code := started.run("-s", s.Dir, "--name", "vm1", "--", "-m", "1G"); code != 0 {
		t.Fatalf("exit %d: %s", code, &started.err)
	}
	if started.path != "/usr/bin/qemu-system-x86_64" || shell.Quote(started.argv)+"\n" != shown.out.String() {
		t.Errorf("started %s %s", started.path, shell.Quote(started.argv))
	}
	if n := s.Info().Ports; n != 0 {
		t.Errorf("looking whether the switch is there made %d ports", n)
	}
}

func TestStartErrors(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	closed := mgmttest.Start(t, mgmt.Options{})
	if err := closed.Remove(closed.Switch.Info().Doors[0].Name); err != nil {
		t.Fatal(err)
	}
	odd := mgmttest.Start(t, mgmt.Options{})
	door := filepath.Join(odd.Dir, "stream")
	if err := errors.Join(os.Remove(door), os.WriteFile(door, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	dir := mgmttest.Dir(t)
	mgmttest.Stale(t, filepath.Join(dir, "api"))
	for _, tc := range []struct {
		name        string
		args        []string
		execErr     error
		code        int
		cause, cure string
	}{
		{"no switch", []string{"-s", dir + "/nosuch", "--", "-S"}, nil, 4, "there is no directory", "vswitch -s " + dir + "/nosuch"},
		{"killed switch", []string{"-s", dir, "--", "-S"}, nil, 4, "left the socket behind", "start it again: vswitch -s " + dir},
		{"no door", []string{"-s", closed.Dir, "--", "-S"}, nil, 1, "has no door at", "port add stream:unix:" + closed.Dir + "/stream"},
		{"no socket", []string{"-s", odd.Dir, "--", "-S"}, nil, 1, "another kind", "remove it"},
		{"no such program", []string{"-s", s.Dir, "--", "disk.qcow2", "-S"}, nil, 1, "cannot start disk.qcow2", "apt install"},
		{"no such disk", []string{"-s", s.Dir, "/nosuch/disk.qcow2"}, nil, 1, "no such file", "may be read"},
		{"no bridge", []string{"--net", "bridge=nosuchbr", "--", "-S"}, nil, 1, "no bridge nosuchbr", "vnetctl create bridge"},
		{"exec fails", []string{"-s", s.Dir, "--", "-S"}, os.ErrPermission, 1, "cannot start /usr/bin/qemu-system-x86_64: permission denied", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := host{execErr: tc.execErr}
			code := h.run(tc.args...)
			text := h.err.String()
			if code != tc.code || !strings.Contains(text, "  cause: ") || !strings.Contains(text, tc.cause) || !strings.Contains(text, tc.cure) {
				t.Errorf("exit %d:\n%s", code, text)
			}
			if tc.execErr == nil && h.argv != nil {
				t.Errorf("started %q all the same", h.argv)
			}
		})
	}
}

// The same name has the same address on every machine and in every version.
func TestStableMAC(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"vm1", "vm2", "VM1", "vm1 ", "a"} {
		mac, err := machine{Name: name}.mac("")
		if err != nil || mac.IsGroup() || !strings.HasPrefix(mac.String(), "52:54:00:") {
			t.Errorf("%q: %v, %v", name, mac, err)
		}
		if other := seen[mac.String()]; other != "" {
			t.Errorf("%q and %q have the same", name, other)
		}
		seen[mac.String()] = name
	}
	if seen["52:54:00:7b:11:e3"] != "vm1" {
		t.Errorf("vm1 has another address than it used to: %v", seen)
	}
}

func TestOption(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"-name"}, ""},
		{[]string{"-name", "vm"}, "vm"},
		{[]string{"-m", "1G", "--name", "vm,debug-threads=on"}, "vm"},
		{[]string{"-name", "guest=vm"}, "vm"},
		{[]string{"-name", "a,,b,process=c"}, "a,b"},
	} {
		if got := option(tc.args, "-name"); got != tc.want {
			t.Errorf("option(%q) = %q, want %q", tc.args, got, tc.want)
		}
	}
}
