package stp

// migration is the state of the protocol migration machine (17.24).
type migration uint8

const (
	checkingRSTP migration = iota
	sensing
	selectingSTP
)

// receive is the port receive machine (17.23) with a BPDU, and updtBPDUVersion.
func (p *port) receive(m BPDU) {
	p.rx++
	switch {
	case m.Type == TypeRST:
		p.rcvdRSTP = true
	default:
		p.rcvdSTP = true
	}
	if fstp := m.FSTP; m.Type == TypeRST && fstp != p.fstp {
		p.fstp = fstp
		p.reselect, p.selected = true, false // its cost is another
	}
	p.operEdge = false
	p.heard = true
	p.edgeDelayWhile = migrateTime
	p.rcvdMsg, p.msg = true, m
}

// stepReceive is what the port receive machine does without one: it starts over
// when the link is gone.
func (p *port) stepReceive() bool {
	if p.enabled {
		p.wasEnabled = true
		return false
	}
	if !p.wasEnabled {
		p.edgeDelayWhile, p.mdelayWhile = migrateTime, migrateTime
		return false
	}
	p.wasEnabled = false
	p.rcvdRSTP, p.rcvdSTP, p.rcvdMsg, p.fstp, p.heard = false, false, false, false, false
	p.edgeDelayWhile = migrateTime
	return true
}

// stepMigration chooses between RSTP and STP on a port (17.24).
func (p *port) stepMigration() bool {
	switch p.migration {
	case checkingRSTP:
		if !p.enabled || p.mdelayWhile != 0 {
			return false
		}
		p.migration = sensing
		p.rcvdRSTP, p.rcvdSTP = false, false
		return true
	case sensing:
		if p.sendRSTP && p.rcvdSTP && p.enabled && !p.mcheck {
			p.migration = selectingSTP
			p.sendRSTP = false
			p.mdelayWhile = migrateTime
			return true
		}
		if !p.enabled || p.mcheck || !p.sendRSTP && p.rcvdRSTP {
			p.migration = checkingRSTP
			p.mcheck, p.sendRSTP = false, true
			p.mdelayWhile = migrateTime
			return true
		}
	case selectingSTP:
		if p.mdelayWhile == 0 || !p.enabled || p.mcheck {
			p.migration = sensing
			p.rcvdRSTP, p.rcvdSTP = false, false
			return true
		}
	}
	return false
}

// stepEdge is the bridge detection machine (17.25). It is more careful than the
// standard: a link where a BPDU was ever heard is no edge, however long its
// bridge is silent. Bridges that count to infinity fall silent for seconds when
// they have sent all they may, and are there nevertheless.
func (p *port) stepEdge() bool {
	admin := p.cfg.Edge == EdgeOn
	auto := p.cfg.Edge == EdgeAuto
	switch {
	case !p.isEdge && (!p.enabled && admin ||
		p.enabled && p.edgeDelayWhile == 0 && auto && !p.heard && p.sendRSTP && p.proposing):
		p.isEdge, p.operEdge = true, true
		return true
	case p.isEdge && (!admin && (!p.enabled || !auto) || !p.operEdge):
		p.isEdge, p.operEdge = false, false
		return true
	}
	return false
}

// stepInfo is the port information machine (17.27).
func (p *port) stepInfo() bool {
	switch {
	case !p.enabled:
		if p.infoIs == infoDisabled {
			return false
		}
		p.rcvdMsg, p.proposing, p.proposed, p.agree, p.agreed = false, false, false, false, false
		p.disputed = false
		p.rcvdInfoWhile = 0
		p.infoIs = infoDisabled
		p.reselect, p.selected = true, false
	case p.infoIs == infoDisabled:
		p.infoIs = infoAged
		p.reselect, p.selected = true, false
	case p.updtInfo:
		if !p.selected {
			return false
		}
		p.updateInfo()
	case p.rcvdMsg && p.infoIs != infoAged:
		p.takeInfo()
	case p.infoIs == infoReceived && p.rcvdInfoWhile == 0:
		p.infoIs = infoAged
		p.reselect, p.selected = true, false
	default:
		return false
	}
	return true
}

