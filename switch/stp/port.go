package stp

import "fmt"

// Role is what a port does for the tree (17.7).
type Role uint8

// The roles. Alternate and Backup ports are the ones that break rings.
const (
	Disabled   Role = iota
	Root            // the way to the root
	Designated      // others' way to the root
	Alternate       // another way to the root, in reserve
	Backup          // a second cable to a segment that this bridge serves already
)

var roleNames = [...]string{"disabled", "root", "designated", "alternate", "backup"}

// String is r's name.
func (r Role) String() string { return roleNames[r] }

// State is what a port may do with frames (17.10).
type State uint8

// The states of a port.
const (
	Discarding State = iota
	Learning         // learn addresses, carry nothing
	Forwarding
)

var stateNames = [...]string{"discarding", "learning", "forwarding"}

// String is s's name.
func (s State) String() string { return stateNames[s] }

// Edge says whether a port leads to stations only, which need not be protected
// from rings and can be served at once.
type Edge uint8

// What an admin says about a port's edge.
const (
	EdgeAuto Edge = iota // it is, when no BPDU is heard for three seconds
	EdgeOn               // it is, until a BPDU is heard
	EdgeOff              // it is not
)

// ParseEdge reads auto, on or off.
func ParseEdge(text string) (Edge, error) {
	for i, name := range edgeNames {
		if text == name {
			return Edge(i), nil
		}
	}
	return 0, fmt.Errorf("edge %q: want auto, on or off", text)
}

var edgeNames = [...]string{"auto", "on", "off"}

// String is e as ParseEdge reads it.
func (e Edge) String() string { return edgeNames[e] }

// PortConfig is what an admin sets on a port. The zero value is the default.
type PortConfig struct {
	Priority  uint8  // 16..240 in steps of 16; 0: 128
	Cost      uint32 // of the way through it; 0: 20,000, in FSTP 20,000,000
	Bonus     uint32 // taken off the cost
	Edge      Edge
	RootGuard bool // never the way to the root: the root lies elsewhere
	Shared    bool // several bridges on it: nobody can agree for all
}

// infoSource says where a port's priority vector comes from (17.19.10).
type infoSource uint8

const (
	infoDisabled infoSource = iota
	infoAged
	infoMine
	infoReceived
)

// port is a port of a Bridge. The comments give the standard's names where the
// fields have others.
type port struct {
	b       *Bridge
	number  int
	cfg     PortConfig
	enabled bool // portEnabled

	// Timers, in seconds (17.17).
	edgeDelayWhile, fdWhile, helloWhen, mdelayWhile int
	rbWhile, rcvdInfoWhile, rrWhile, tcWhile        int
	txCount                                         int

	// Port receive, protocol migration and bridge detection.
	migration          migration
	isEdge             bool // state of the bridge detection machine
	operEdge           bool
	mcheck, sendRSTP   bool
	rcvdRSTP, rcvdSTP  bool
	rcvdMsg            bool
	msg                BPDU // while rcvdMsg
	fstp               bool // the neighbour speaks vde_switch's dialect
	wasEnabled         bool
	heard              bool // a BPDU, since the link is up
	rcvdTc, rcvdTcn    bool
	rcvdTcAck, tcAck   bool
	reselect, selected bool

	// Port information and role selection.
	infoIs             infoSource
	vector, designated Vector // portPriority, designatedPriority
	times, desTimes    Times  // portTimes, designatedTimes
	updtInfo           bool
	agree, agreed      bool
	proposed           bool
	proposing          bool
	disputed           bool
	guarded            bool // would be the root port if the guard let it
	role, selectedRole Role

	// Role and state transitions.
	learn, forward       bool
	learning, forwarding bool
	sync, synced, reRoot bool

	tc      tcState
	tcProp  bool
	newInfo bool

	rx, tx uint64 // BPDUs
}

// begin puts all machines into their first states (BEGIN in the figures).
func (p *port) begin(cfg PortConfig) {
	p.cfg = cfg
	p.isEdge = cfg.Edge == EdgeOn
	p.operEdge = p.isEdge
	p.sendRSTP = true
	p.mdelayWhile, p.edgeDelayWhile = migrateTime, migrateTime
	p.infoIs = infoDisabled
	p.reselect, p.newInfo = true, true
	p.reRoot, p.sync = true, true
	p.desTimes = p.b.ownTimes()
	p.rrWhile = p.fwdDelay()
	p.fdWhile = p.maxAge()
	p.b.host.SetState(p.number, Discarding)
}

// configure takes over settings, and has roles chosen by them.
func (p *port) configure(cfg PortConfig) {
	if cfg.Edge == EdgeOn && p.cfg.Edge != EdgeOn && p.rcvdInfoWhile == 0 {
		p.isEdge, p.operEdge = true, true
	}
	p.cfg = cfg
	p.reselect, p.selected = true, false
}

// id is the port's identifier. Numbers of more than 12 bits share identifiers
// with lower ones; that matters only between two such ports on one segment.
func (p *port) id() PortID {
	prio := p.cfg.Priority & 0xf0
	if prio == 0 {
		prio = DefaultPortPriority
	}
	return PortID(uint16(prio)<<8 | uint16(p.number&0x0fff))
}

func (p *port) cost() uint32 {
	c := p.cfg.Cost
	if c == 0 {
		c = DefaultCost
		if p.fstp {
			c = fstpCost
		}
	}
	return c - min(p.cfg.Bonus, c-1)
}

// Parameters of the state machines (17.20).

func (p *port) helloTime() int { return seconds(p.desTimes.Hello) }
func (p *port) maxAge() int    { return seconds(p.desTimes.MaxAge) }
func (p *port) fwdDelay() int  { return seconds(p.desTimes.Forward) }

// forwardDelay is how long to wait for objections: a neighbour that speaks RSTP
// has no need for long.
func (p *port) forwardDelay() int {
	if p.sendRSTP {
		return p.helloTime()
	}
	return p.fwdDelay()
}

// allSynced tells whether all ports but the root port are in step with the
// root's information, so that an agreement can be given (17.20.3).
func (p *port) allSynced() bool {
	for _, q := range p.b.ports {
		if !q.selected || q.updtInfo || q.role != q.selectedRole || q.role != Root && !q.synced {
			return false
		}
	}
	return true
}

// reRooted tells whether no other port was the root port lately (17.20.10).
func (p *port) reRooted() bool {
	for _, q := range p.b.ports {
		if q != p && q.rrWhile != 0 {
			return false
		}
	}
	return true
}

// tick is the port timers machine (17.22).
func (p *port) tick() {
	for _, t := range []*int{
		&p.edgeDelayWhile, &p.fdWhile, &p.helloWhen, &p.mdelayWhile,
		&p.rbWhile, &p.rcvdInfoWhile, &p.rrWhile, &p.tcWhile, &p.txCount,
	} {
		if *t > 0 {
			*t--
		}
	}
}

// step lets each machine of the port do what it can, and tells whether any did.
func (p *port) step() bool {
	busy := p.stepReceive()
	busy = p.stepMigration() || busy
	busy = p.stepEdge() || busy
	busy = p.stepInfo() || busy
	busy = p.stepRole() || busy
	busy = p.stepState() || busy
	busy = p.stepTopology() || busy
	return p.stepTransmit() || busy
}
