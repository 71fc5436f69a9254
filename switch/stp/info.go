package stp

// Info is a bridge as it is now.
type Info struct {
	ID       ID
	Root     ID     // as this bridge believes
	Cost     uint32 // of the way there
	RootPort int    // by which it leads; 0: this bridge is the root
	Upstream Vector // what the neighbour at the root port says
	Times    Times  // that are in force, from the root
	Changes  uint64 // of the topology that this bridge saw or heard of
	Ports    []PortInfo
}

// PortInfo is a port as it is now.
type PortInfo struct {
	Port       int
	ID         PortID
	Role       Role
	State      State
	Cost       uint32
	Edge       bool   // leads to stations only
	Speaks     string // rstp, stp or fstp
	Guarded    bool   // blocked by its root guard
	Disputed   bool   // the neighbour does not hear us, or not as it should
	Designated Vector // the best that is known on its segment
	Rx, Tx     uint64 // BPDUs
}

// Info is b as it is now.
func (b *Bridge) Info() Info {
	i := b.Brief()
	for _, p := range b.ports {
		i.Ports = append(i.Ports, p.info())
	}
	return i
}

// Brief is Info without the ports.
func (b *Bridge) Brief() Info {
	i := Info{ID: b.id, Root: b.root.Root, Cost: b.root.Cost, Times: b.times, Changes: b.changes}
	if b.via != nil {
		i.RootPort, i.Upstream = b.via.number, b.via.vector
	}
	return i
}

// Port is one port as it is now; ok is false if there is none.
func (b *Bridge) Port(number int) (i PortInfo, ok bool) {
	p := b.port(number)
	if p == nil {
		return i, false
	}
	return p.info(), true
}

func (p *port) info() PortInfo {
	i := PortInfo{
		Port: p.number, ID: p.id(), Role: p.role, State: p.state(), Cost: p.cost(),
		Edge: p.operEdge && p.enabled, Speaks: "rstp", Guarded: p.guarded && p.role == Alternate,
		Disputed: p.disputed, Designated: p.vector, Rx: p.rx, Tx: p.tx,
	}
	switch {
	case p.fstp:
		i.Speaks = "fstp"
	case !p.sendRSTP:
		i.Speaks = "stp"
	}
	return i
}
