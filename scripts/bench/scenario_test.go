//go:build linux

package main

import (
	"slices"
	"testing"
	"time"
)

func TestScenariosFitTheirPeers(t *testing.T) {
	peers, err := peerTable("vswitch", []string{"mine=/bin/mine {path} -x"})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	dur := settings{dur: time.Second}
	for _, s := range slices.Concat(allScenarios(peers, dur), hostScenarios("vswitch", dur), vhostScenarios("vswitch", dur)) {
		if seen[s.name] {
			t.Errorf("%s: twice", s.name)
		}
		seen[s.name] = true
		for _, c := range s.cells {
			if (c.plan == nil) == (c.direct == nil) {
				t.Errorf("%s: %s has no plan, or two", s.name, c.name)
			}
			if c.plan == nil {
				continue
			}
			for _, j := range c.plan.jobs {
				if j.Size > 1514+4 && c.name == "vde_switch" || c.name == "copy" && j.Role == "send" && len(j.Dst) != 1 {
					t.Errorf("%s: %s cannot do it", s.name, c.name)
				}
			}
		}
	}
	for _, want := range targetTable() {
		if want.scenario != "" && !seen[want.scenario] {
			t.Errorf("target %q: no scenario %q", want.text, want.scenario)
		}
	}
}

func TestPeerFlagNeedsAPath(t *testing.T) {
	for _, bad := range []string{"x", "x=cmd"} {
		if _, err := peerTable("v", []string{bad}); err == nil {
			t.Errorf("--peer %q was taken", bad)
		}
	}
}
