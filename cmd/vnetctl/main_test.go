package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vnetkit/mgmt"
	"vnetkit/mgmt/mgmttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestMain also is vnetctl, for tests that run it as another user.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "guardian" { // started by the program that we are
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	if args := os.Getenv("VNETCTL_TEST_ARGS"); args != "" {
		os.Exit(run(strings.Fields(args), os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for _, f := range atEnd {
			f()
		}
		os.Exit(code)
	}))
}

// atEnd is done after all tests.
var atEnd []func()

// vnetctl runs the program on one switch and returns what it printed, standard
// error after standard output, and its exit code.
func vnetctl(t *testing.T, s *mgmttest.Switch, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	if s != nil {
		args = append([]string{"-s", s.Dir}, args...)
	}
	var out, err bytes.Buffer
	code = runContext(t.Context(), args, &out, &err)
	return out.String(), err.String(), code
}

// transcript runs commands one after the other and compares what a terminal
// would have shown with a golden file.
func transcript(t *testing.T, s *mgmttest.Switch, golden string, commands ...string) {
	t.Helper()
	var b strings.Builder
	for _, command := range commands {
		args := strings.Fields(strings.ReplaceAll(command, "DIR", s.Dir))
		stdout, stderr, code := vnetctl(t, s, args...)
		fmt.Fprintf(&b, "$ vnetctl %s\n%s%s", command, stdout, stderr)
		if code != 0 {
			fmt.Fprintf(&b, "[exit %d]\n", code)
		}
	}
	compare(t, golden, normalise(b.String(), s.Dir))
}

// compare checks got against testdata/golden, or writes it with -update.
func compare(t *testing.T, golden, got string) {
	t.Helper()
	path := filepath.Join("testdata", golden+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
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

// normalise puts names in the place of what differs from run to run. Columns
// keep their order but lose their width; table_test.go checks that.
func normalise(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "DIR")
	text = strings.ReplaceAll(text, filepath.Base(dir), "BASE")
	pid := strconv.Itoa(os.Getpid())
	text = regexp.MustCompile(`\b`+pid+`\b`).ReplaceAllString(text, "PID")
	if u, err := user.Current(); err == nil {
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(u.Username)+`\b`).ReplaceAllString(text, "USER")
		text = regexp.MustCompile(`("uid": |uid )`+u.Uid+`\b`).ReplaceAllString(text, "${1}UID")
	}
	for _, r := range []struct{ pattern, with string }{
		{`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?`, "TIME"},
		{`"(uptime_seconds|monotonic_ns|seconds)": [0-9.e+-]+`, `"$1": N`},
		{`"life": "[0-9a-z]+"`, `"life": "LIFE"`},
		{`"mac": "[0-9a-f:]+",(\s+"priority")`, `"mac": "MAC",$1`},
		{`"workers": \d+`, `"workers": N`},
		{`\b\d{1,2}s\b`, "Ns"},
		{`workers +\d+`, "workers N"},
		{`(?m)(verb "xyzzy"\n +cause: the verbs are ).*`, "${1}..."},
		{` {2,}`, "  "},
		{`(?m) +$`, ""},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.with)
	}
	return text
}

// busySwitch is a switch with two guests that have talked.
func busySwitch(t *testing.T) *mgmttest.Switch {
	t.Helper()
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	a, b := s.Plug(), s.Plug()
	a.Send(1, 0xff, 60)
	b.Receive()
	b.Send(2, 1, 1000)
	a.Receive()
	b.Send(2, 2, 60)
	mgmttest.Until(t, "all counted", func() bool {
		ports := s.Ports()
		return ports[0].Tx.Frames == 1 && ports[1].Tx.Frames == 1 && ports[1].Rx.Frames == 2
	})
	return s
}

func TestVersion(t *testing.T) {
	out, _, code := vnetctl(t, nil, "--version")
	if out != "vnetctl dev (commit unknown)\n" || code != 0 {
		t.Errorf("%q, exit %d", out, code)
	}
}

func TestTables(t *testing.T) {
	s := busySwitch(t)
	transcript(t, s, "tables",
		"", "info", "ports", "ports -o wide", "ports -o name", "ports port2 --no-headers", "fdb", "fdb show --port port2", "stats --interval 0",
		"monitor --since 0 --follow=false")
}

