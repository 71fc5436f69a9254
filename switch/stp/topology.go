package stp

// tcState is the state of the topology change machine (17.31).
type tcState uint8

const (
	tcInactive tcState = iota
	tcLearning
	tcActive
)

// stepTopology is the topology change machine. When a port begins to forward,
// stations may be elsewhere than bridges think: all are told, and forget.
func (p *port) stepTopology() bool {
	tree := p.role == Root || p.role == Designated
	heard := p.rcvdTc || p.rcvdTcn || p.rcvdTcAck || p.tcProp
	switch p.tc {
	case tcInactive:
		if !p.learn {
			return false
		}
		p.tc = tcLearning
		p.forgetHeard()
	case tcLearning:
		switch {
		case tree && p.forward && !p.operEdge: // DETECTED, then ACTIVE
			p.tc = tcActive
			p.b.changes++
			p.newTcWhile()
			p.propagate()
			p.newInfo = true
		case !tree && !p.learn && !p.learning && !heard:
			p.inactive()
		case heard:
			p.forgetHeard()
		default:
			return false
		}
	case tcActive:
		switch {
		case !tree || p.operEdge:
			p.tc = tcLearning
			p.forgetHeard()
		case p.rcvdTcn, p.rcvdTc: // NOTIFIED_TCN, NOTIFIED_TC
			if p.rcvdTcn {
				p.newTcWhile()
				p.tcAck = p.role == Designated
			}
			p.rcvdTcn, p.rcvdTc = false, false
			p.b.changes++
			p.propagate()
		case p.tcProp: // PROPAGATING
			p.newTcWhile()
			p.b.host.Flush(p.number)
			p.tcProp = false
		case p.rcvdTcAck: // ACKNOWLEDGED
			p.tcWhile = 0
			p.rcvdTcAck = false
		default:
			return false
		}
	}
	return true
}

// inactive is for a port that has left the tree: what was behind it is no more.
func (p *port) inactive() {
	p.tc = tcInactive
	p.b.host.Flush(p.number)
	p.tcWhile = 0
	p.tcAck = false
}

func (p *port) forgetHeard() {
	p.rcvdTc, p.rcvdTcn, p.rcvdTcAck, p.tcProp = false, false, false, false
}

// propagate tells the others (setTcPropTree).
func (p *port) propagate() {
	for _, q := range p.b.ports {
		if q != p {
			q.tcProp = true
		}
	}
}

// newTcWhile starts telling of a change by this port (17.21.7).
func (p *port) newTcWhile() {
	switch {
	case p.tcWhile != 0:
	case p.sendRSTP:
		p.tcWhile = p.helloTime() + 1
		p.newInfo = true
	default:
		p.tcWhile = p.maxAge() + p.fwdDelay()
	}
}
