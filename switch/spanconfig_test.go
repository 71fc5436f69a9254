package vswitch

import (
	"testing"

	"vnetkit/switch/frame"
)

func TestSTPConfigErrors(t *testing.T) {
	l := newLab(t, Options{})
	for _, c := range []struct {
		name string
		ch   Change
	}{
		{"mode", Change{STP: &STPChange{Mode: ptr(STPMode("pvst"))}}},
		{"hello", Change{STP: &STPChange{Hello: ptr(11)}}},
		{"hello 0", Change{STP: &STPChange{Hello: ptr(0)}}},
		{"maximum age 0", Change{STP: &STPChange{MaxAge: ptr(0)}}},
		{"forward delay 0", Change{STP: &STPChange{Forward: ptr(0)}}},
		{"hub", Change{Hub: ptr(true), STP: &STPChange{Mode: ptr(STPRapid)}}},
		{"MAC", Change{STP: &STPChange{MAC: &frame.Broadcast}}},
	} {
		before := l.sw.SpanningTree().Config
		if err := l.sw.Set(c.ch); err == nil {
			t.Errorf("%s: no error", c.name)
		}
		if after := l.sw.SpanningTree().Config; after != before || l.sw.Info().Hub {
			t.Errorf("%s: the switch is left with %v", c.name, after)
		}
	}
	for _, keys := range []string{"edge=maybe", "cost=300000000", "priority=17", "priority=256", "bpduguard=x", "storm=-1", "storm=broadcast", "storm=all:5"} {
		if _, err := l.sw.Add(t.Context(), "pipe:x,single=on,"+keys); err == nil {
			t.Errorf("%s is taken", keys)
		}
	}
}