func TestJSON(t *testing.T) {
	s := busySwitch(t)
	transcript(t, s, "json",
		"--json", "info --json", "ports 1 --json", "fdb --mac 02:00:00:00:00:01 --json", "stats --interval 1ns --json", "monitor --since 2 --follow=false --json",
		"port set 1 name=vm1 --json", "fdb flush --json", "ports vm2 --json", "prots --json")
}

// A day's work, with its mistakes.
func TestChanges(t *testing.T) {
	s := busySwitch(t)
	transcript(t, s, "changes",
		"port set port1 name=vm1 vlan=10 tagged=20+30-32 mtu=1500",
		"port set 2 name=vm2 isolated=on maclimit=5 allowmac=52:54:00:12:34:56 mirror=vm1:in",
		"port set vm2 isolated=off maclimit=0 allowmac=any mirror=none transparent=yes",
		"port set vm1 impair=delay:20ms+jitter:5ms+in-loss:1%+out-rate:10Mbit",
		"ports -o wide",
		"port set vm1 impair=none",
		"port set vm1 impair=delay:20",
		"ports",
		"port down vm1 vm2",
		"port up vm1",
		"fdb add 02:00:00:00:00:0a vm1",
		"fdb add 02:00:00:00:00:0b 2 --vlan 7",
		"fdb",
		"fdb show --static --vlan 7",
		"fdb flush",
		"fdb del 02:00:00:00:00:0a",
		"fdb del 02:00:00:00:00:0a",
		"fdb flush --static",
		"port add stream:unix:DIR/second",
		"port add stream:unix:DIR/second",
		"port add stream:unix:DIR/peer,connect=on,name=far,vlan=10",
		"port add stream:unix:DIR/peer,connect=on,name=far,vlan=10",
		"port add stream:unix:DIR/peer,connect=on,id=9",
		"port add stream:unix:DIR/peer2,connect=on,id=9",
		"port add stream:unix:DIR/peer2,connect=on,id=9",
		"port remove far 9 stream:unix:DIR/second",
		"port remove far",
		"ports -o name")
}

// The daemon has a working directory of its own, so paths are made absolute
// here.
func TestRelativePath(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	t.Chdir(s.Dir)
	if _, stderr, code := vnetctl(t, s, "port", "add", "stream:unix:sub/../door,mode=0600"); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	if doors := s.Info().Doors; doors[1].Spec != "stream:unix:"+filepath.Join(s.Dir, "door")+",mode=0600" {
		t.Errorf("doors: %+v", doors)
	}
}

// Everything that can be mistyped, and the exit codes.
func TestMistakes(t *testing.T) {
	s := busySwitch(t)
	transcript(t, s, "mistakes",
		"prots", "xyzzy", "port", "port ad", "fdb shw", "ports --jsno", "ports -q", "ports -o wied", "ports nosuch", "ports port11",
		"info please", "port set port1", "port set port1 muta=9", "port set port1 mtu", "port set port1 mtu=big", "port set port1 isolated=maybe",
		"port set port1 mtu=9 vlan=10", "port set port1 tagged=5-3", "port set nosuch vlan=3", "port set port1 name=all",
		"port add", "port add x", "port add pigeon:post", "port add stream:unix:DIR/peer,connect=on,id=1", "port add stream:unix:DIR/peer,conect=on",
		"port down port1 nosuch port2", "port remove", "fdb add 02:00 port1", "fdb add 01:00:5e:00:00:01 port1", "fdb add 02:00:00:00:00:01",
		"fdb --vlan x", "ports --timeout soon", "fdb --vlan 5000", "fdb --static --learned", "fdb flush --port nosuch", "stats --interval -1s", "monitor now",
		"ports .", "port remove ..", "port set port1 name=..", "port set port1 vlan=1 pvid=2", "port set port1 --vlan 3", "--timeout -1s info", "-s= ports", "fdb flush --static --port=", "fdb flush --vlan 0",
		"mirror set port1 port1", "port set port1 mirror=1:in", "port add stream:unix:/nonexistent/d/x")
}

