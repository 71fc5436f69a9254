package vswitch

import (
	"vnetkit/switch/frame"
)

// topology is what the data path knows about all ports. It is never changed
// once it is stored; whoever holds one may read it without a lock.
type topology struct {
	views []*view // by port number; nil: no such port
	hub   bool
}

// view is one port in a topology: its settings as the data path wants them.
type view struct {
	port        *Port
	id          int
	name        string
	pvid        frame.VID  // VLAN of frames that come in without a tag; 0: none
	noTag       DropReason // of those: notDropped, but where there is no such VLAN
	bare        frame.VID  // VLAN whose frames leave without a tag; 0: none
	tagged      *frame.VIDSet
	transparent bool
	isolated    bool
	down        bool     // set down by the admin
	shut        bool     // down because the BPDU guard says so
	up          bool     // has a link and is not down: may receive
	gate        *gate    // what the spanning tree lets it do; nil: all
	hears       bool     // BPDUs that come in are for this switch
	storm       bool     // has a storm guard
	sources     *Sources // that may come in; nil: any
	mtu         int
	takes       frame.OffloadSet // for the trace; the data path asks the port
	monitor     bool             // mirror destination: shows copies, takes no part
	mirrorIn    []int
	mirrorOut   []int
	// nil: the cable is good in that direction.
	badIn, badOut *line
}

// get returns the view of port id, or nil.
func (t *topology) get(id int) *view {
	if id < 0 || id >= len(t.views) {
		return nil
	}
	return t.views[id]
}

// receivers lists the ports that a flood of VLAN vid can reach. Who asks keeps
// the list as long as the topology.
func (t *topology) receivers(vid frame.VID) []*view {
	var list []*view
	for _, v := range t.views {
		if v != nil && v.up && !v.monitor && v.member(vid) && v.open(vid) {
			list = append(list, v)
		}
	}
	return list
}

// member tells whether frames of VLAN vid may leave by v.
func (v *view) member(vid frame.VID) bool {
	return vid == v.pvid || !v.transparent && v.tagged.Has(vid)
}

// edit is what a frame's tag needs when it leaves by v, which is a member of
// its VLAN.
func (v *view) edit(c class) frame.Edit {
	switch {
	case c.vid != v.bare: // leaves tagged
		switch c.tag {
		case tagNone:
			return frame.InsertTag(uint16(c.vid))
		case tagPriority:
			return frame.SetTag(c.tci&^0x0fff | uint16(c.vid))
		}
		return 0
	case c.tag == tagNone:
		return 0
	case !v.transparent && v.tagged.Has(c.vid): // all tags pass here untouched
		return 0
	}
	return frame.RemoveTag()
}
