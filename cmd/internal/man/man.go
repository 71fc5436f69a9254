// Package man makes the manual pages of the programs from their help, for the
// tests that write and compare docs/man. It is part of no program.
//
// Admins read examples first, so pages have them before the description.
package man

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Tree returns the pages of a command and all below it, by file name.
func Tree(cmd *cobra.Command) (map[string][]byte, error) {
	pages := map[string][]byte{}
	text, err := page(cmd)
	if err != nil {
		return nil, err
	}
	pages[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"] = text
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "completion" || sub.Name() == "help" {
			continue
		}
		below, err := Tree(sub)
		if err != nil {
			return nil, err
		}
		for name, text := range below {
			pages[name] = text
		}
	}
	return pages, nil
}

// page is the page of one command.
func page(cmd *cobra.Command) ([]byte, error) {
	cmd.DisableAutoGenTag = true
	long := cmd.Long
	cmd.Long = fence(long)
	defer func() { cmd.Long = long }()
	// The day of making would make each page new each day.
	day := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	if err := doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Date: &day, Source: "vnetkit", Manual: "vnetkit manual"}, &b); err != nil {
		return nil, fmt.Errorf("make page of %s: %w", cmd.CommandPath(), err)
	}
	// A switch that is off by default needs no "[=false]".
	return examplesFirst(bytes.ReplaceAll(b.Bytes(), []byte("[=false]"), nil)), nil
}

// fence marks indented lines as text to be left as it is.
func fence(long string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(long) {
		indented := strings.HasPrefix(line, "  ")
		if indented != inside && (indented || strings.TrimSpace(line) != "" || inside) {
			b.WriteString("```\n")
			inside = indented
		}
		b.WriteString(line)
	}
	if inside {
		b.WriteString("\n```\n")
	}
	return b.String()
}

// examplesFirst moves the examples before the description.
func examplesFirst(text []byte) []byte {
	parts := strings.Split(string(text), "\n.SH ")
	find := func(name string) int {
		return slices.IndexFunc(parts, func(p string) bool { return strings.HasPrefix(p, name+"\n") })
	}
	from, to := find("EXAMPLE"), find("DESCRIPTION")
	if from > to && to > 0 {
		example := strings.TrimSuffix(strings.Replace(parts[from], "EXAMPLE", "EXAMPLES", 1), "\n")
		parts = slices.Insert(slices.Delete(parts, from, from+1), to, example)
	}
	return []byte(strings.TrimSuffix(strings.Join(parts, "\n.SH "), "\n") + "\n")
}

// Help makes a page of the help text of a program that has no commands: first
// a line "NAME - what it is", then examples, then sections whose titles are not
// indented, the first of them "Options". about are the paragraphs of the
// description.
func Help(help string, about ...string) (name string, text []byte) {
	first, rest, _ := strings.Cut(help, "\n")
	name, short, _ := strings.Cut(first, " - ")
	var b strings.Builder
	fmt.Fprintf(&b, ".TH \"%s\" \"1\" \"Jan 2026\" \"vnetkit\" \"vnetkit manual\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n\\fB%s\\fP [OPTIONS]\n.SH EXAMPLES\n.nf\n", strings.ToUpper(name), name, escape(short), name)
	options := false
	for line := range strings.Lines(strings.TrimLeft(rest, "\n")) {
		line = strings.TrimSuffix(line, "\n")
		title := line != "" && line[0] != ' ' && len(line) < 40 && !strings.ContainsAny(line, ".,")
		if line == "Options" {
			b.WriteString(".fi\n.SH DESCRIPTION\n")
			for _, paragraph := range about {
				b.WriteString(".PP\n" + escape(paragraph) + "\n")
			}
			options = true
		}
		if title && options {
			fmt.Fprintf(&b, ".fi\n.SH %s\n.nf\n", strings.ToUpper(line))
			continue
		}
		b.WriteString(escape(line) + "\n")
	}
	b.WriteString(".fi\n.SH SEE ALSO\n\\fBvnetctl\\fP(1), \\fBvmrun\\fP(1)\n")
	return name, []byte(b.String())
}

// escape keeps text from meaning something to troff.
func escape(line string) string {
	line = strings.ReplaceAll(strings.ReplaceAll(line, `\`, `\e`), "-", `\-`)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}

// Compare checks that the pages of a program in dir are these and no others,
// or writes them.
func Compare(t *testing.T, dir, program string, want map[string][]byte, update bool) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(dir, program+"*.1"))
	if err != nil {
		t.Fatal(err)
	}
	if update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	for _, path := range old {
		if want[filepath.Base(path)] == nil {
			t.Errorf("%s is of nothing: make gen", path)
		}
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s is out of date (%v): make gen", filepath.Join(dir, name), err)
		}
	}
}
