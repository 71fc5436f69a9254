package main

import (
	"strings"

	"vnetkit/mgmt/api"
)

// worked tells whether any work was done on frames that went out.
func worked(o *api.Offload) bool {
	return o != nil && o.Cut+o.Segments+o.Completed+o.Merged > 0
}

// offloadText is the work that was done on frames that went out by a port.
func offloadText(o *api.Offload) string {
	if !worked(o) {
		return ""
	}
	var parts []string
	add := func(n uint64, text string) {
		if n > 0 {
			parts = append(parts, text)
		}
	}
	add(o.Cut, "cut "+humanUint(o.Cut)+" to "+humanUint(o.Segments))
	add(o.Completed, "completed "+humanUint(o.Completed))
	add(o.Merged, "merged "+humanUint(o.Merged))
	return strings.Join(parts, ", ")
}

// offloadTable is that work of all ports where there was any.
func offloadTable(st api.Stats) *table {
	t := &table{columns: []column{{head: "OFFLOAD-AT"}, {head: "TAKES"}, {head: "CUT", right: true}, {head: "SEGMENTS", right: true}, {head: "COMPLETED", right: true}, {head: "MERGED", right: true}}}
	for _, p := range st.Ports {
		if o := p.Offload; worked(o) {
			t.add(p.Name, o.Takes, humanUint(o.Cut), humanUint(o.Segments), humanUint(o.Completed), humanUint(o.Merged))
		}
	}
	return t
}
