package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var known = Known{Kinds: []link.Kind{plug.Stream()}, Group: func(name string) error {
	if name == "nobody-has-this" {
		return fmt.Errorf("no group %q", name)
	}
	return nil
}}

// read parses and checks a file that must be good.
func read(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.toml", []byte(text), known)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, text)
	}
	return c
}

// mistakes is what is wrong with a file.
func mistakes(text string) string {
	c, err := Parse("test.toml", []byte(text), known)
	if err == nil {
		err = c.Check()
	}
	if err == nil {
		return "none\n"
	}
	return err.Error() + "\n"
}

// Every kind of mistake, each file on its own; the golden file has what is said.
func TestMistakes(t *testing.T) {
	files := []struct{ name, text string }{
		{"not TOML", "ageing = \n"},
		{"unfinished", "[[port"},
		{"no UTF-8", "group = \"\xff\"\n"},
		{"key twice", "hub = true\nhub = false\n"},
		{"table twice", "[port-default]\n[port-default]\n"},
		{"unknown key", "agein = \"3s\"\nzzzzzzzzzz = 1\n"},
		{"unknown table", "[prot]\nx = 1\n[[fbd]]\n"},
		{"unknown key in port-default", "[port-default]\nvlna = 3\nname = \"x\"\nid = 4\n"},
		{"unknown key in port", "[[port]]\nkind = \"stream\"\naddress = \"unix:/x\"\nconect = true\nvaln = 3\n"},
		{"unknown key in spec", "[[port]]\nspec = \"stream:unix:/x,colour=red\"\n"},
		{"unknown key in fdb", "[[port]]\nspec = \"stream:unix:/x,name=a\"\n[[fdb]]\nmac = \"2:0:0:0:0:1\"\nport = \"a\"\nvaln = 2\n"},
		{"wrong types", "mode = 660\nhub = \"yes\"\nageing = 300\nfdb-size = \"many\"\nworkers = 1.5\nspin = 1979-05-27\ngroup = [\"a\"]\nquiet = {}\n"},
		{"wrong values", "mode = \"0888\"\nageing = \"1500ms\"\nfdb-size = 0\nworkers = -1\nspin = \"1s\"\ngroup = \"nobody-has-this\"\nmgmtgroup = \"nobody-has-this\"\n"},
		{"wrong shapes", "port-default = 3\nport = 3\n[fdb]\nmac = \"x\"\n"},
		{"wrong elements", "port = [3, {kind = \"stream\", address = \"unix:/x\"}]\nfdb = [true]\n"},
		{"wrong types in port", "[[port]]\nkind = 3\naddress = true\nid = \"1\"\nname = 7\nvlan = \"10\"\nnative = true\ntagged = true\ntransparent = \"on\"\nisolated = 1\ndown = []\nmtu = \"big\"\nmaclimit = 2.5\nmirror = 1.5\n"},
		{"wrong values in port", "[[port]]\nkind = \"stream\"\naddress = \"unix:/x\"\nid = 0\nname = \"a b\"\nvlan = 4095\nnative = \"both\"\ntagged = [1, \"9-2\"]\nmtu = 67\nmaclimit = -1\nmirror = [\"vm1:sideways\"]\n"},
		{"names that mean something else", "[[port]]\nspec = \"stream:unix:/x\"\nname = \"all\"\n[[port]]\nspec = \"stream:unix:/y\"\nname = \"12\"\n[[port]]\nspec = \"stream:unix:/z\"\nname = \"port8\"\nid = 7\n"},
		{"nothing to open", "[[port]]\nname = \"a\"\n[[port]]\nkind = \"stream\"\n[[port]]\naddress = \"unix:/x\"\n"},
		{"not to be saved", "[[port]]\nspec = \"stream:unix:/x,save=off\"\n[[port]]\nspec = \"stream:unix:/y\"\nsave = false\n[port-default]\nsave = false\n"},
		{"spec and kind", "[[port]]\nspec = \"stream:unix:/x\"\nkind = \"stream\"\n"},
		{"spec and key", "[[port]]\nspec = \"stream:unix:/x,vlan=3,connect=on\"\nvlan = 3\nconnect = true\n"},
		{"kind is a spec", "[[port]]\nkind = \"stream:unix:/x\"\naddress = \"\"\n"},
		{"bad spec", "[[port]]\nspec = \"stream\"\n[[port]]\nspec = \"stream:unix:/x,vlan\"\n[[port]]\nspec = \"stream:unix:/x,mtu=9\"\n[[port]]\nspec = \"\"\n"},
		{"unknown kind", "[[port]]\nkind = \"steam\"\naddress = \"unix:/x\"\n[[port]]\nspec = \"pigeon:post\"\n"},
		{"bad address", "[[port]]\nkind = \"stream\"\naddress = \"unix:\"\n[[port]]\nkind = \"stream\"\naddress = \"tcp:1:99999\"\n"},
		{"value of the kind's own key", "[[port]]\nkind = \"stream\"\naddress = \"unix:/x\"\nmode = \"999\"\n[[port]]\nkind = \"stream\"\naddress = \"unix:/x\"\nconnect = [1]\n"},
		{"number and name twice", "[[port]]\nspec = \"stream:unix:/x,id=3,name=a\"\n[[port]]\nspec = \"stream:unix:/y,id=3,name=a\"\n"},
		{"static addresses", "[[fdb]]\n[[fdb]]\nmac = \"01:00:5e:00:00:01\"\nport = \"a\"\n[[fdb]]\nmac = 3\nvlan = 5000\nport = true\n"},
		{"static address twice", "[[port]]\nspec = \"stream:unix:/x,name=a,vlan=3\"\n[[fdb]]\nmac = \"02:00:00:00:00:01\"\nport = \"a\"\n[[fdb]]\nmac = \"02:00:00:00:00:01\"\nport = \"a\"\nvlan = 3\n"},
		{"static address without a VLAN", "[[port]]\nspec = \"stream:unix:/x,name=a,tagged=3,native=none\"\n[[fdb]]\nmac = \"02:00:00:00:00:01\"\nport = \"a\"\n"},
	}
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "== %s\n%s-- says\n%s\n", f.name, strings.ToValidUTF8(f.text, "?"), mistakes(f.text))
		if mistakes(f.text) == "none\n" {
			t.Errorf("%s: no mistake found", f.name)
		}
	}
	golden(t, "mistakes", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it); got:\n%s", path, got)
	}
}

