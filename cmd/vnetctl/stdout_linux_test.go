package main

import (
	"strings"
	"testing"
)

// What could not be printed is a failure, whatever the verb; a reader that has
// seen enough is none that anybody hears of.
func TestPrintIntoFullDisk(t *testing.T) {
	if !ownHost(t) {
		return
	}
	does(t, "create switch lab", 0, "made switch")
	for _, line := range []string{"-s lab ports", "-s lab ports --json", "-s lab graph", "-s lab info", "list", "listall", "check --dhcp 0", "create switch lab", "--help", "ports --help"} {
		out := hostSh(t, "vnetctl "+line+" 2>&1 >/dev/full || echo exit $?")
		if !strings.Contains(out, "no space left") || !strings.HasSuffix(out, "exit 1\n") {
			t.Errorf("vnetctl %s >/dev/full: %s", line, out)
		}
		if out := hostSh(t, "vnetctl "+line+" 2>&1 | true"); out != "" {
			t.Errorf("vnetctl %s | true: %s", line, out)
		}
	}
}
