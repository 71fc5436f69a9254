package vswitch

import (
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// State is what a port is up to.
type State string

// The states of a port.
const (
	StateUp      State = "up"      // carries frames
	StateDown    State = "down"    // set down by the admin
	StateWaiting State = "waiting" // has no link (yet, or any more)
)

// Peer is who is on the other end of a link.
type Peer = link.Peer

// Count counts frames and the bytes in them.
type Count struct{ Frames, Bytes uint64 }

// PortInfo is a port as it is now.
type PortInfo struct {
	Config PortConfig // with every default filled in

	// Of a bad cable, by Direction: frames that travel on it now, which are part
	// of Queue, and those that it has made twice. Frames that came in and
	// Duplicated[DirIn] were switched or dropped, or are Held[DirIn]; likewise out.
	Held       [2]int
	Duplicated [2]uint64

	Kind   string // as in its spec
	Spec   string // what opened it
	Door   string // name of the door at which its client plugged in; "": the port was added
	State  State
	Reason string    // why it waits, or a remark on its link
	Since  time.Time // in this State since
	Peer   link.Peer // who is plugged in; UID -1 when nobody or unknown
	// Endpoints are the links that are plugged in, oldest first.
	Endpoints []EndpointInfo
	Rx, Tx    Count // frames that came in from, and went out to, the link
	Drops     [numDropReasons]uint64
	Queue     int // frames that wait for a slow receiver now
	MACs      int // addresses learned here
	Tree      PortTree
	Loop      string // port to which frames that go out here come back; "": none

	Takes   frame.OffloadSet // work on frames that may be left to the link's far end
	Offload OffloadCount
}

// DoorInfo is a place where clients can plug in.
type DoorInfo struct {
	Name string // how to remove it: its spec
	Kind string
	Spec string
}

// Info is the switch as it is now.
type Info struct {
	Started   time.Time
	Ports     int
	Ageing    time.Duration
	Hub       bool
	MaxPort   int        // highest port number
	Default   PortConfig // settings of ports whose spec says nothing
	Workers   int
	FDBSize   int // entries in the forwarding table
	FDBCap    int
	Unlearned uint64 // addresses that were not learned because of a limit
	Captures  int    // that run now
	Doors     []DoorInfo
	EventSeq  uint64 // number of the latest event
	STP       STPConfig
	Loops     []Loop // seen lately
}

// FDBEntry is an address that the switch knows.
type FDBEntry struct {
	VID    frame.VID
	MAC    frame.MAC
	Port   int
	Age    time.Duration // since it was last seen; 0 for static ones
	Static bool
}

// FDBFilter selects entries; zero fields select all.
type FDBFilter struct {
	Port   string // name or number
	VID    frame.VID
	MAC    *frame.MAC
	Static bool // FlushFDB: static entries too
}
