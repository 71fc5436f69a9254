package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const commented = `# The lab.

ageing = "60s"   # short

# Every port.
[port-default]
mtu = 9000 # jumbo

# The router.
[[port]]
kind = "stream"
address = "unix:/r"
name = "router" # not "gateway"
tagged = [10, # staff
  20]         # guests

# The uplink.
[[port]] # two
spec = "stream:unix:/u,connect=on,vlan=4,name=up" # as on the command line

# A static one.
[[fdb]]
mac = "02:00:00:00:00:01"
port = "router"
# The end.
`

// An edit touches what differs and nothing else.
func TestEdit(t *testing.T) {
	for _, c := range []struct {
		name  string
		want  func(*Config)
		subst []string // pairs: what of the file becomes what
		lost  []string // words of the comments that go
	}{
		{"nothing", func(*Config) {}, nil, nil},
		{"a value, whose comment stays in its column", func(c *Config) { c.Put("ageing", "7s") }, []string{`"60s"   #`, `"7s"    #`}, nil},
		{"a longer value", func(c *Config) { c.Put("ageing", "1000000s") }, []string{`"60s"   #`, `"1000000s" #`}, nil},
		{"a new value", func(c *Config) { c.Put("hub", "true") }, []string{"# short\n", "# short\nhub = true\n"}, nil},
		{"a default", func(c *Config) { c.Default["mtu"] = "1500" }, []string{"9000", "1500"}, nil},
		{"a new default", func(c *Config) { c.Default["isolated"] = "on" }, []string{"# jumbo\n", "# jumbo\nisolated = true\n"}, nil},
		{"a default less", func(c *Config) { delete(c.Default, "mtu") }, []string{"mtu = 9000 # jumbo\n", ""}, []string{"line 7: # jumbo"}},
		{"a setting of a port", func(c *Config) { c.Ports[0].Set["down"] = "on" }, []string{"# guests\n", "# guests\ndown = true\n"}, nil},
		{"a name", func(c *Config) { c.Ports[0].Name, c.FDB[0].Port = "gw", "gw" }, nil, []string{"line 22: # A static one."}},
		{"a setting in a spec", func(c *Config) { c.Ports[1].Set["vlan"] = "5" }, []string{"vlan=4,name=up", "name=up,vlan=5"}, nil},
		{"a name in a spec", func(c *Config) { c.Ports[1].Name = "down" }, []string{"vlan=4,name=up", "name=down,vlan=4"}, nil},
		{"a setting beside a spec", func(c *Config) { c.Ports[1].Set["mtu"] = "100" }, []string{"# as on the command line\n", "# as on the command line\nmtu = 100\n"}, nil},
		{"a port less", func(c *Config) { c.Ports = c.Ports[:1] }, []string{
			"# The uplink.\n[[port]] # two\nspec = \"stream:unix:/u,connect=on,vlan=4,name=up\" # as on the command line\n\n", ""},
			[]string{"line 17: # The uplink.", "line 18: # two", "line 19: # as on"}},
		{"a port more", func(c *Config) { c.Ports = append(c.Ports, mustPort("stream:unix:/n,id=7,isolated=on")) }, []string{
			"# The end.\n", "# The end.\n\n[[port]]\nkind = \"stream\"\naddress = \"unix:/n\"\nid = 7\nisolated = true\n"}, nil},
		{"an address less", func(c *Config) { c.FDB = nil }, []string{
			"# A static one.\n[[fdb]]\nmac = \"02:00:00:00:00:01\"\nport = \"router\"\n", ""}, []string{"line 21: # A static one."}},
		{"an address more", func(c *Config) { c.FDB = append(c.FDB, Static{MAC: "02:00:00:00:00:02", VLAN: 3, Port: "up"}) }, []string{
			"# The end.\n", "# The end.\n\n[[fdb]]\nmac = \"02:00:00:00:00:02\"\nvlan = 3\nport = \"up\"\n"}, nil},
		{"a list whose comments are in it", func(c *Config) { c.Ports[0].Set["tagged"] = "30" }, []string{
			"[10, # staff\n  20]         # guests", "\"30\"         # guests"}, []string{"line 14: # staff"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := read(t, commented)
			c.want(want)
			out, lost, err := Edit("f", []byte(commented), want)
			if err != nil {
				t.Fatal(err)
			}
			if plan := Diff(read(t, string(out)), want); !plan.Empty() {
				t.Errorf("still differs:\n%s", plan.Text())
			}
			text := commented
			for i := 0; i < len(c.subst); i += 2 {
				text = strings.Replace(text, c.subst[i], c.subst[i+1], 1)
			}
			if c.subst != nil && string(out) != text {
				t.Errorf("got\n%s\nwant\n%s", out, text)
			}
			if len(lost) != len(c.lost) {
				t.Fatalf("lost %q, want %q", lost, c.lost)
			}
			for i := range lost {
				if !strings.Contains(lost[i], strings.SplitN(c.lost[i], ": ", 2)[1]) {
					t.Errorf("lost %q, want %q", lost[i], c.lost[i])
				}
			}
		})
	}
}

// Forms that cannot be edited in place are written anew, and what is lost is
// told.
func TestEditOfOtherForms(t *testing.T) {
	text := "port-default.mtu = 100 # dotted\nport = [{spec = \"stream:unix:/a\"}, {kind = \"stream\", address = \"unix:/b\"}] # inline\n"
	want := read(t, text)
	want.Ports = want.Ports[:1]
	want.Default["mtu"] = "200"
	out, lost, err := Edit("f", []byte(text), want)
	if err != nil || len(lost) == 0 {
		t.Fatalf("lost %q, %v:\n%s", lost, err, out)
	}
	if plan := Diff(read(t, string(out)), want); !plan.Empty() {
		t.Error(plan.Text())
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.toml")
	want := read(t, commented)
	s, err := Save(path, want, false)
	if err != nil || !s.New || !s.Changed {
		t.Fatalf("%+v, %v", s, err)
	}
	if s, err = Save(path, want, false); err != nil || s.Changed {
		t.Errorf("once more: %+v, %v", s, err)
	}
	write(t, path, commented)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.toml")
	if err := os.Symlink("a.toml", link); err != nil {
		t.Fatal(err)
	}
	want.Put("ageing", "9s")
	if s, err = Save(link, want, false); err != nil || s.File != path || !s.Changed || len(s.Lost) > 0 {
		t.Errorf("through a link: %+v, %v", s, err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o640 {
		t.Errorf("mode %v", fi.Mode())
	}
	want.Ports = nil
	want.FDB = nil
	var loss *LossError
	before := content(t, path)
	if _, err = Save(path, want, false); !errors.As(err, &loss) || len(loss.Lost) != 8 || !strings.Contains(err.Error(), "line 9: # The router.") {
		t.Errorf("comments would be lost: %v", err)
	}
	if content(t, path) != before {
		t.Error("it was written all the same")
	}
	if s, err = Save(path, want, true); err != nil || len(s.Lost) != 8 {
		t.Errorf("by force: %+v, %v", s, err)
	}
	write(t, path, "this is no TOML")
	if _, err = Save(path, want, false); !errors.As(err, new(Mistakes)) || content(t, path) != "this is no TOML" {
		t.Errorf("over another content: %v", err)
	}
	if s, err = Save(path, want, true); err != nil || len(s.Lost) != 1 {
		t.Errorf("by force: %+v, %v", s, err)
	}
	if _, err = Save(dir, want, true); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("over a directory: %v", err)
	}
	if _, err = Save(filepath.Join(dir, "no", "x"), want, true); err == nil {
		t.Error("into a directory that is not there")
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
