package hostnet

import (
	"os"
	"strings"
	"testing"
)

// points runs a scenario to its end and returns the points that it passed.
func points(t *testing.T, scenario string, env ...string) []string {
	t.Helper()
	trace := "/run/.trace"
	out, err := run(t, scenario, append(env, envTrace+"="+trace)...)
	if err != nil {
		t.Fatalf("%s: %v: %s", scenario, err, out)
	}
	text, err := os.ReadFile(trace)
	must(t, err)
	must(t, os.Remove(trace))
	return strings.Fields(strings.ReplaceAll(string(text), " ", "_"))
}

// A run that is killed at any point of creating is undone by recover, so that
// nobody can see that it ever was.
func TestKilledCreate(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	program(t)
	before := snapshot(t)
	all := points(t, "create")
	created := snapshot(t)
	if out, err := run(t, "cancel"); err != nil {
		t.Fatalf("cancel: %v: %s", err, out)
	}
	same(t, "created and cancelled", before, snapshot(t))
	if len(all) < 30 || all[0] != "journal" || all[len(all)-1] != "persistent" {
		t.Fatalf("points: %v", all)
	}
	for _, p := range all {
		at := strings.ReplaceAll(p, "_", " ")
		if out, err := run(t, "create", envDie+"="+at); !killed(err) {
			t.Fatalf("%s: %v: %s", at, err, out)
		}
		if out, err := run(t, "recover"); err != nil {
			t.Errorf("%s: recover: %v: %s", at, err, out)
		}
		if at == "committed" || at == "persistent" { // it counts from here on
			same(t, at, withoutNumbers(created), withoutNumbers(snapshot(t)))
			if out, err := run(t, "cancel"); err != nil {
				t.Fatalf("cancel: %v: %s", err, out)
			}
		}
		if !same(t, "killed at "+at, before, snapshot(t)) {
			t.FailNow()
		}
	}
	t.Logf("killed at %d points", len(all))
}

// The same for cancelling: recover brings all back, down to the interfaces'
// numbers.
func TestKilledCancel(t *testing.T) {
	if !isolated(t) {
		return
	}
	// The bridge's own link-local address would take a second each time.
	sh(t, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
	farWorld(t)
	program(t)
	before := snapshot(t)
	if out, err := run(t, "create"); err != nil {
		t.Fatalf("create: %v: %s", err, out)
	}
	all := points(t, "cancel")
	same(t, "cancelled", before, snapshot(t))
	if out, err := run(t, "create"); err != nil {
		t.Fatalf("create: %v: %s", err, out)
	}
	created := snapshot(t)
	for _, p := range all {
		at := strings.ReplaceAll(p, "_", " ")
		if out, err := run(t, "cancel", envDie+"="+at); !killed(err) {
			t.Fatalf("%s: %v: %s", at, err, out)
		}
		if out, err := run(t, "recover"); err != nil {
			t.Errorf("%s: recover: %v: %s", at, err, out)
		}
		if at == "committed" || at == "persistent" {
			same(t, "killed at "+at, before, snapshot(t))
			if out, err := run(t, "create"); err != nil {
				t.Fatalf("create: %v: %s", err, out)
			}
			continue
		}
		if !same(t, "killed at "+at, created, snapshot(t)) {
			t.FailNow()
		}
	}
	t.Logf("killed at %d points", len(all))
}

// Recovering can be killed, too, at any point, as often as it takes.
func TestKilledRecover(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	program(t)
	before := snapshot(t)
	const last = "did 9"
	if out, err := run(t, "create", envDie+"="+last); !killed(err) {
		t.Fatalf("%v: %s", err, out)
	}
	all := points(t, "recover")
	if len(all) < 15 {
		t.Fatalf("points: %v", all)
	}
	for _, p := range all {
		at := strings.ReplaceAll(p, "_", " ")
		if out, err := run(t, "create", envDie+"="+last); !killed(err) {
			t.Fatalf("%v: %s", err, out)
		}
		if out, err := run(t, "recover", envDie+"="+at); !killed(err) {
			t.Fatalf("%s: %v: %s", at, err, out)
		}
		if out, err := run(t, "recover"); err != nil {
			t.Errorf("%s: recover: %v: %s", at, err, out)
		}
		if !same(t, "recover killed at "+at, before, snapshot(t)) {
			t.FailNow()
		}
	}
}

// withoutNumbers leaves out what is new each time: addresses, alias, numbers.
func withoutNumbers(s string) string {
	var out []string
	for _, line := range strings.Split(s, "\n") {
		if !strings.Contains(line, `"vnetctl:`) && !strings.Contains(line, `"br0"`) && !strings.Contains(line, `"tap`) && !strings.Contains(line, `"master"`) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// The same for a macvtap and a switch that has it.
func TestKilledMacvtap(t *testing.T) {
	if !isolated(t) {
		return
	}
	sh(t, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
	farWorld(t)
	program(t)
	before := snapshot(t)
	creating := points(t, "macvtap")
	cancelling := points(t, "cancel")
	same(t, "created and cancelled", before, snapshot(t))
	kill := func(verb string, points []string, present string) {
		for _, p := range points {
			at := strings.ReplaceAll(p, "_", " ")
			if at == "committed" { // from here on it stays
				return
			}
			if out, err := run(t, verb, envDie+"="+at); !killed(err) {
				t.Fatalf("%s: %v: %s", at, err, out)
			}
			if out, err := run(t, "recover"); err != nil {
				t.Errorf("%s: recover: %v: %s", at, err, out)
			}
			if !same(t, verb+" killed at "+at, present, snapshot(t)) {
				t.FailNow()
			}
		}
	}
	kill("macvtap", creating, before)
	if out, err := run(t, "macvtap"); err != nil {
		t.Fatalf("create: %v: %s", err, out)
	}
	kill("cancel", cancelling, snapshot(t))
	t.Logf("killed at %d and %d points", len(creating)-2, len(cancelling)-2)
}
