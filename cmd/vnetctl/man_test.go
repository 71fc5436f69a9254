package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"vnetkit/cmd/internal/man"
)

const manDir = "../../docs/man"

// docs/man has what the help says.
func TestGeneratedManPages(t *testing.T) {
	pages, err := man.Tree((&app{}).rootCommand())
	if err != nil {
		t.Fatal(err)
	}
	man.Compare(t, manDir, "vnetctl", pages, *update)
}

// Every verb has a sentence and an example, which its page begins with; and
// the reader of pages has nothing to complain about.
func TestManPages(t *testing.T) {
	root := (&app{}).rootCommand()
	pages, err := man.Tree(root)
	if err != nil {
		t.Fatal(err)
	}
	reader, _ := exec.LookPath("man")
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		page := string(pages[name])
		examples, about := strings.Index(page, "\n.SH EXAMPLES\n"), strings.Index(page, "\n.SH DESCRIPTION\n")
		if cmd.Short == "" || cmd.Example == "" || examples < 0 || examples > about {
			t.Errorf("vnetctl %s has no sentence or no example: %d %d", cmd.CommandPath(), examples, about)
		}
		if reader != "" && !cmd.HasParent() {
			run := exec.Command(reader, "--warnings", "-l", "-")
			run.Stdin = strings.NewReader(page)
			run.Env = []string{"LC_ALL=C", "MANWIDTH=80", "PATH=/usr/bin:/bin"}
			if out, err := run.CombinedOutput(); err != nil || strings.Contains(string(out), "warning:") {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
				walk(sub)
			}
		}
	}
	walk(root)
}