// Completion in a shell asks the switch.
func TestCompletion(t *testing.T) {
	s := busySwitch(t)
	out, _, _ := vnetctl(t, s, "__complete", "port", "set", "")
	if !strings.Contains(out, "port1\tstream up") || !strings.Contains(out, "port2\t") {
		t.Errorf("ports: %s", out)
	}
	out, _, _ = vnetctl(t, s, "__complete", "port", "set", "port1", "")
	if !strings.Contains(out, "mtu=\n") || !strings.Contains(out, "vlan=\n") {
		t.Errorf("settings: %s", out)
	}
	out, _, _ = vnetctl(t, s, "__complete", "fdb", "add", "02:00:00:00:00:01", "")
	if !strings.Contains(out, "port1\t") {
		t.Errorf("second argument: %s", out)
	}
	out, _, _ = vnetctl(t, s, "__complete", "fdb", "--port", "")
	if !strings.Contains(out, "port1\t") {
		t.Errorf("flag: %s", out)
	}
	out, _, _ = vnetctl(t, s, "__complete", "-s", "")
	if !strings.Contains(out, s.Dir) {
		t.Errorf("switches: %s", out)
	}
	s.Stop()
	out, _, code := vnetctl(t, s, "__complete", "port", "set", "")
	if strings.Contains(out, "port1") || code != 0 {
		t.Errorf("no switch, no ports: %s", out)
	}
}

func TestList(t *testing.T) {
	s := busySwitch(t)
	out, _, code := vnetctl(t, nil, "list")
	if !strings.HasPrefix(out, "NAME") || code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	found := ""
	for line := range strings.Lines(out) {
		if strings.Contains(line, s.Dir) {
			found = normalise(line, s.Dir)
		}
	}
	if want := "lab  DIR  PID  USER  Ns  2  0  1.2.3  -\n"; found != want {
		t.Errorf("got %q, want %q", found, want)
	}
	if out, _, code := vnetctl(t, nil, "list", "--interval", "0", "-o", "name"); code != 0 || !strings.Contains(out, s.Dir+"\n") {
		t.Errorf("names: exit %d: %s", code, out)
	}
	if _, stderr, code := vnetctl(t, nil, "list", "--interval", "-1s"); code != 2 || !strings.Contains(stderr, "before now") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	for _, args := range [][]string{{"list", "--json"}, {"--json"}} {
		if out, _, code = vnetctl(t, nil, args...); code != 0 || !strings.Contains(out, `"dir": "`+s.Dir+`"`) {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
	}
	out, _, code = vnetctl(t, nil)
	if code != 0 || !strings.Contains(out, "lab  "+s.Dir+"  pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("status: exit %d: %s", code, out)
	}
}

// Interrupting is an error of what has to answer, and the end of what goes on
// for ever.
func TestInterrupt(t *testing.T) {
	s := busySwitch(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := runContext(ctx, []string{"-s", s.Dir, "stats"}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit %d: %s", code, &errs)
	}
	errs.Reset()
	if code := runContext(ctx, []string{"-s", s.Dir, "monitor"}, &out, &errs); code != 0 || errs.Len() != 0 {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

// What a script gives whose variable is not set must not mean everything.
func TestEmptyArguments(t *testing.T) {
	s := busySwitch(t)
	if _, _, code := vnetctl(t, s, "fdb", "add", "02:00:00:00:00:77", "port1"); code != 0 {
		t.Fatal("no static address")
	}
	before := s.Info().FDBSize
	for _, args := range [][]string{{"fdb", "del", ""}, {"fdb", "flush", "--static", "--port", ""}, {"capture", ""}, {"ports", ""}, {"port", "remove", ""}, {"port", "down", "port1", ""}} {
		if _, text, code := vnetctl(t, s, args...); code != 2 || !strings.Contains(text, "says nothing") {
			t.Errorf("%q: exit %d: %s", args, code, text)
		}
	}
	if n := s.Info().FDBSize; n != before {
		t.Errorf("%d addresses are left of %d", n, before)
	}
	status := 0
	req, err := http.NewRequest("DELETE", "/v1/fdb?port=&static=true", nil)
	if err == nil {
		w := httptest.NewRecorder()
		s.Server.AsDaemon().ServeHTTP(w, req)
		status = w.Code
	}
	if status != http.StatusNotFound || s.Info().FDBSize != before {
		t.Errorf("by API: %d, %v", status, err)
	}
}
