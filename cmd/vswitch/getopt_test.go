package main

import (
	"slices"
	"strings"
	"testing"
)

func grammarOf(vde bool) grammar {
	var o options
	var raw rawOptions
	return newGrammar(o.flags(&raw), vde)
}

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		args string // separated by blanks; "·" is an empty word
		want string // or "! " and words of the error
		vde  string // if it is another one when called vde_switch
	}{
		// The documented forms, and those of real scripts.
		{"-s /d", "--sock=/d", ""},
		{"-s/d", "--sock=/d", ""},
		{"-sock /d", "--sock=/d", ""},
		{"--sock=/d -vdesock /e --unix /f", "--sock=/d --sock=/e --sock=/f", ""},
		{"-sock=/d", "--sock=/d", ""},
		{"-m 660 -mod 660 -mode 660 --mod=660", "--mode=660 --mode=660 --mode=660 --mode=660", ""},
		{"-daemon -d -hub -x -fstp -F", "--daemon --daemon --hub --hub --fstp --fstp", ""},
		{"-group g -g g -mgmt /m -M /m -mgmtmode 660 --mgmtgroup g", "--group=g --group=g --mgmt=/m --mgmt=/m --mgmtmode=660 --mgmtgroup=g", ""},
		{"-tap t0 --tap t1 -t t2 -tt3", "--port=tap:t0 --port=tap:t1 --port=tap:t2 --port=tap:t3", ""},
		{"-t a,b", "--port=tap:a,,b", ""},
		{"--sock D --dirmode 0700 --hub", "--sock=D --dirmode=0700 --hub", ""},
		{"-s c -m 660 -g vde2-net -p /p.pid -t tap0 -M m --mgmtmode 660 -d", "--sock=c --mode=660 --group=vde2-net --pidfile=/p.pid --port=tap:tap0 --mgmt=m --mgmtmode=660 --daemon", ""},
		{"-n 8 --numports 8 -D 3 --priority 1 --hashsize 64 --macaddr 0:1:2:3:4:5", "--numports=8 --numports=8 --debugclients=3 --priority=1 --hashsize=64 --macaddr=0:1:2:3:4:5", ""},
		{"-f rc --rcfile rc --nostdin", "--rcfile=rc --rcfile=rc --nostdin", ""},
		// Abbreviations and letters in one word.
		{"--so d --soc d", "--sock=d --sock=d", ""},
		{"-dae", "--daemon", ""},
		{"-da", "--daemon", ""},
		{"-dx", "--daemon --hub", ""},
		{"-dxs d", "--daemon --hub --sock=d", ""},
		{"-dsd", "--daemon --sock=d", ""},
		{"--nu 3 --pri 3 --rc f", "--numports=3 --priority=3 --rcfile=f", ""},
		{"--m 3", "! --m ambiguous --mode --mgmt", ""},
		{"-h", "--help", ""},
		{"--vers", "--version", ""},
		// -p and -v mean two things.
		{"-p /a/b", "--pidfile=/a/b", ""},
		{"-p stream:unix:/a", "--port=stream:unix:/a", "--pidfile=stream:unix:/a"},
		{"-p x.pid", "--port=x.pid", "--pidfile=x.pid"},
		{"-v", "--verbose", "--version"},
		{"-vq", "--verbose --quiet", "--version --quiet"},
		// Our own.
		{"--fdb-size -1 --web-write=false --spin=0s", "--fdb-size=-1 --web-write=false --spin=0s", ""},
		{"--name n --config f --check -V", "--name=n --config=f --check --version", ""},
		{"-s=/d", "--sock=/d", ""}, // of vde_switch, an abbreviation of -sock=/d
		{"-m=660 -p=tap:a", "--mode=660 --port=tap:a", "! -m ambiguous"},
		{"--work 2", "--workers=2", ""},
		// What is no option.
		{"a -d b", "--daemon -- a b", ""},
		{"-d -- -x", "--daemon -- -x", ""},
		{"-", "-- -", ""},
		{"·", "-- ·", ""},
		{"-s ·", "--sock=", ""},
		// Mistakes.
		{"--nosuch", "! unrecognized option '--nosuch'", ""},
		{"-nosuch", "! unrecognized '-nosuch'", "--numports=osuch"},
		{"-zx", "! unrecognized '-zx'", ""},
		{"-xz", "! invalid option -- 'z'", ""},
		{"-s", "! requires an argument -- 's'", ""},
		{"--sock", "! '--sock' requires an argument", ""},
		{"--hub=3x", "! '--hub' doesn't allow an argument", ""},
		{"--=x", "! unrecognized", ""},
	} {
		for _, vde := range []bool{false, true} {
			want := c.want
			if vde && c.vde != "" {
				want = c.vde
			}
			if c.args == "-nosuch" { // a letter that takes the rest, in both
				want = "--numports=osuch"
			}
			got, err := grammarOf(vde).translate(words(c.args))
			if says, ok := strings.CutPrefix(want, "! "); ok {
				for _, w := range strings.Fields(says) {
					if err == nil || !strings.Contains(err.Error(), w) {
						t.Errorf("%s (vde %t): %q, error %v, want one about %s", c.args, vde, got, err, w)
					}
				}
				continue
			}
			if err != nil || !slices.Equal(got, words(want)) {
				t.Errorf("%s (vde %t): %q, %v, want %q", c.args, vde, got, err, want)
			}
		}
	}
}

func words(text string) []string {
	list := strings.Fields(text)
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], "·", "")
	}
	return list
}

// Whatever is typed, what comes out is flags that pflag can take apart, or an
// error; and translating it once more changes nothing.
func FuzzTranslate(f *testing.F) {
	for _, seed := range []string{"-s /d -m 660", "-dxs d --so=3", "-p a:b/c -v", "-- -d", "a -t b,c", "--m=", "-=", "--hub=true"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, vde bool) {
		g := grammarOf(vde)
		got, err := g.translate(strings.Split(text, " "))
		if err != nil {
			return
		}
		positional := false
		for _, w := range got {
			if w == "--" {
				positional = true
			}
			if !positional && !strings.HasPrefix(w, "--") {
				t.Errorf("%q became %q", text, got)
			}
		}
		again, err := g.translate(got)
		if err != nil || !slices.Equal(again, got) {
			t.Errorf("%q became %q and then %q, %v", text, got, again, err)
		}
	})
}
