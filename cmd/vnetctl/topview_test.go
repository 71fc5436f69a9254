package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vnetkit/mgmt/api"
)

// viewOf is two readings, a second apart, of ports that do various things.
func viewOf(n int) *topView {
	v := &topView{sort: "rate"}
	for second := range uint64(2) {
		st := api.Stats{Life: "x", MonotonicNS: int64(second) * 1e9, Totals: api.Totals{Ports: n, PortsUp: n - 1}, FDB: api.FDBSize{Entries: 7}}
		for i := range uint64(n) {
			p := api.PortStats{ID: int(i) + 1, Name: fmt.Sprintf("vm%02d", i+1), Kind: "stream", State: "up"}
			p.Rx = api.Count{Frames: second * i * 1000, Bytes: second * i * 60000}
			p.Drops = map[string]uint64{"ring-full": second * (100 - i), "mtu": second * 3}
			p.Queue = int(i * 7 % 5)
			st.Ports = append(st.Ports, p)
		}
		st.Ports[0].State = "waiting"
		v.add(st)
	}
	return v
}

// Whatever the size, nothing is longer or higher than the terminal.
func TestTopFits(t *testing.T) {
	for _, w := range []int{1, 2, 5, 10, 17, 20, 21, 40, 79, 80, 81, 132, 300} {
		for _, h := range []int{1, 2, 3, 4, 6, 24, 50} {
			for _, colour := range []bool{false, true} {
				v := viewOf(30)
				v.colour = colour
				v.now.Ports[2].Name = strings.Repeat("long-name-", 6)
				lines := v.lines(w, h)
				if len(lines) > h {
					t.Errorf("%dx%d: %d lines", w, h, len(lines))
				}
				for _, line := range lines {
					if visible(line) > w {
						t.Errorf("%dx%d: %q is %d wide", w, h, line, visible(line))
					}
				}
			}
		}
	}
	v := viewOf(30)
	v.trouble = "nobody listens on 日本語"
	if line := v.lines(30, 24)[0]; columnsOf(line) > 30 || !strings.HasPrefix(line, "! nobody") {
		t.Errorf("%q", line)
	}
	compare(t, "top", strings.Join(viewOf(30).lines(80, 24), "\n")+"\n====\n"+strings.Join(viewOf(30).lines(20, 6), "\n")+"\n")
}

// The list of what gives way has each column once.
func TestTopImportance(t *testing.T) {
	var heads []string
	for _, c := range viewOf(1).table().columns {
		heads = append(heads, c.head)
	}
	want := slices.Sorted(slices.Values(topImportance))
	if slices.Sort(heads); !slices.Equal(heads, want) {
		t.Errorf("%q and %q", heads, want)
	}
}

func TestTopSorts(t *testing.T) {
	first := func(v *topView) string { return v.sorted()[0].Name }
	v := viewOf(10)
	for _, tc := range []struct{ key, want, reversed string }{
		{"r", "vm10", "vm01"}, {"d", "vm01", "vm10"}, {"u", "vm03", "vm06"}, {"n", "vm01", "vm10"},
	} {
		v.key(tc.key)
		got := first(v)
		v.key("i")
		reversed := first(v)
		v.key("i")
		if got != tc.want || reversed != tc.reversed {
			t.Errorf("%s: first is %s, reversed %s; want %s and %s", tc.key, got, reversed, tc.want, tc.reversed)
		}
	}
	if v.why[1] != "ring-full" {
		t.Errorf("why: %v", v.why)
	}
	// Scrolling stops at both ends.
	for range 50 {
		v.key("j")
	}
	if text := strings.Join(v.lines(80, 8), "\n"); !strings.Contains(text, "vm10") || !strings.Contains(text, "vm06") || strings.Contains(text, "vm05") {
		t.Errorf("at the end:\n%s", text)
	}
	for range 60 {
		v.key("\x1b[A")
	}
	if v.from != 0 {
		t.Errorf("at the beginning: %d", v.from)
	}
	// Another life, no rates.
	st := v.now
	st.Life = "y"
	if v.add(st); v.rates != nil || len(v.sorted()) != 10 {
		t.Error("rates of two lives")
	}
	if v := (&topView{sort: "rate"}); len(v.lines(80, 24)) != 24 {
		t.Error("nothing read yet")
	}
}

func TestKeys(t *testing.T) {
	if got := keysIn("q\x1b[A\x1bOBjj\x1b"); !slices.Equal(got, []string{"q", "\x1b[A", "\x1b[B", "j", "j", "\x1b"}) {
		t.Errorf("%q", got)
	}
}

func TestTopFlags(t *testing.T) {
	for args, want := range map[string]string{"--sort ratte": `did you mean "rate"?`, "--interval 1ms": "too short", "-n -1": "--count -1", "--interval soon": "a time such as"} {
		if _, stderr, code := vnetctl(t, nil, append([]string{"top"}, strings.Fields(args)...)...); code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d: %s", args, code, stderr)
		}
	}
}