// All mistakes are told, by line, and one sentence has the first few.
func TestAllMistakesAtOnce(t *testing.T) {
	text := "hub = 1\nzebra = 2\n[[port]]\nspec = \"x\"\n[[port]]\nspec = \"stream:unix:/x\"\nvlan = 0\n[[port]]\nspec = \"stream:unix:/x\"\nmtu = 0\n"
	c, _ := Parse("test.toml", []byte(text), known)
	err := c.Check()
	bad, ok := err.(Mistakes) //nolint:errorlint // the very type
	if !ok || len(bad) != 5 {
		t.Fatalf("got %v", err)
	}
	for i, line := range []int{1, 2, 4, 7, 10} {
		if bad[i].Line != line {
			t.Errorf("mistake %d is in line %d, want %d: %v", i, bad[i].Line, line, bad[i])
		}
	}
	if s := bad.Sentence(); strings.Contains(s, "\n") || !strings.HasPrefix(s, "test.toml has 5 mistakes: line 1: hub") || !strings.HasSuffix(s, "; and 1 more") {
		t.Errorf("sentence: %s", s)
	}
	if !bad.Is(vswitch.ErrInvalid) {
		t.Error("mistakes are no vswitch.ErrInvalid")
	}
}

// The example file is good, says every key there is, and survives its own
// writing.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("../../docs/vswitch.toml")
	if err != nil {
		t.Fatal(err)
	}
	c := read(t, string(data))
	keys := append(append(Keys(), portKeys...), "kind", "address", "spec", "mac", tableDefault, tablePort, tableFDB)
	for _, key := range keys {
		if !strings.Contains(string(data), "\n"+key+" = ") && !strings.Contains(string(data), "\n# "+key+" = ") && !strings.Contains(string(data), "["+key+"]") {
			t.Errorf("docs/vswitch.toml does not show %q", key)
		}
	}
	// What is commented out is right, too.
	all := strings.NewReplacer("\n# group", "\ngroup", "\n# mgmtgroup", "\nmgmtgroup", "\n# metrics", "\nmetrics", "\n# web", "\nweb").Replace(string(data))
	if len(read(t, all).Given()) != len(Keys()) {
		t.Errorf("given: %v", read(t, all).Given())
	}
	roundTrip(t, c)
	roundTrip(t, read(t, all))
}

