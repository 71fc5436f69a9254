package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/tap/hostnet"
)

// jsonOf runs a verb with --json and holds what it prints against its schema.
func jsonOf(t *testing.T, verb, args string, code int) string {
	t.Helper()
	out := does(t, strings.TrimSpace(verb+" "+args)+" --json", code)
	schemas, schema := schemaOf(t, answers[verb])
	for _, fault := range schemas.Check(schema, []byte(out)) {
		t.Errorf("vnetctl %s %s: %s in %s", verb, args, fault, out)
	}
	return out
}

// findingsOf are check's.
func findingsOf(t *testing.T, code int) (list []finding) {
	t.Helper()
	var answer checkAnswer
	if err := json.Unmarshal([]byte(jsonOf(t, "check", "", code)), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Findings
}

func has(list []finding, state, what, text string) bool {
	return slices.ContainsFunc(list, func(f finding) bool {
		return f.State == state && strings.Contains(f.What, what) && strings.Contains(f.Text, text) && (state == stateOK || f.Cure != "")
	})
}

// Everything that can be wrong is found and has a cure; what is right is ok.
func TestCheck(t *testing.T) {
	if !ownHost(t) {
		return
	}
	create := "create -u nobody"
	if !hasTAPs(t) {
		create += " --taps 0"
	}
	jsonOf(t, "create", strings.TrimPrefix(create, "create "), 0)
	list := findingsOf(t, 0)
	want := []string{"bridge ctysbr0", "switch /run/vswitch/nobody", "journal"}
	if hasTAPs(t) {
		want = append(want, "tap tap0")
		if !has(list, stateOK, "switch", "a frame went through TAP tap0") {
			t.Errorf("no echo: %+v", list)
		}
	}
	for _, what := range want {
		if !has(list, stateOK, what, "") {
			t.Errorf("%s is not ok: %+v", what, list)
		}
	}
	for _, c := range []struct{ name, sabotage, repair, state, what, text string }{
		{"bridge down", "ip link set ctysbr0 down", "ip link set ctysbr0 up", stateFail, "bridge ctysbr0", "up is false"},
		{"MTU", "ip link add p0 mtu 1300 type veth peer name p1; ip link set p0 master ctysbr0 up; ip link set ctysbr0 mtu 1500", "ip link delete p0; ip link set ctysbr0 mtu 1500", stateWarn, "bridge ctysbr0", "p0 has 1300"},
		{"port down", "ip link add p0 type veth peer name p1; ip link set p0 master ctysbr0", "ip link delete p0", stateFail, "bridge ctysbr0", "p0 is down"},
		{"orphan", "ip link add o0 type bridge; ip link set o0 alias vnetctl:X:nobody", "ip link delete o0", stateWarn, "o0", "no record"},
		{"directory", "chmod 777 /run/vswitch/nobody", "chmod 700 /run/vswitch/nobody", stateFail, "switch", "mode 0777"},
		{"journal", "echo hello >/run/vnetctl/journal", "rm /run/vnetctl/journal", stateFail, "journal", "cannot be trusted"},
		{"daemon killed", "kill -9 $(cat /run/vswitch/nobody/pid)", "true", stateFail, "switch", "does not run"},
	} {
		hostSh(t, c.sabotage)
		code := 0
		if c.state == stateFail {
			code = 1
		}
		if list := findingsOf(t, code); !has(list, c.state, c.what, c.text) {
			t.Errorf("%s is not found: %+v", c.name, list)
		}
		hostSh(t, c.repair)
	}
	does(t, "check -X", 1)
	if out := does(t, "check -n", 1, "fail  switch", "cure:"); strings.Contains(out, "ok  ") {
		t.Errorf("-n: %s", out)
	}
	if out := does(t, "listall", 0, "|UID         |GID         |access      |machine-address", "/run/vswitch/nobody           |nobody      |nogroup     |drwx------  |", "(dead)"); !strings.HasPrefix(out, "\nswitch  ") {
		t.Errorf("listall: %q", out)
	}
	if out := does(t, "list -X", 0); strings.TrimSpace(out) != "" {
		t.Errorf("list shows a dead one: %q", out)
	}
	does(t, create, 0, "made switch")
	does(t, "list -X", 0, "/run/vswitch/nobody           |nobody      |nogroup     |drwx------  |")
	jsonOf(t, "recover", "", 0)
	jsonOf(t, "cancel", "-u nobody", 0)
	jsonOf(t, "create bridge", "br5", 0)
	jsonOf(t, "create tap", "t5 -b br5", 0)
	jsonOf(t, "create switch", "/run/sw5 --dry-run", 0)
	jsonOf(t, "cancel tap", "t5", 0)
	jsonOf(t, "cancel bridge", "br5", 0)
	jsonOf(t, "cancel switch", "/run/sw5", 0)
}

// The traces of others, as files.
func TestCheckFixtures(t *testing.T) {
	h, err := hostnet.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	root := t.TempDir()
	e := &exam{ctx: t.Context(), host: h, root: root}
	e.firewall()
	e.devices(account{name: "nobody", uid: 65534, gid: 65534})
	if !has(e.findings, stateOK, "br_netfilter", "do not pass") || !has(e.findings, stateFail, "/dev/net/tun", "not there") || !has(e.findings, stateWarn, "/dev/kvm", "not there") {
		t.Errorf("bare host: %+v", e.findings)
	}
	for path, text := range map[string]string{"proc/sys/net/bridge/bridge-nf-call-iptables": "1\n", "dev/kvm": "", "dev/net/tun": ""} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e.findings = nil
	e.firewall()
	e.devices(account{name: "nobody", uid: 65534, gid: 65534})
	if len(e.findings) != 3 || e.findings[0].State == stateOK || !has(e.findings, stateOK, "/dev/net/tun", "need not") || !has(e.findings, stateWarn, "/dev/kvm", "may not open") {
		t.Errorf("host with Docker's settings: %+v", e.findings)
	}
}

func TestMay(t *testing.T) {
	st := unix.Stat_t{Uid: 1, Gid: 2, Mode: 0o660}
	for who, want := range map[*account]bool{
		{uid: 0}: true, {uid: 1, gid: 9}: true, {uid: 3, gid: 2}: true, {uid: 3, gid: 9, groups: []uint32{2}}: true, {uid: 3, gid: 9}: false,
	} {
		if got := may(st, *who); got != want {
			t.Errorf("%s: %v", fmt.Sprint(*who), got)
		}
	}
}
