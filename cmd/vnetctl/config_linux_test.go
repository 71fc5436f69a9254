package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/config"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// configSwitch is a switch that was started with a file of this content, in
// which DIR stands for its directory.
func configSwitch(t *testing.T, text string) (s *mgmttest.Switch, path string) {
	t.Helper()
	m := &config.Manager{Kinds: []link.Kind{plug.Stream()}, Started: config.New(""), Log: slog.New(slog.DiscardHandler)}
	s = mgmttest.Start(t, mgmt.Options{Name: "lab", Config: m})
	path = filepath.Join(s.Dir, "lab.toml")
	writeConfig(t, s, path, text)
	m.Switch, m.File = s.Switch, path
	m.Own = []link.Spec{{Kind: "stream", Addr: "unix:" + filepath.Join(s.Dir, "stream")}}
	m.Load = func() (*config.Config, error) { return config.Load(path, config.Known{Kinds: m.Kinds}) }
	if _, err := m.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	return s, path
}

func writeConfig(t *testing.T, s *mgmttest.Switch, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", s.Dir)), 0o644); err != nil {
		t.Fatal(err)
	}
}

const labConfig = `# The lab.
[[port]]
spec = "stream:unix:DIR/far,connect=on,name=far" # the other room
vlan = 10

# To be removed.
[[port]]
spec = "stream:unix:DIR/old,name=old"
`

func TestConfig(t *testing.T) {
	s, path := configSwitch(t, labConfig)
	s.Plug()
	transcript(t, s, "config", "config show", "config diff", "port set far vlan=11 mtu=1400", "config diff", "config diff --json", "reload", "config diff",
		"port set far vlan=11", "port add stream:unix:DIR/new,name=new", "config save", "config diff", "config save",
		"port remove old", "config save", "config save --force", "config diff", "config save DIR/other.toml", "config diff DIR/other.toml", "config save --json", "reload --json")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "config-saved", normalise(string(got), s.Dir))
}

// What the daemon's command line overrules is no difference but is told, except
// to those who may not know.
func TestConfigDiffOverridden(t *testing.T) {
	s, path := configSwitch(t, "hub = false\n")
	m := &config.Manager{Switch: s.Switch, Kinds: []link.Kind{plug.Stream()}, Started: config.New(""), File: path, Log: slog.New(slog.DiscardHandler)}
	m.Own = []link.Spec{{Kind: "stream", Addr: "unix:" + filepath.Join(s.Dir, "stream")}}
	m.Load = func() (*config.Config, error) {
		c, err := config.Load(path, config.Known{Kinds: m.Kinds})
		if err == nil {
			c.Put("hub", "true")
			c.Overrides = []string{"--hub true wins over hub = false in line 1 of " + path}
		}
		return c, err
	}
	with := mgmttest.Start(t, mgmt.Options{Config: m})
	if err := s.Set(vswitch.Change{Hub: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	out, note, code := vnetctl(t, with, "config", "diff")
	if code != 0 || out != "" || note != "vnetctl: note: the daemon's command line: --hub true wins over hub = false in line 1 of "+path+"\n" {
		t.Errorf("exit %d: %q %q", code, out, note)
	}
	if out, _, code := vnetctl(t, with, "config", "diff", "--json"); code != 0 || !strings.Contains(out, `"differences": []`) || !strings.Contains(out, "--hub true wins") {
		t.Errorf("exit %d: %s", code, out)
	}
	cmd := mgmttest.AsUser(t, mgmttest.Nobody, "vnetctl", "VNETCTL_TEST_ARGS=-s "+with.Dir+" config diff")
	told, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(told), "~ hub: true -> false") || !strings.Contains(string(told), "who may change the switch is told more") {
		t.Errorf("a guest: exit %d: %s", code, told)
	}
}

func ptr[T any](v T) *T { return &v }

func TestConfigMistakes(t *testing.T) {
	s, path := configSwitch(t, labConfig)
	writeConfig(t, s, path, "agein = \"3s\"\nhub = 3\n")
	transcript(t, s, "config-mistakes", "config", "config shw", "config show x", "config diff a b", "reload now", "config diff", "config save", "reload", "reload --json",
		"config diff DIR/nosuch.toml", "config save DIR", "config save DIR/no/such.toml")
	plain := mgmttest.Start(t, mgmt.Options{})
	transcript(t, plain, "config-none", "config show", "config save", "reload")
}
