package vswitch

import (
	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// decide is verdict.decide as a function, for tables.
func decide(t *topology, table *fdb.Table, in *view, f frame.Frame, now uint32) verdict {
	var v verdict
	v.decide(t, table, in, f, now)
	return v
}
