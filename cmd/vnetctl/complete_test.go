package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt/mgmttest"
)

// offers is what a shell would offer for the last of args.
func offers(t *testing.T, s *mgmttest.Switch, args ...string) (list []string) {
	t.Helper()
	out, _, code := vnetctl(t, s, append([]string{"__complete"}, args...)...)
	if code != 0 {
		t.Errorf("%q: exit %d", args, code)
	}
	for line := range strings.Lines(out) {
		if line[0] != ':' {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// Names come from the switch, with a word on each.
func TestLiveCompletion(t *testing.T) {
	s := busySwitch(t)
	s.Plug()
	vnetctl(t, s, "vlan", "set", "port1", "10", "tagged", "20+21")
	vnetctl(t, s, "mirror", "set", "port3", "port1")
	vnetctl(t, s, "fdb", "add", "02:00:00:00:00:aa", "port2")
	for _, tc := range []struct{ args, want string }{
		{"vlan show ", "1 port2; 10 port1 port2; 20 port1 port2; 21 port1 port2"},
		{"vlan set ", "port1 stream up *; port2 *; port3 *"},
		{"vlan set port1 ", "access one VLAN without tags; trunk *; pvid=; tagged=; native=; transparent=on *; 1 *; 10 *; 20 *; 21 *"},
		{"vlan set port1 access ", "1 port2; 10 *; 20 *; 21 *"},
		{"vlan set port1 pvid=", "pvid=1 *; pvid=10 *; pvid=20 *; pvid=21 *"},
		{"vlan set port1 native=", "native=untagged; native=tagged; native=none"},
		{"vlan set port1 native ", "untagged; tagged; none"},
		{"vlan add ", "1 *; 10 *; 20 *; 21 *"},
		{"vlan add 10 port1 ", "port1 *; port2 *; port3 *"},
		{"fdb --vlan ", "1 *; 10 *; 20 *; 21 *"},
		{"fdb --mac ", "02:00:00:00:00:02 port2 vlan 1; 02:00:00:00:00:aa port2 vlan 1"},
		{"fdb del ", "02:00:00:00:00:02 *; 02:00:00:00:00:aa *"},
		{"fdb add 02:00:00:00:00:aa port1 --vlan ", "1 *; 10 *; 20 *; 21 *"},
		{"mirror set ", "port1 *; port2 *; port3 *"},
		{"mirror set port3 ", "port1 *; port2 *; port3 *; all every port"},
		{"mirror set port3 port1:", "port1:in; port1:out; port1:both"},
		{"mirror clear ", "port3 shows port1:both"},
		{"port remove ", "port1 *; port2 *; port3 *; stream:unix:" + filepath.Join(s.Dir, "stream") + " door"},
		{"ports -o ", "table; wide; name"},
		{"list -o ", "table; wide; name"},
		{"top --sort ", "rate; drops; queue; name"},
	} {
		args, want := strings.Split(tc.args, " "), strings.Split(tc.want, "; ")
		got := offers(t, s, args...)
		for end := time.Now().Add(mgmttest.Patience); len(got) == 0 && time.Now().Before(end); {
			got = offers(t, s, args...) // completion does not wait long for a busy machine
		}
		ok := len(got) == len(want)
		for i := 0; ok && i < len(want); i++ {
			g := strings.Replace(got[i], "\t", " ", 1)
			ok = g == want[i] || strings.HasSuffix(want[i], "*") && strings.HasPrefix(g, strings.TrimSuffix(want[i], "*"))
		}
		if !ok {
			t.Errorf("%q offers %q, want %q", tc.args, got, want)
		}
	}
	// A switch that is gone offers nothing, and says nothing.
	s.Stop()
	for _, args := range []string{"vlan show ", "mirror set p ", "port remove ", "fdb del "} {
		if got := offers(t, s, strings.Split(args, " ")...); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "port") }) {
			t.Errorf("%q offers %q", args, got)
		}
	}
}

// The scripts are what the shells take.
func TestCompletionScripts(t *testing.T) {
	for shell, check := range map[string]string{"bash": "-n", "zsh": "-n", "fish": "--no-execute"} {
		script, stderr, code := vnetctl(t, nil, "completion", shell)
		if code != 0 || !strings.Contains(script, "__complete") {
			t.Errorf("%s: exit %d: %s", shell, code, stderr)
		}
		program, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed; its script is not checked", shell)
			continue
		}
		path := filepath.Join(t.TempDir(), shell)
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(program, check, path).CombinedOutput(); err != nil {
			t.Errorf("%s %s: %v: %s", shell, check, err, out)
		}
	}
}

// In bash, pressing the tab key asks the switch.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	s := busySwitch(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	wrapper := "#!/bin/sh\nVNETCTL_TEST_ARGS=\"$*\" exec " + self + "\n"
	if err := os.WriteFile(filepath.Join(dir, "vnetctl"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	script, _, _ := vnetctl(t, nil, "completion", "bash")
	// What bash-completion would have set, in a shell of its own.
	cmd := exec.Command(bash, "--norc", "-c", script+`
_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]}; prev=; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; }
COMP_WORDS=(vnetctl -s `+s.Dir+` port down po); COMP_CWORD=5; COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=63
__start_vnetctl; printf '%s\n' "${COMPREPLY[@]}"`)
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "port1") || !strings.Contains(string(out), "port2") {
		t.Errorf("%v: %s", err, out)
	}
}