func roundTrip(t *testing.T, c *Config) {
	t.Helper()
	again := read(t, c.TOML())
	if plan := Diff(c, again); !plan.Empty() || plan.Unchanged != len(c.Ports) {
		t.Errorf("written and read again it differs:\n%s%s", plan.Text(), c.TOML())
	}
	if again.TOML() != c.TOML() {
		t.Errorf("written twice:\n%s\n%s", c.TOML(), again.TOML())
	}
}

func TestQuoting(t *testing.T) {
	for _, addr := range []string{`unix:/a"b\c`, "unix:/tab\tnew\nline", "unix:/ä,b=c", "unix:/\x7f\x01", "unix:/it's"} {
		c := New("")
		c.Ports = []Port{{Link: link.Spec{Kind: "stream", Addr: addr}, Set: Settings{}}}
		roundTrip(t, c)
		if got := read(t, c.TOML()).Ports[0].Link.Addr; got != addr {
			t.Errorf("%q became %q", addr, got)
		}
	}
}

// The keys of ports are the switch's own.
func TestPortKeysAreTheSwitchs(t *testing.T) {
	_, err := vswitch.ParsePortConfig("nosuchkey=1")
	for _, key := range portKeys {
		if !strings.Contains(err.Error(), " "+key) {
			t.Errorf("the switch does not know %q: %v", key, err)
		}
		if portKeyTypes[key].want == "" {
			t.Errorf("%q has no type", key)
		}
	}
	list := err.Error()[strings.Index(err.Error(), "known keys: ")+len("known keys: "):]
	if n := len(strings.Fields(list)); n != len(portKeys)+1 { // and save, which no file has
		t.Errorf("the switch knows %d keys, %s", n, list)
	}
}

// What fill says is what the switch does.
func TestFillIsWhatTheSwitchDoes(t *testing.T) {
	sets := []string{"", "vlan=7", "tagged=3+5", "vlan=7,tagged=all", "mtu=100,maclimit=3,isolated=on", "allowmac=52:54:00:00:00:01+52:54:00:00:00:02", "transparent=on,down=on", "mirror=a:in+b", "edge=on,bpduguard=on,storm=broadcast:5", "cost=7,priority=32,rootguard=on,storm=9", "tagged=none", "vlan=1"}
	for _, def := range sets {
		for i, own := range sets {
			c := New("")
			if err := c.PutDefault(def); err != nil {
				t.Fatal(err)
			}
			cfg, err := vswitch.ParsePortConfig(def)
			if err != nil {
				t.Fatal(err)
			}
			sw, err := vswitch.New(vswitch.Options{Kinds: known.Kinds, Default: cfg, Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			spec := strings.TrimSuffix("stream:tcp:127.0.0.1:9,connect=on,name=p,"+own, ",")
			added, err := sw.Add(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			p, err := ParsePort(spec)
			if err != nil {
				t.Fatal(err)
			}
			full := c.full(&p)
			if text := settingsDiff(settingsOf(added.Port.Config), full); text != "" {
				t.Errorf("default %q, port %q: %s", def, own, text)
			}
			if text := settingsDiff(full, fill(c.Default, lean(c.Default, full))); text != "" {
				t.Errorf("default %q, port %q, lean: %s", def, own, text)
			}
			if err := sw.Close(); err != nil {
				t.Error(i, err)
			}
		}
	}
}
