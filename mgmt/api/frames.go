package api

// CaptureRequest says what to capture: the query of GET /v1/capture.
type CaptureRequest struct {
	Ports  []string // numbers or names; none: all, also those that come later
	Filter string   // expression of mgmt/filter; "": all frames
	Snap   int      // bytes kept of each frame; 0: all
}

// FrameIn is a frame that comes in by a port: POST /v1/trace and
// POST /v1/inject.
type FrameIn struct {
	Port  string `json:"port"`  // number or name
	Frame string `json:"frame"` // from the destination address on, in hex
}

// MaxFrameBody is the largest body of a FrameIn that a switch reads, in bytes:
// room for the longest frame there is.
const MaxFrameBody = 256 << 10

// The outcomes of a Trace.
const (
	OutcomeDrop    = "drop"
	OutcomeUnicast = "unicast"
	OutcomeFlood   = "flood"
	OutcomeTrap    = "trap" // for the switch itself: its spanning tree
)

// Trace is what becomes of a frame, and why.
type Trace struct {
	Port      int             `json:"port"`
	PortName  string          `json:"port_name"`
	Bytes     int             `json:"bytes"`          // length of the frame
	VLAN      int             `json:"vlan,omitempty"` // absent when it was dropped before that was known
	Steps     []TraceStep     `json:"steps"`          // in the order in which the switch takes them
	Outcome   string          `json:"outcome"`        // OutcomeDrop, OutcomeUnicast, OutcomeFlood or OutcomeTrap
	Reason    string          `json:"reason,omitempty"`
	Receivers []TraceReceiver `json:"receivers"` // ports that it leaves by, or would have
}

// TraceStep is one decision in words.
type TraceStep struct {
	Stage string `json:"stage"`
	Text  string `json:"text"`
}

// TraceReceiver is a port that a traced frame leaves by, or would have.
type TraceReceiver struct {
	Port   int    `json:"port"`
	Name   string `json:"name"`
	Mirror bool   `json:"mirror"` // it watches another port
	Tag    string `json:"tag"`    // what becomes of the VLAN tag, in words
	Bytes  int    `json:"bytes"`  // length of the frame there
	Drop   string `json:"drop,omitempty"`
}
