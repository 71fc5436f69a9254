package stp

// stepTransmit is the port transmit machine (17.26).
func (p *port) stepTransmit() bool {
	if !p.enabled || !p.selected || p.updtInfo || p.role != p.selectedRole {
		return false
	}
	if p.helloWhen == 0 { // TRANSMIT_PERIODIC
		p.newInfo = p.newInfo || p.role == Designated || p.role == Root && p.tcWhile != 0 || p.fstp
		p.helloWhen = p.helloTime()
		return true
	}
	if !p.newInfo || p.txCount >= txHold {
		return false
	}
	switch {
	case p.sendRSTP:
		p.sendRST()
	case p.role == Root:
		p.send(&BPDU{Type: TypeTCN})
	case p.role == Designated:
		p.send(&BPDU{Type: TypeConfig, Vector: p.designated, Times: p.desTimes, Role: Designated,
			TC: p.tcWhile != 0, TCAck: p.tcAck})
		p.tcAck = false
	default:
		return false
	}
	p.newInfo = false
	p.helloWhen = p.helloTime()
	return true
}

func (p *port) sendRST() {
	m := BPDU{
		Type: TypeRST, Vector: p.designated, Times: p.desTimes, Role: p.role,
		TC: p.tcWhile != 0, Proposal: p.proposing && p.role == Designated, Agreement: p.agree && p.role != Designated,
		Learning: p.learning, Forwarding: p.forwarding, FSTP: p.fstp,
	}
	if p.fstp {
		m.Times = fstpTimes
		m.Times.Age = min(p.desTimes.Age, 39*second)
	}
	p.send(&m)
	p.tcAck = false
}

func (p *port) send(m *BPDU) {
	p.txCount++
	p.tx++
	p.b.host.Send(p.number, m)
}
