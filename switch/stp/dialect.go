package stp

// FSTP is what vde_switch -F speaks. It looks like RSTP, but is not, as observed
// with Debian's vde_switch 2.3.2:
//
//   - Its two role bits are others: a port that leads to the root says 0x04, which
//     in RSTP is an alternate port; a blocked one says 0x08, which in RSTP is the
//     root port; only designated (0x0c) is the same.
//   - A vde_switch that hears of its own root at a higher cost blocks the port
//     unless the sender says 0x04. So a root port that speaks proper RSTP to it is
//     cut off: it must say 0x04.
//   - It sends hellos by all ports, blocked ones too, and thinks that a port where
//     nothing was heard for a while has no bridge behind it. So does a port of
//     ours that speaks the dialect.
//   - It never ages information by distance: the age in its BPDUs is the time since
//     it heard of the root itself.
//   - It has no forward delay and says so; a forward delay of 0 is what nobody else
//     sends, and how its BPDUs are known.

// fstpTimes are the constants in all its BPDUs.
var fstpTimes = Times{MaxAge: 40 * second, Hello: 4 * second}

// fstpCost is what each of its ports adds to the cost of a way.
const fstpCost = 20_000_000

// isFSTP tells vde_switch's BPDUs from RSTP by what nobody else has.
func isFSTP(t Times) bool {
	return t.Forward == 0 && t.Hello == fstpTimes.Hello && t.MaxAge == fstpTimes.MaxAge
}

// fromFSTP puts a BPDU of the dialect in RSTP's terms.
func (b *BPDU) fromFSTP(flags byte) {
	b.FSTP = true
	switch flags & flagRole {
	case 0x04:
		b.Role = Root
	case 0x08:
		// Blocked: a designated port that waits for an agreement, or an
		// alternate one. Who knows the vector can tell, see receivedInfo.
		b.Role = Alternate
		b.Proposal = true
	}
	// Each of its ports adds at least fstpCost, unless someone set a bonus. So
	// this is an age that grows with the distance, and bounds how often false
	// news of a lost root can go round.
	b.Times.Age = uint16(min(b.Vector.Cost/fstpCost, 255)) * second
}

// fstpRole are the role bits, and the proposal that goes with them.
func fstpRole(r Role) byte {
	switch r {
	case Root:
		return 0x04
	case Designated:
		return 0x0c
	}
	return 0x08 | flagProposal
}
