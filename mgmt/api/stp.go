package api

import "time"

// STPSettings is the spanning tree as an admin set it.
type STPSettings struct {
	Mode                string `json:"mode"`     // "off", "rstp" (one tree for all VLANs) or "fstp" (one for each)
	MAC                 string `json:"mac"`      // address in the switch's identifier
	Priority            int    `json:"priority"` // the bridge with the lowest is the root
	HelloSeconds        int    `json:"hello_seconds"`
	MaxAgeSeconds       int    `json:"max_age_seconds"`
	ForwardDelaySeconds int    `json:"forward_delay_seconds"`
}

// STPChange changes the spanning tree. Fields that are absent stay as they are.
type STPChange struct {
	Mode                *string `json:"mode,omitempty"` // "off", "rstp" or "fstp"
	MAC                 *string `json:"mac,omitempty"`
	Priority            *int    `json:"priority,omitempty"`              // 0 to 65535; others want multiples of 4096
	HelloSeconds        *int    `json:"hello_seconds,omitempty"`         // 1 to 10
	MaxAgeSeconds       *int    `json:"max_age_seconds,omitempty"`       // 6 to 40
	ForwardDelaySeconds *int    `json:"forward_delay_seconds,omitempty"` // 4 to 30
}

// SpanningTree answers GET /v1/stp.
type SpanningTree struct {
	STPSettings
	Trees []Tree `json:"trees"` // by VLAN; none when it is off
}

// Tree is one spanning tree.
type Tree struct {
	VLAN     int        `json:"vlan"`                // 0: all
	ID       string     `json:"id"`                  // of this switch: priority.address, as in 8000.0200c0ffee01
	Root     string     `json:"root"`                // identifier of the root
	RootCost uint64     `json:"root_cost"`           // of the way to it
	RootPort string     `json:"root_port,omitempty"` // name of the port that leads to it; absent: this switch is the root
	Changes  uint64     `json:"topology_changes"`    // that this switch saw or heard of
	Ports    []TreePort `json:"ports"`               // by number
}

// TreePort is a port's place in a tree.
type TreePort struct {
	Port             int    `json:"port"`
	Name             string `json:"name"`
	ID               string `json:"id"`    // its priority and number, as in 8001
	Role             string `json:"role"`  // disabled, root, designated, alternate or backup
	State            string `json:"state"` // discarding, learning or forwarding
	Cost             uint64 `json:"cost"`
	Edge             bool   `json:"edge"`     // leads to stations only
	Speaks           string `json:"speaks"`   // rstp, stp or fstp, as the neighbour does
	Tagged           bool   `json:"tagged"`   // its BPDUs carry the VLAN's tag
	Guarded          bool   `json:"guarded"`  // blocked by its root guard
	Disputed         bool   `json:"disputed"` // the neighbour does not hear us
	DesignatedBridge string `json:"designated_bridge"`
	DesignatedPort   string `json:"designated_port"`
	RxBPDUs          uint64 `json:"rx_bpdus"`
	TxBPDUs          uint64 `json:"tx_bpdus"`
}

// PortTree is a port's place in the tree of its own VLAN, in Port.
type PortTree struct {
	Role    string `json:"role"`
	State   string `json:"state"`
	Edge    bool   `json:"edge"`
	Speaks  string `json:"speaks"`
	Guarded bool   `json:"guarded"`  // blocked by its root guard
	Blocked int    `json:"blocked"`  // trees in which it is discarding
	RxBPDUs uint64 `json:"rx_bpdus"` // in all trees
	TxBPDUs uint64 `json:"tx_bpdus"`
	Bad     uint64 `json:"bad_bpdus"` // that could not be read
}

// Loop is a pair of ports between which frames went round in the last seconds.
type Loop struct {
	Ports          []string  `json:"ports"` // names
	Since          time.Time `json:"since"`
	Last           time.Time `json:"last"`
	MovesPerSecond uint64    `json:"moves_per_second"` // of addresses between the two, at worst
	MAC            string    `json:"mac"`              // one of these addresses
}
