package stp

// stepRole is the port role transitions machine (17.29).
func (p *port) stepRole() bool {
	if !p.selected || p.updtInfo {
		return false
	}
	if p.role != p.selectedRole {
		p.enterRole()
		return true
	}
	switch p.role {
	case Disabled:
		return p.stepDisabled()
	case Root:
		return p.stepRoot()
	case Designated:
		return p.stepDesignated()
	}
	return p.stepBlocked()
}

// enterRole is the first state of a role: DISABLE_PORT, ROOT_PORT,
// DESIGNATED_PORT or BLOCK_PORT.
func (p *port) enterRole() {
	p.role = p.selectedRole
	switch p.role {
	case Root:
		p.rrWhile = p.fwdDelay()
	case Disabled, Alternate, Backup:
		p.learn, p.forward = false, false
	}
	p.b.host.SetState(p.number, p.state())
}

func (p *port) stepDisabled() bool {
	if p.learning || p.forwarding || p.fdWhile == p.maxAge() && !p.sync && !p.reRoot && p.synced && p.rrWhile == 0 {
		return false
	}
	p.fdWhile, p.rrWhile = p.maxAge(), 0
	p.synced = true
	p.sync, p.reRoot = false, false
	return true
}

func (p *port) stepRoot() bool {
	soon := p.fdWhile == 0 || p.reRooted() && p.rbWhile == 0
	switch {
	case p.proposed && !p.agree: // ROOT_PROPOSED
		p.setSync()
		p.proposed = false
	case p.allSynced() && !p.agree, p.proposed && p.agree: // ROOT_AGREED
		p.proposed, p.sync = false, false
		p.agree, p.newInfo = true, true
	case !p.forward && !p.reRoot: // REROOT
		for _, q := range p.b.ports {
			q.reRoot = true
		}
	case p.reRoot && p.forward: // REROOTED
		p.reRoot = false
	case soon && !p.learn: // ROOT_LEARN
		p.fdWhile = p.forwardDelay()
		p.learn = true
	case soon && !p.forward: // ROOT_FORWARD
		p.fdWhile = 0
		p.forward = true
	case p.rrWhile != p.fwdDelay(): // ROOT_PORT
		p.rrWhile = p.fwdDelay()
	default:
		return false
	}
	return true
}

func (p *port) stepDesignated() bool {
	soon := p.fdWhile == 0 || p.agreed || p.operEdge
	retired := p.rrWhile == 0 || !p.reRoot
	switch {
	case !p.forward && !p.agreed && !p.proposing && !p.operEdge: // DESIGNATED_PROPOSE
		p.proposing, p.newInfo = true, true
		p.edgeDelayWhile = migrateTime
		if p.cfg.Shared {
			p.edgeDelayWhile = p.maxAge()
		}
	case !p.synced && (!p.learning && !p.forwarding || p.agreed || p.operEdge), p.sync && p.synced: // DESIGNATED_SYNCED
		p.rrWhile = 0
		p.synced, p.sync = true, false
	case p.rrWhile == 0 && p.reRoot: // DESIGNATED_RETIRED
		p.reRoot = false
	case (p.sync && !p.synced || p.reRoot && p.rrWhile != 0 || p.disputed) && !p.operEdge && (p.learn || p.forward): // DESIGNATED_DISCARD
		p.learn, p.forward, p.disputed = false, false, false
		p.fdWhile = p.forwardDelay()
	case soon && retired && !p.sync && !p.learn: // DESIGNATED_LEARN
		p.learn = true
		p.fdWhile = p.forwardDelay()
	case soon && retired && !p.sync && !p.forward: // DESIGNATED_FORWARD
		p.forward = true
		p.fdWhile = 0
		p.agreed = p.sendRSTP
	default:
		return false
	}
	return true
}

// stepBlocked is for alternate and backup ports.
func (p *port) stepBlocked() bool {
	switch {
	case p.learning || p.forwarding:
		return false // the port state machine comes first
	case p.proposed && !p.agree: // ALTERNATE_PROPOSED
		p.setSync()
		p.proposed = false
	case p.allSynced() && !p.agree, p.proposed && p.agree: // ALTERNATE_AGREED
		p.proposed = false
		p.agree, p.newInfo = true, true
	case p.role == Backup && p.rbWhile != 2*p.helloTime(): // BACKUP_PORT
		p.rbWhile = 2 * p.helloTime()
	case p.fdWhile != p.forwardDelay() || p.sync || p.reRoot || !p.synced || p.rrWhile != 0: // ALTERNATE_PORT
		p.fdWhile, p.rrWhile = p.forwardDelay(), 0
		p.synced = true
		p.sync, p.reRoot = false, false
	default:
		return false
	}
	return true
}

// setSync has all ports make sure that they are in step with the root's
// information (setSyncTree).
func (p *port) setSync() {
	for _, q := range p.b.ports {
		q.sync = true
	}
}

// stepState is the port state transition machine (17.30).
func (p *port) stepState() bool {
	was := p.state()
	if p.learn == p.learning && p.forward == p.forwarding {
		return false
	}
	p.learning, p.forwarding = p.learn, p.forward
	if now := p.state(); now != was {
		p.b.host.SetState(p.number, now)
	}
	return true
}

func (p *port) state() State {
	switch {
	case p.forwarding:
		return Forwarding
	case p.learning:
		return Learning
	}
	return Discarding
}
