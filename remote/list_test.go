package remote

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes files below a directory.
func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func join(hosts []Host) string {
	var list []string
	for _, h := range hosts {
		list = append(list, h.String())
	}
	return strings.Join(list, " ")
}

// groupFiles are the files of testBook.
var groupFiles = map[string]string{
	"own/lab":      "# the lab\nnode1, node2:2222\n\nalice@node3 # the third\nnode1\n",
	"own/both":     "#include lab,sub/rack\n@lab last\n#included is a comment\n",
	"own/sub/rack": "r[1-3]\tr9(-t pm -W 'a,b') {MACRO:more}",
	"own/self":     "self other",
	"own/ga":       "x #include gb\n#include gb",
	"own/gb":       "@ga",
	"own/gc":       "gd",
	"own/gd":       "ge",
	"own/ge":       "gc",
	"own/bad":      "ok\nno/such:x",
	"own/lost":     "#include nowhere",
	"ctys/lab":     "shadowed",
	"ctys/old":     "oldhost",
	"mac/default":  "# macros\nmore = m1,m2\nname=gateway\nlong = one \\\n two\ntwice = {MACRO:name}.{MACRO:name%other}\nloop = {MACRO:loop}\nempty =\n",
	"mac/other":    "name = elsewhere",
}

func testBook(t testing.TB) Book {
	dir := t.TempDir()
	files := map[string]string{}
	for name, text := range groupFiles {
		files[name] = text
	}
	for i := range 17 { // nested deeper than may be
		files[fmt.Sprintf("own/deep%d", i)] = fmt.Sprintf("@deep%d", i+1)
	}
	files["own/deep17"] = "bottom"
	write(t, dir, files)
	return Book{Groups: []string{dir + "/own", dir + "/ctys"}, Macros: []string{dir + "/mac"}}
}

func TestHosts(t *testing.T) {
	b := testBook(t)
	for _, tc := range []struct{ in, user, want string }{
		{"a,b", "", "a b"},
		{" a , b\n\tc,,", "", "a b c"},
		{"bob@a:22,b", "alice", "bob@a:22 alice@b"},
		{"a,a,root@a,a:22", "", "a root@a a:22"},
		{"[::1]:22,[fe80::1%eth0],2001:db8::5", "", "[::1]:22 [fe80::1%eth0] [2001:db8::5]"},
		{"node[01-03]", "", "node01 node02 node03"},
		{"node[9-11]", "", "node9 node10 node11"},
		{"u@r[1-2]n[01,3-4].x:99", "", "u@r1n01.x:99 u@r1n3.x:99 u@r1n4.x:99 u@r2n01.x:99 u@r2n3.x:99 u@r2n4.x:99"},
		{"u@[::1]:[1-2]", "", "u@[::1]:1 u@[::1]:2"},
		{"lab", "", "node1 node2:2222 alice@node3"},
		{"@lab", "root", "root@node1 root@node2:2222 alice@node3"},
		{"old", "", "oldhost"},
		{"both", "", "node1 node2:2222 alice@node3 r1 r2 r3 r9 m1 m2 last"},
		{"@sub/rack", "", "r1 r2 r3 r9 m1 m2"},
		{"self", "", "self other"},
		{"lab:22,x@lab", "", "lab:22 x@lab"}, // with a port or a user it is a host
		{"{MACRO:name}[1-2],{MACRO:name%other%ECHO},{MACRO:long%ECHO}", "", "gateway1 gateway2 elsewhere one two"},
		{"{MACRO:twice}", "", "gateway.elsewhere"},
		{"{MACRO:empty}z", "", "z"},
	} {
		hosts, err := b.Hosts(tc.in, tc.user)
		if got := join(hosts); err != nil || got != tc.want {
			t.Errorf("%q: %q, %v; want %q", tc.in, got, err, tc.want)
		}
		again, err := Book{}.Hosts(strings.ReplaceAll(join(hosts), " ", ","), "")
		if err != nil || join(again) != join(hosts) {
			t.Errorf("%q is read as %q, %v", join(hosts), join(again), err)
		}
	}
}

