package main

import (
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/switch/link"
)

// A cable that is there is not laid again, which would be a loop; one of another
// name needs a spanning tree.
func TestPortAddTwice(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	cable := "stream:unix:" + filepath.Join(s.Dir, "peer") + ",connect=on"
	for i, step := range []struct {
		args, says string
		code       int
	}{
		{"port add " + cable, "port port1 (1) added\n", 0},
		{"port add " + cable, "port port1 (1) is there already\n", 0},
		{"port add " + cable + ",name=second", "", 1},
		{"stp set mode=rstp", "", 0},
		{"port add " + cable + ",name=second", "port second (2) added\n", 0},
		{"port add " + cable, "port port1 (1) is there already\n", 0},
		{"stp set mode=off", "", 1},
	} {
		out, stderr, code := vnetctl(t, s, strings.Fields(step.args)...)
		if code != step.code || step.says != "" && out != step.says || code != 0 && !strings.Contains(stderr, "same cable") {
			t.Errorf("step %d: exit %d, %q %s, want %d, %q", i, code, out, stderr, step.code, step.says)
		}
	}
	if ports, err := listPorts(t, s); err != nil || len(ports) != 2 {
		t.Errorf("%d ports, %v; want 2", len(ports), err)
	}
}

// A door is added again after it was removed, though clients of the old one have
// ports of the same spec.
func TestPortAddDoorOfLeftClients(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	door := s.Info().Doors[0].Spec
	for _, verb := range []string{"remove", "add"} {
		if _, stderr, code := vnetctl(t, s, "port", verb, door); code != 0 {
			t.Fatalf("%s: exit %d: %s", verb, code, stderr)
		}
	}
	if doors := s.Info().Doors; len(doors) != 1 {
		t.Errorf("doors %+v, want one", doors)
	}
}

func TestAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for text, want := range map[string]string{
		"stream:unix:x":        "unix:" + filepath.Join(dir, "x"),
		"dgram:unix:../x":      "unix:" + filepath.Join(filepath.Dir(dir), "x"),
		"vde:sw":               filepath.Join(dir, "sw"),
		"vde:.,listen=on":      dir,
		"vde:":                 "",
		"vhost-user:x":         filepath.Join(dir, "x"),
		"stream:tcp:host:5558": "tcp:host:5558",
		"tap:tap0":             "tap0",
		"packet:eth0":          "eth0",
	} {
		spec, err := link.ParseSpec(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := absolute(spec); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
}
