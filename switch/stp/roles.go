package stp

// selectRoles is the port role selection machine (17.28): when any port's
// information has changed, all roles are chosen anew.
func (b *Bridge) selectRoles() bool {
	again := false
	for _, p := range b.ports {
		again = again || p.reselect
		p.reselect = false
	}
	if !again {
		return false
	}
	b.chooseRoot()
	for _, p := range b.ports {
		p.designated = b.root
		p.designated.Port = p.id()
		p.desTimes = b.times
		p.desTimes.Hello = b.ownTimes().Hello
		p.chooseRole()
	}
	for _, p := range b.ports {
		p.selected = true
	}
	return true
}

// chooseRoot finds the best way to the best root (updtRolesTree, a to d).
func (b *Bridge) chooseRoot() {
	best := Vector{Root: b.id, Bridge: b.id}
	b.via = nil
	for _, p := range b.ports {
		p.guarded = false
		if p.infoIs != infoReceived || p.vector.Bridge.MAC() == b.id.MAC() {
			continue
		}
		v := p.vector.through(p.cost())
		// Two ports to the same port of a neighbour differ in their own number.
		order := v.compare(best)
		if order > 0 || order == 0 && (b.via == nil || b.via.id() <= p.id()) {
			continue
		}
		if p.cfg.RootGuard {
			p.guarded = true
			continue
		}
		best, b.via = v, p
	}
	b.times = b.ownTimes()
	b.root = Vector{Root: best.Root, Cost: best.Cost, Bridge: b.id}
	if b.via != nil {
		b.times = b.via.times
		b.times.Age += second
	}
}

// chooseRole is updtRolesTree, e to l.
func (p *port) chooseRole() {
	p.selectedRole = Designated
	switch p.infoIs {
	case infoDisabled:
		p.selectedRole = Disabled
		p.updtInfo = false
	case infoAged:
		p.updtInfo = true
	case infoMine:
		p.updtInfo = p.updtInfo || p.vector != p.designated || p.times != p.desTimes
	case infoReceived:
		p.updtInfo = false
		switch {
		case p == p.b.via:
			p.selectedRole = Root
		case p.designated.compare(p.vector) < 0:
			p.updtInfo = true
		case p.vector.Bridge == p.b.id:
			p.selectedRole = Backup
		default:
			p.selectedRole = Alternate
		}
	}
}