func TestHostsRefused(t *testing.T) {
	b := testBook(t)
	for _, tc := range []struct{ in, want string }{
		{"", "no host"}, {" , ", "no host"},
		{"-oProxyCommand=x", "dash"}, {"a@-x", "dash"}, {"-u@a", "dash"},
		{"a;b", "not allowed"}, {"$(id)", "not allowed"}, {"a`b`", "not allowed"}, {"a/b", "no such group"}, {"a\x00b", "not allowed"}, {"hö", "not allowed"},
		{"a:0", "1 to 65535"}, {"a:65536", "1 to 65535"}, {"a:", "1 to 65535"}, {"a:+1", "1 to 65535"}, {"a:b:c", "colons"}, {"@", "no name"}, {"x@", "no name"}, {":22", "no name"},
		{"[::1", "bracket"}, {"::1]", "bracket"}, {"[1-2", "bracket"}, {"[::1]x", "bracket"}, {"[node:1]", "IPv6"}, {"[[1-2]]", "bracket"}, {"a)", "parenthes"}, {"a(b", "bracket"},
		{"n[2-1]", "backwards"}, {"n[]", "range"}, {"n[a-b]", "range"}, {"n[1-]", "range"}, {"n[-1]", "range"}, {"n[1-9999999]", "more than"}, {"n[1-4096]m[1-2]", "more than"}, {"n[99999999999-1]", "range"},
		{"@nosuch", "no such group"}, {"@../own/lab", "no name of a file"}, {"@/etc/passwd", "no name of a file"}, {"@.hidden", "no name of a file"}, {"lost", "no such group"},
		{"@ga", "ga -> gb -> ga"}, {"gc", "gc -> gd -> ge -> gc"}, {"deep0", "15 deep"}, {"bad", "bad:2"},
		{"{MACRO:name", "closing"}, {"{MACRO:nosuch}", "none of this name"}, {"{MACRO:name%nofile}", "no file"}, {"{MACRO:name%../own/lab}", "no name of a file"},
		{"{MACRO:name%default%EVAL}", "EVAL"}, {"{MACRO:name%EVAL}", "EVAL"}, {"{MACRO:name%default%RUN}", "means nothing"}, {"{MACRO:loop}", "too much"}, {"{MACRO:}", "no name"},
		{strings.Repeat("a", 300), "too many"},
	} {
		hosts, err := b.Hosts(tc.in, "")
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, %v; want %q", tc.in, hosts, err, tc.want)
		}
	}
	if _, err := b.Hosts("gc", ""); !errors.Is(err, ErrCycle) {
		t.Errorf("%v is no cycle", err)
	}
	if _, err := b.Hosts("x", "a b"); err == nil {
		t.Error("a user with a space in the name is taken")
	}
}

func TestGroupNames(t *testing.T) {
	names := strings.Join(testBook(t).Names(), " ")
	for _, want := range []string{"lab", "old", "sub/rack"} {
		if !strings.Contains(" "+names+" ", " "+want+" ") || strings.Count(" "+names+" ", " "+want+" ") != 1 {
			t.Errorf("%s is not in %s once", want, names)
		}
	}
}

func TestDefaultBook(t *testing.T) {
	env := map[string]string{"HOME": "/h", "CTYS_GROUPS_PATH": "/g1:rel::/g2"}
	b := DefaultBook(func(k string) string { return env[k] })
	if got := strings.Join(b.Groups, " "); got != "/h/.config/vnetkit/groups /g1 /g2" {
		t.Errorf("groups in %s", got)
	}
	if got := strings.Join(b.Macros, " "); got != "/h/.config/vnetkit/macros /h/.ctys/macros" {
		t.Errorf("macros in %s", got)
	}
}

// Whatever is read, no host can be taken for an option or hand anything to a shell.
func FuzzHosts(f *testing.F) {
	for _, seed := range []string{"a,b:22,u@c", "node[01-20]", "[fe80::1%eth0]:22", "@lab", "both", "{MACRO:twice}", "x(-a b,c)", "n[1,2-3]m[4-5]", "a\n#b"} {
		f.Add(seed, "u")
	}
	b := testBook(f)
	f.Fuzz(func(t *testing.T, text, user string) {
		hosts, err := b.Hosts(text, user)
		if err == nil && len(hosts) == 0 || len(hosts) > MaxHosts {
			t.Fatalf("%d hosts and no error", len(hosts))
		}
		for _, h := range hosts {
			if h.Name == "" || h.Name[0] == '-' || h.User != "" && h.User[0] == '-' || strings.ContainsAny(h.Name+h.User, " \t\n'\"$`;|&<>(){}*?\\/") {
				t.Fatalf("%q gives %q", text, h)
			}
			back, err := ParseHost(h.String())
			if err != nil || back != h {
				t.Fatalf("%+v is written %q and read %+v, %v", h, h, back, err)
			}
		}
	})
}

// A group file can hold anything.
func FuzzGroupFile(f *testing.F) {
	for _, text := range groupFiles {
		f.Add(text)
	}
	dir := f.TempDir()
	write(f, dir, map[string]string{"g/other": "h1 h2", "m/default": "a = b"})
	b := Book{Groups: []string{dir + "/g"}, Macros: []string{dir + "/m"}}
	f.Fuzz(func(t *testing.T, text string) {
		r := &reader{book: b, seen: map[Host]bool{}, stack: []string{"file"}}
		if err := r.members(text, "file"); err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
		if len(r.stack) != 1 || len(r.hosts) > MaxHosts {
			t.Fatalf("%v, %d hosts", r.stack, len(r.hosts))
		}
	})
}
