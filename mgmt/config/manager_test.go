package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
)

// lab is a running switch with a config file.
type lab struct {
	*Manager
	t    *testing.T
	dir  string
	logs strings.Builder
}

// newLab starts a switch from a file, in which DIR stands for a directory.
func newLab(t *testing.T, text string) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("", "cfg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &lab{t: t, dir: dir}
	path := filepath.Join(dir, "a.toml")
	l.Manager = &Manager{File: path, Kinds: known.Kinds, Load: func() (*Config, error) { return Load(path, known) }}
	l.Log = slog.New(slog.NewTextHandler(&l.logs, nil))
	l.Own = []link.Spec{{Kind: "stream", Addr: "unix:" + dir + "/stream"}}
	l.write(text)
	if l.Started, err = l.Load(); err != nil {
		t.Fatal(err)
	}
	cfg := portConfig(l.Started.Default)
	sw, err := vswitch.New(vswitch.Options{Kinds: known.Kinds, Workers: 1, Default: cfg, Ageing: parsePeriod(l.Started.Value("ageing")), Hub: l.Started.Value("hub") == "true"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sw.Close() })
	l.Switch = sw
	for _, spec := range append(l.Started.Specs(), l.Own[0].String()) {
		if _, err := sw.Add(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	for _, op := range l.Started.Statics() {
		if err := sw.AddFDB(op.VID, op.MAC, op.Port); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *lab) write(text string) {
	write(l.t, l.File, strings.ReplaceAll(text, "DIR", l.dir))
}

// differs is what a reload would do now.
func (l *lab) differs() string {
	l.t.Helper()
	want, err := l.Load()
	if err != nil {
		l.t.Fatal(err)
	}
	l.complete(want)
	return Diff(Running(l.Switch, l.Started, l.Own), want).Text()
}

const base = `ageing = "60s"
[[port]]
spec = "stream:unix:DIR/a,connect=on,name=a,vlan=10"
[[port]]
spec = "stream:unix:DIR/b,connect=on,name=b,id=5"
[[port]]
spec = "stream:unix:DIR/door,isolated=on"
[[port]]
spec = "stream:unix:DIR/one,name=one"
[[fdb]]
mac = "02:00:00:00:00:01"
port = "a"
`

// What a reload does, and says.
func TestReload(t *testing.T) {
	for _, c := range []struct {
		name    string
		subst   []string
		changes string
		restart string
		summary string
	}{
		{"nothing", nil, "", "", "0 ports added, 0 changed, 0 removed, 4 unchanged"},
		{"ageing and hub", []string{`ageing = "60s"`, "hub = true"}, "~ hub: false -> true\n~ ageing: 60s -> 300s", "", "0 ports added, 0 changed, 0 removed, 4 unchanged"},
		{"spanning tree", []string{`ageing = "60s"`, "ageing = \"60s\"\nstp = \"rstp\"\nstp-priority = 4096\nstp-hello = \"1s\"\nstp-max-age = \"6s\"\nstp-forward-delay = \"4s\"", "vlan=10", "vlan=10,edge=on,cost=5,priority=16,bpduguard=on,rootguard=on,storm=9"},
			"~ stp: off -> rstp\n~ stp-priority: 32768 -> 4096\n~ stp-hello: 2s -> 1s\n~ stp-max-age: 20s -> 6s\n~ stp-forward-delay: 15s -> 4s\n" +
				"~ port a: edge auto -> on, cost 0 -> 5, priority 0 -> 16, bpduguard off -> on, rootguard off -> on, storm off -> 9", "", "0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"restart", []string{"ageing", "workers = 3\nfdb-size = 9\nmode = \"0666\"\nageing"}, "",
			"mode: 0600 -> 0666\nfdb-size: 65536 -> 9\nworkers: 0 -> 3", "0 ports added, 0 changed, 0 removed, 4 unchanged"},
		{"a setting", []string{"vlan=10", "vlan=11,down=on"}, "~ port a: vlan 10 -> 11, down off -> on\n+ static address 02:00:00:00:00:01 vlan 11 behind port a\n- static address 02:00:00:00:00:01 vlan 10 behind port a", "",
			"0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"a name", []string{"name=a", "name=c", `"a"`, `"c"`}, "~ port a: name a -> c", "", "0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"names swapped", []string{"name=a", "name=X", "name=b", "name=a", "name=X", "name=b"}, "~ port a: name a -> b\n~ port b: name b -> a\n+ static address 02:00:00:00:00:01 vlan 1 behind port a\n- static address 02:00:00:00:00:01 vlan 10 behind port a", "",
			"0 ports added, 2 changed, 0 removed, 2 unchanged"},
		{"a number", []string{"id=5", "id=6"}, "~ port b: number 5 -> 6 (a new link)", "", "0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"another link", []string{"DIR/b", "DIR/bb"}, "~ port b: stream:unix:DIR/b,connect=on -> stream:unix:DIR/bb,connect=on (a new link)", "", "0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"another link of a port with an address", []string{"DIR/a", "DIR/aa"}, "~ port a: stream:unix:DIR/a,connect=on -> stream:unix:DIR/aa,connect=on (a new link)", "", "0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"a door", []string{"isolated=on", "isolated=off,vlan=3"}, "~ door stream:unix:DIR/door: vlan 1 -> 3, tagged all -> none, isolated on -> off (for clients to come)", "", "0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"a door that shall be a port", []string{"isolated=on", "isolated=on,name=guest"}, "~ door stream:unix:DIR/door: name none -> guest (a new link)", "",
			"0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"the number of a port that listens", []string{"name=one", "name=one,id=9"}, "~ port one: number 2 -> 9 (a new link)", "", "0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"the mode of a socket", []string{"DIR/one", "DIR/one,mode=0666"}, "~ port one: stream:unix:DIR/one -> stream:unix:DIR/one,mode=0666 (a new link)", "",
			"0 ports added, 1 changed, 0 removed, 3 unchanged"},
		{"defaults", []string{"[[port]]", "[port-default]\nmtu = 1400\n[[port]]"}, "~ port-default: mtu 65535 -> 1400\n~ port a: mtu 65535 -> 1400\n~ port b: mtu 65535 -> 1400\n" +
			"~ door stream:unix:DIR/door: mtu 65535 -> 1400 (for clients to come)\n~ port one: mtu 65535 -> 1400\n~ door stream:unix:DIR/stream: mtu 65535 -> 1400 (for clients to come)", "",
			"0 ports added, 4 changed, 0 removed, 0 unchanged"},
		{"more and less", []string{"[[port]]\nspec = \"stream:unix:DIR/one,name=one\"\n", "[[port]]\nspec = \"stream:unix:DIR/n,id=9\"\n[[port]]\nspec = \"stream:unix:DIR/m\"\n"},
			"- port one (stream:unix:DIR/one)\n+ port 9 (stream:unix:DIR/n)\n+ door stream:unix:DIR/m", "", "2 ports added, 0 changed, 1 removed, 3 unchanged"},
		{"an address", []string{"00:01", "00:02"}, "+ static address 02:00:00:00:00:02 vlan 10 behind port a\n- static address 02:00:00:00:00:01 vlan 10 behind port a", "", "0 ports added, 0 changed, 0 removed, 4 unchanged"},
		{"nothing left", []string{base, ""}, "~ ageing: 60s -> 300s\n- port a (stream:unix:DIR/a,connect=on)\n- port b (stream:unix:DIR/b,connect=on)\n- door stream:unix:DIR/door\n- port one (stream:unix:DIR/one)\n- static address 02:00:00:00:00:01 vlan 10 behind port a", "",
			"0 ports added, 0 changed, 4 removed, 0 unchanged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, base)
			text := base
			for i := 0; i < len(c.subst); i += 2 {
				text = strings.Replace(text, c.subst[i], c.subst[i+1], 1)
			}
			l.write(text)
			got, err := l.Reload(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			same := func(what, got, want string) {
				t.Helper()
				if a, b := sortedLines(strings.ReplaceAll(got, l.dir, "DIR")), sortedLines(want); a != b {
					t.Errorf("%s:\n%s\nwant:\n%s", what, a, b)
				}
			}
			same("changes", strings.Join(got.Changes, "\n"), c.changes)
			same("restart", strings.Join(got.Restart, "\n"), c.restart)
			same("summary", got.Summary, c.summary)
			if text := l.differs(); text != "" && c.restart == "" {
				t.Errorf("the switch is not what the file says:\n%s", text)
			}
			roundTrip(t, Running(l.Switch, l.Started, l.Own).visible())
			if c.changes != "" && !strings.Contains(l.logs.String(), got.Summary) {
				t.Errorf("log:\n%s", &l.logs)
			}
		})
	}
}

// What is not to be saved is no part of the configuration, until a file names it.
func TestUnsaved(t *testing.T) {
	l := newLab(t, base)
	before := Running(l.Switch, l.Started, l.Own).TOML()
	for _, spec := range []string{"stream:unix:" + l.dir + "/vm,connect=on,name=vm,vlan=7,save=off", "stream:unix:" + l.dir + "/vms,save=off"} {
		if _, err := l.Switch.Add(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Switch.AddFDB(7, parseMAC("02:00:00:00:00:09"), "vm"); err != nil {
		t.Fatal(err)
	}
	if after := Running(l.Switch, l.Started, l.Own).TOML(); after != before {
		t.Errorf("it is saved:\n%s", after)
	}
	if text := l.differs(); text != "" {
		t.Errorf("a reload would change:\n%s", text)
	}
	l.write("")
	if r, err := l.Reload(t.Context(), false); err != nil || r.Removed != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	if ports, doors := l.Switch.Ports(), l.Switch.Info().Doors; len(ports) != 1 || ports[0].Config.Name != "vm" || len(doors) != 2 {
		t.Fatalf("left: %+v, %+v", ports, doors)
	}
	l.write("[[port]]\nspec = \"stream:unix:DIR/new,connect=on,name=vm\"\n")
	if _, err := l.Reload(t.Context(), false); !errors.Is(err, vswitch.ErrPortExists) {
		t.Errorf("another port of its name: %v", err)
	}
	l.write("[[port]]\nspec = \"stream:unix:DIR/vm,connect=on,name=vm\"\nvlan = 8\n[[port]]\nspec = \"stream:unix:DIR/vms\"\n")
	r, err := l.Reload(t.Context(), false)
	if want := "~ port vm: vlan 7 -> 8, save off -> on"; err != nil || r.Changed != 2 || r.Changes[0] != want {
		t.Errorf("%+v, %v, want %s", r, err, want)
	}
	saved := Running(l.Switch, l.Started, l.Own)
	if len(saved.visible().Ports) != 2 || len(saved.FDB) != 1 {
		t.Errorf("this is saved:\n%s", saved.TOML())
	}
	l.write(saved.TOML())
	if text := l.differs(); text != "" {
		t.Errorf("a reload would change:\n%s", text)
	}
}

const mirrored = "[port-default]\nmirror = \"a:out\"\n[[port]]\nspec = \"stream:unix:DIR/a,connect=on,name=a,mirror=none\"\n[[port]]\nspec = \"stream:unix:DIR/b,connect=on,name=b,mirror=none\"\n" +
	"[[port]]\nspec = \"stream:unix:DIR/m,connect=on,name=m,mirror=a:in\"\n[[port]]\nspec = \"stream:unix:DIR/door,mirror=a\"\n"

// What a mirror shows is what the file says, though ports change their names and
// the switch has mirrors follow them, and what will make mirrors.
func TestReloadNamesOfMirrored(t *testing.T) {
	for _, subst := range [][]string{
		{"name=a", "name=c"}, // the mirrors wait for another a
		{"name=a", "name=c", "mirror=a", "mirror=c", "\"a:out", "\"c:out"},
		{"name=a", "name=b", "name=b", "name=a"},
		{"name=a", "name=c", "mirror=a:in", "mirror=b:out"},
	} {
		l := newLab(t, mirrored)
		l.write(strings.NewReplacer(subst...).Replace(mirrored))
		if _, err := l.Reload(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if text := l.differs(); text != "" {
			t.Errorf("%q: the switch is not what the file says:\n%s", subst, text)
		}
	}
}

// A port's new name is saved wherever the file names it, and a switch that starts
// with that file shows the same port.
func TestSaveNamesOfMirrored(t *testing.T) {
	l := newLab(t, mirrored)
	c := "c"
	if _, err := l.Switch.SetPort("a", vswitch.PortChange{Name: &c}); err != nil {
		t.Fatal(err)
	}
	if _, err := Save(l.File, Running(l.Switch, l.Started, l.Own).visible(), false); err != nil {
		t.Fatal(err)
	}
	if text := l.differs(); text != "" {
		t.Errorf("the file is not what the switch is:\n%s", text)
	}
	want, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	text := want.TOML()
	for _, says := range []string{"c:out", "c:in", "c:both"} {
		if !strings.Contains(text, `"`+says+`"`) {
			t.Errorf("no mirror of %s:\n%s", says, text)
		}
	}
	if strings.Contains(text, `"a:`) {
		t.Errorf("a mirror of the old name:\n%s", text)
	}
}

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines { // insertion sort: a handful of lines
		for j := i; j > 0 && lines[j] < lines[j-1]; j-- {
			lines[j], lines[j-1] = lines[j-1], lines[j]
		}
	}
	return strings.Join(lines, "\n")
}

// A reload that fails changes nothing, and says why where it was asked and in
// the log.
func TestReloadFails(t *testing.T) {
	for _, c := range []struct {
		name, text string
		code       api.Code // "": the switch's own error
		says       string
	}{
		{"broken", "ageing = \"9s\"\nhub = maybe\n", api.ErrInvalid, "line 2: "},
		{"mistakes", "ageing = \"9s\"\n[[port]]\nspec = \"stream:unix:DIR/a,connect=on,nam=a\"\n", api.ErrInvalid, `did you mean "name"?`},
		{"taken", strings.Replace(base, "vlan=10", "vlan=11", 1) + "[[port]]\nspec = \"stream:unix:DIR/taken\"\n", "", "DIR/taken"},
		{"no directory", "[[port]]\nspec = \"stream:unix:DIR/no/x\"\n", "", "DIR/no/x"},
		{"number of somebody else", base + "[[port]]\nspec = \"stream:unix:DIR/n,id=77\"\n", "", "77"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, base)
			write(t, filepath.Join(l.dir, "taken"), "no socket")
			// Port 77 belongs to a client of a door: no file says so.
			client(t, l, 77)
			before := Running(l.Switch, l.Started, l.Own).TOML()
			l.write(c.text)
			_, err := l.Reload(t.Context(), false)
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(c.says, "DIR", l.dir)) || !strings.Contains(err.Error(), "nothing was changed") {
				t.Errorf("error: %v", err)
			}
			if c.code != "" && !errors.Is(err, c.code) {
				t.Errorf("code of %v", err)
			}
			if !strings.Contains(l.logs.String(), "reload changed nothing") {
				t.Errorf("log:\n%s", &l.logs)
			}
			if after := Running(l.Switch, l.Started, l.Own).TOML(); after != before {
				t.Errorf("it was\n%s\nand is\n%s", before, after)
			}
		})
	}
	l := newLab(t, base)
	if err := os.Remove(l.File); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Reload(t.Context(), false); !errors.Is(err, api.ErrFailed) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without the file: %v", err)
	}
	l.File = ""
	if _, err := l.Reload(t.Context(), false); !errors.Is(err, api.ErrFailed) || !strings.Contains(err.Error(), "without a config file") {
		t.Errorf("started without one: %v", err)
	}
}

// Two thousand ports that change all at once are compared before anyone gets
// impatient; the test itself has no clock.
func TestManyPorts(t *testing.T) {
	have, want := New(""), New("")
	for i := 1; i <= 2000; i++ {
		p := mustPort(fmt.Sprintf("stream:unix:/p%d,connect=on,id=%d,name=n%d", i, i, i))
		p.ref = strconv.Itoa(i)
		have.Ports = append(have.Ports, p)
		p.Name = fmt.Sprintf("n%d", i%2000+1) // each takes the next one's name
		want.Ports = append(want.Ports, p)
	}
	plan := Diff(have, want)
	if plan.Changed != 2000 || len(plan.rename) != 2000 || len(plan.set) != 2000 {
		t.Errorf("%s, %d names in the way", plan.Summary(), len(plan.rename))
	}
}