// updateInfo makes the port's information what this bridge says (UPDATE).
func (p *port) updateInfo() {
	p.proposing, p.proposed = false, false
	same := p.infoIs == infoMine && p.designated.compare(p.vector) <= 0
	p.agreed = p.agreed && same
	p.synced = p.synced && p.agreed
	p.vector, p.times = p.designated, p.desTimes
	p.updtInfo = false
	p.infoIs = infoMine
	p.newInfo = true
}

// takeInfo takes what a neighbour said (RECEIVE and the states behind it).
func (p *port) takeInfo() {
	m := &p.msg
	p.rcvdMsg = false
	if m.Type == TypeTCN {
		p.rcvdTcn = true
		return
	}
	if m.FSTP { // which has no such time
		m.Times.Forward = uint16(p.b.cfg.Forward) * second
	}
	switch p.kindOf(m) {
	case superiorDesignated:
		p.agreed, p.proposing = false, false
		p.recordProposal(m)
		p.setTcFlags(m)
		p.agree = p.agree && p.infoIs == infoReceived && m.Vector.compare(p.vector) <= 0
		p.vector, p.times = m.Vector, m.Times
		p.times.Hello = max(p.times.Hello, second)
		p.restartInfo()
		p.infoIs = infoReceived
		p.reselect, p.selected = true, false
	case repeatedDesignated:
		p.recordProposal(m)
		p.setTcFlags(m)
		p.restartInfo()
	case inferiorDesignated: // recordDispute
		if m.Type == TypeRST && m.Learning {
			p.disputed, p.agreed = true, false
		}
	case notDesignated:
		p.recordAgreement(m)
		p.setTcFlags(m)
	}
}

// kind is what a message is worth to a port (rcvInfo, 17.21.8).
type kind uint8

const (
	otherInfo kind = iota
	superiorDesignated
	repeatedDesignated
	inferiorDesignated
	notDesignated
)

func (p *port) kindOf(m *BPDU) kind {
	order := m.Vector.compare(p.vector)
	// vde_switch does not tell blocked ports apart. Whose information is no
	// worse than ours is as good as designated.
	designated := m.Role == Designated ||
		m.FSTP && m.Role == Alternate && m.Vector.supersedes(p.vector)
	switch {
	case m.Vector.Bridge == p.b.id && m.Vector.Port == p.id():
		// A cable leads back into this very port. Nobody else can be blocked.
		return inferiorDesignated
	case designated && order == 0 && p.infoIs == infoReceived && p.sameTimes(m):
		return repeatedDesignated
	case designated && m.Vector.supersedes(p.vector):
		return superiorDesignated
	case designated:
		return inferiorDesignated
	case (m.Role == Root || m.Role == Alternate) && order >= 0:
		return notDesignated
	}
	return otherInfo
}

func (p *port) sameTimes(m *BPDU) bool {
	t := m.Times
	t.Hello = max(t.Hello, second)
	return t == p.times
}

// restartInfo is updtRcvdInfoWhile (17.21.23).
func (p *port) restartInfo() {
	p.rcvdInfoWhile = 0
	if age := int(p.times.Age)/second + 1; age <= seconds(p.times.MaxAge) {
		p.rcvdInfoWhile = 3 * seconds(p.times.Hello)
	}
}

func (p *port) recordProposal(m *BPDU) {
	if m.Proposal && !p.cfg.Shared {
		p.proposed = true
	}
}

func (p *port) recordAgreement(m *BPDU) {
	p.agreed = m.Agreement && !p.cfg.Shared
	if p.agreed {
		p.proposing = false
	}
}

func (p *port) setTcFlags(m *BPDU) {
	p.rcvdTc = p.rcvdTc || m.TC
	p.rcvdTcAck = p.rcvdTcAck || m.Type == TypeConfig && m.TCAck
}
