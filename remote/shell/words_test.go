package shell

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"vnetkit/remote/sshtest"
)

// A real shell reads what was meant.
func TestQuote(t *testing.T) {
	out, err := exec.Command("/bin/sh", "-c", Quote(append([]string{"printf", `%s\0`}, sshtest.Wicked...))).Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if !slices.Equal(got, sshtest.Wicked) {
		t.Errorf("%q", got)
	}
	if line := Quote([]string{"vnetctl", "-s", "lab", "port=1"}); line != "vnetctl -s lab port=1" {
		t.Errorf("%q: plain words are quoted", line)
	}
	if line := Quote([]string{"A=b", "=ls"}); line != "'A=b' '=ls'" {
		t.Error(line)
	}
}

func TestWords(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{"ssh -F /x", []string{"ssh", "-F", "/x"}},
		{` ssh  -o 'Proxy Command' "a b\"c" d\ e ''`, []string{"ssh", "-o", "Proxy Command", `a b"c`, "d e", ""}},
		{`a"b"'c'd`, []string{"abcd"}},
		{`"\n$x"`, []string{`\n$x`}},
		{"a\\\nb", []string{"ab"}},
		{"", nil},
	} {
		got, err := Words(tc.in)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, %v", tc.in, got, err)
		}
	}
	for _, bad := range []string{"'", `"`, `\`, `a "b`, `"\`} {
		if got, err := Words(bad); err == nil {
			t.Errorf("%q is read as %q", bad, got)
		}
	}
}

// What Quote writes, Words reads; and so does a shell.
func FuzzQuote(f *testing.F) {
	for _, w := range sshtest.Wicked {
		f.Add(w, "x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = strings.ReplaceAll(a, "\x00", ""), strings.ReplaceAll(b, "\x00", "") // no argument has them
		line := Quote([]string{a, b})
		got, err := Words(line)
		if err != nil || !slices.Equal(got, []string{a, b}) {
			t.Fatalf("%q: %q, %v", line, got, err)
		}
		out, err := exec.Command("/bin/sh", "-c", Quote([]string{"printf", `%s\0`, a, b})).Output()
		if err != nil || string(out) != a+"\x00"+b+"\x00" {
			t.Fatalf("a shell reads %q as %q: %v", line, out, err)
		}
	})
}

// Words never panics, and what it reads can be written and read again.
func FuzzWords(f *testing.F) {
	f.Add(`ssh -o 'a b' "c\"d" e\ f`)
	f.Fuzz(func(t *testing.T, text string) {
		words, err := Words(text)
		if err != nil {
			return
		}
		again, err := Words(Quote(words))
		if err != nil || !slices.Equal(again, words) {
			t.Fatalf("%q: %q, then %q, %v", text, words, again, err)
		}
	})
}
