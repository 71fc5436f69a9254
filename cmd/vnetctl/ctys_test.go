package main

import (
	"slices"
	"strings"
	"testing"
)

func TestActionFirst(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"-u alice create", "create -u alice"},
		{"-b br0 -u alice.kvm -f -n CREATE", "create -b br0 -u alice.kvm -f -n"},
		{"-s create cancel", "cancel -s create"},
		{"-fX -Z ALL check", "check -fX -Z ALL"},
		{"create -u alice", "create -u alice"},
		{"-s lab ports -o name", "ports -s lab -o name"},
		{"-s lab port set vm1 vlan=1", "-s lab port set vm1 vlan=1"},
		{"--json list", "--json list"},
		{"-u alice", "-u alice"},
		{"LISTALL", "listall"},
		{"", ""},
	} {
		if got := actionFirst(strings.Fields(c.in)); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}

func TestHelpLetter(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"-H", "--help"}, {"-H create", "create --help"}, {"-u alice -H create", "create -u alice --help"}, {"create -H", "create --help"},
		{"exec -H", "exec -H"}, {"", ""},
	} {
		if got := helpLetter(actionFirst(strings.Fields(c.in))); !slices.Equal(got, strings.Fields(c.want)) {
			t.Errorf("%q: %q", c.in, got)
		}
	}
}
