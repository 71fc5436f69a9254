package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"vnetkit/remote"
)

func TestCutTarget(t *testing.T) {
	for _, tc := range []struct{ in, host, name string }{
		{"node1:lab", "node1", "lab"}, {"u@h:2222:lab", "u@h:2222", "lab"}, {"h:/run/sw", "h", "/run/sw"}, {"h:/a:b", "h", "/a:b"}, {"[::1]:lab", "[::1]", "lab"}, {"[::1]:22:lab", "[::1]:22", "lab"},
		{"h:", "h", ""}, {"@lab:sw", "@lab", "sw"}, {"h:22", "h", "22"}, {"node[1-2]:lab", "node[1-2]", "lab"},
		{"lab", "", ""}, {"/dir/a:b", "", ""}, {"./a:b", "", ""}, {":lab", "", ""}, {"", "", ""},
	} {
		host, name, ok := cutTarget(tc.in)
		if host != tc.host || name != tc.name || ok != (tc.host != "") {
			t.Errorf("%q: %q %q %v", tc.in, host, name, ok)
		}
	}
}

// What goes to the other side is what was typed, without what is for this one.
func TestFarWords(t *testing.T) {
	for in, want := range map[string]string{
		"-r h -l u --push ports -o name --json":                        "ports --json=true --output=name",
		"-s lab -r h ports":                                            "ports --switch=lab",
		"-s h:lab stats --interval 2s":                                 "stats --switch=lab --interval=2s",
		"-r h capture vm1 -c 5 -- tcp":                                 "capture --count=5 vm1 -- tcp",
		"capture h:lab vm1 -- tcp":                                     "capture --switch=lab vm1 -- tcp",
		"-r h port set vm1 vlan=1 --timeout 3s":                        "port set --timeout=3s vm1 vlan=1",
		"-r h create switch x --plug a --plug b,c -u me --all-or-none": "create switch --plug=a --plug=b,c --user=me x",
		"-u me -r h --ssh x --parallel 3 create":                       "create --user=me",
		"-r h ports -- -x":                                             "ports -- -x",
		"-r h":                                                         "",
	} {
		a := &app{}
		root := a.rootCommand()
		got := "it did not run"
		root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
			args, err := a.target(cmd, args)
			got = strings.Join(a.farWords(cmd, args), " ")
			if err != nil {
				got = err.Error()
			}
			return errSilent(0)
		}
		root.SetArgs(actionFirst(strings.Fields(in)))
		_ = root.Execute()
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestGreeting(t *testing.T) {
	for _, tc := range []struct{ in, before, after string }{
		{"vnetctl-far 1 v2 linux/arm64\nrest\n", "", "rest\n"},
		{"Welcome\nvnetctl-farther\nvnetctl-far 1 v2 linux/arm64\n", "Welcome\nvnetctl-farther\n", ""},
		{"half\n vnetctl-further\nvnetctl-far", "half\n vnetctl-further\nvnetctl-far", "-"},
		{"Hi\n\x1b]0;title\avnetctl-far 1 v2 linux/arm64\nrest\n", "Hi\n\x1b]0;title\a", "rest\n"},
		{"$ vnetctl-far 1 v2 linux/arm64\nrest\n", "$ ", "rest\n"},
	} {
		for step := 1; step < 8; step++ {
			var out bytes.Buffer
			var p peer
			heard := false
			g := &greeting{to: &out, heard: func(words []string) { heard = true; p.set(words) }}
			for rest := []byte(tc.in); len(rest) > 0; rest = rest[min(step, len(rest)):] {
				if _, err := g.Write(rest[:min(step, len(rest))]); err != nil {
					t.Fatal(err)
				}
			}
			if tc.after == "-" {
				if heard || g.done {
					t.Errorf("%q greets", tc.in)
				}
				continue
			}
			if string(g.before) != tc.before || out.String() != tc.after || p.major != 1 || p.version != "v2" {
				t.Errorf("%q by %d: %q, %q, %+v", tc.in, step, g.before, &out, p)
			}
		}
	}
}

// Whatever comes, however it is cut, what follows the greeting is passed on whole.
func FuzzGreeting(f *testing.F) {
	f.Add("Welcome\n", "vnetctl-far 1 x y\n", "rest\n\x00", 3)
	f.Fuzz(func(t *testing.T, before, mark, after string, step int) {
		step = max(step%64, 1)
		var out bytes.Buffer
		var failed error
		g := &greeting{to: &out, failed: func(err error) { failed = err }}
		text := before + "\n" + farGreets + " 1\n" + after + mark
		for rest := text; rest != "" && failed == nil; rest = rest[min(step, len(rest)):] {
			_, _ = g.Write([]byte(rest[:min(step, len(rest))]))
		}
		if failed != nil {
			if len(before) < maxBefore-200 {
				t.Fatal(failed)
			}
			return
		}
		if !g.done || !strings.HasSuffix(text, out.String()) || !strings.HasSuffix(out.String(), after+mark) {
			t.Fatalf("%q gives %q", text, &out)
		}
	})
}

func TestPeer(t *testing.T) {
	for words, want := range map[string]string{"": "older", "0": "older", "9 v7 linux/amd64": "newer", "x": "older", "1": ""} {
		var p peer
		p.set(strings.Fields(words))
		if err := p.check(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", words, err)
		}
	}
}

func TestLineWriter(t *testing.T) {
	var out bytes.Buffer
	w := &lineWriter{to: &out, lock: func(f func()) { f() }, prefix: "h: "}
	for _, text := range []string{"one\ntw", "o\n\x1b[2J\tred", ""} {
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	w.flush()
	w.flush()
	if out.String() != "h: one\nh: two\nh: ?[2J\tred\n" {
		t.Errorf("%q", &out)
	}
}

func TestLineFilter(t *testing.T) {
	long := strings.Repeat("x", longestLine+1)
	text := "one\ngone\n\n" + long + "\nend"
	for _, step := range []int{1, 7, 1 << 16, len(text)} {
		var out bytes.Buffer
		f := &lineFilter{to: &out, take: func(line string) bool { return line == "gone" }}
		for rest := []byte(text); len(rest) > 0; rest = rest[min(step, len(rest)):] {
			if _, err := f.Write(rest[:min(step, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if got := out.String() + string(f.part); got != "one\n\n"+long+"\nend" || string(f.part) != "end" {
			t.Errorf("by %d: %d bytes, %.20q", step, len(got), got)
		}
	}
}

func TestSumUpHosts(t *testing.T) {
	var jobs []*job
	for i, code := range []int{0, 1, 4, 0, 77, 5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4} {
		jobs = append(jobs, &job{host: remote.Host{Name: string(rune('a' + i))}, code: code})
	}
	text, worst := sumUpHosts(jobs)
	if want := "18 hosts: 2 done, 2 failed (b, e), 13 not reached (c, g, h, i, j, k, l, m, n, o, and 3 more), 1 undone (f)"; text != want || worst != 5 {
		t.Errorf("%s, %d", text, worst)
	}
}

func TestShowJobs(t *testing.T) {
	now := time.Unix(1000, 0)
	jobs := []*job{
		{host: remote.Host{Name: "done"}, begun: now.Add(-time.Minute), finish: now},
		{host: remote.Host{Name: "quick"}, begun: now.Add(-time.Millisecond), status: "connecting"},
		{host: remote.Host{Name: "slow"}, begun: now.Add(-3 * time.Second), status: "connecting"},
		{host: remote.Host{Name: "later"}},
	}
	var out bytes.Buffer
	if n := showJobs(&out, jobs, now, 30, 20); n != 2 || out.String() != "  slow: connecting, 3 s\n1 of 4 hosts finished, 1 not b\n" {
		t.Errorf("%d lines: %q", n, &out)
	}
	if n := showJobs(&out, jobs[:2], now, 30, 20); n != 0 {
		t.Errorf("%d lines", n)
	}
}
