package main

import (
	"testing"

	"vnetkit/cmd/internal/man"
)

//go:generate go test . -count=1 -run ^TestGenerated -update

// docs/man has what vmrun --help says.
func TestGeneratedManPage(t *testing.T) {
	pages, err := man.Tree(command(env{}))
	if err != nil {
		t.Fatal(err)
	}
	man.Compare(t, "../../docs/man", "vmrun", pages, *update)
}
