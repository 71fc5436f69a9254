package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A real shell reads back what shellQuote writes.
func TestShellQuote(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skipf("needs a shell: %v", err)
	}
	argv := []string{"plain", "", "a b", "it's", `"`, `\`, "$HOME", "`x`", "a\nb", "~", "*", "#", "!", "a=b,c", "{}", "ä", "-x", `'\''`}
	out, err := exec.Command(sh, "-c", `for a in "$@"; do printf '%s\0' "$a"; done`, "sh").CombinedOutput()
	if err != nil || len(out) != 0 {
		t.Fatalf("%q, %v", out, err)
	}
	out, err = exec.Command(sh, "-c", "set -- "+shellQuote(argv)+`; for a in "$@"; do printf '%s\0' "$a"; done`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, argv) {
		t.Errorf("got %q, want %q", got, argv)
	}
}
