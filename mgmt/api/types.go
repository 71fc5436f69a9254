package api

import "time"

// SchemaVersion is the version of the types in this package.
const SchemaVersion = 1

// Info is a switch as a whole: GET /v1/info.
type Info struct {
	Schema        int       `json:"schema"` // SchemaVersion of the server
	Name          string    `json:"name"`
	Dir           string    `json:"dir"`
	Version       string    `json:"version"`
	Commit        string    `json:"commit"`
	PID           int       `json:"pid"`
	UID           int       `json:"uid"`
	User          string    `json:"user"` // name of UID, or its number
	Started       time.Time `json:"started"`
	UptimeSeconds float64   `json:"uptime_seconds"`
	Life          string    `json:"life"`       // differs each time the switch is started
	MayChange     bool      `json:"may_change"` // whether the one who asks may change things
	Workers       int       `json:"workers"`    // threads that carry frames
	Hub           bool      `json:"hub"`        // floods everything
	AgeingSeconds float64   `json:"ageing_seconds"`
	PortDefault   string    `json:"port_default"` // settings of ports whose spec says nothing: "vlan=10,mtu=1400"
	FDB           FDBSize   `json:"fdb"`
	Ports         int       `json:"ports"`
	Doors         []Door    `json:"doors"`     // where clients can plug in
	Captures      int       `json:"captures"`  // that run now: somebody reads frames
	EventSeq      uint64    `json:"event_seq"` // number of the latest event

	STP   STPSettings `json:"stp"`             // what GET /v1/stp says more about
	Loops []Loop      `json:"loops,omitempty"` // seen in the last seconds
}

// FDBSize says how full the forwarding table is.
type FDBSize struct {
	Entries   int    `json:"entries"`
	Cap       int    `json:"cap"`
	Unlearned uint64 `json:"unlearned"` // addresses not learned because of a limit
}

// Door is a place where each client that connects becomes a port.
type Door struct {
	Name string `json:"name"` // what DELETE /v1/ports/NAME takes
	Kind string `json:"kind"`
	Spec string `json:"spec"`
}

// SwitchChange changes settings of the switch: PATCH /v1/switch. Fields that
// are absent stay as they are.
type SwitchChange struct {
	AgeingSeconds *float64 `json:"ageing_seconds,omitempty"` // 1 to 1,000,000
	Hub           *bool    `json:"hub,omitempty"`
	PortDefault   *string  `json:"port_default,omitempty"` // settings of ports and doors to be added whose spec says nothing; "": none

	STP *STPChange `json:"stp,omitempty"`
}

// Count counts frames and the bytes in them, without frame check sequences.
type Count struct {
	Frames uint64 `json:"frames"`
	Bytes  uint64 `json:"bytes"`
}

// The states of a port.
const (
	StateUp      = "up"      // carries frames
	StateDown    = "down"    // set down by an admin
	StateWaiting = "waiting" // has no link yet, or no longer
)

// Port is one port: an element of Ports, and GET /v1/ports/PORT.
type Port struct {
	ID     int       `json:"id"`
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`
	Spec   string    `json:"spec"`             // what opened it
	State  string    `json:"state"`            // StateUp, StateDown or StateWaiting
	Reason string    `json:"reason,omitempty"` // why it waits, or a remark on its link
	Since  time.Time `json:"since"`            // in this state since
	Peer   *Peer     `json:"peer,omitempty"`   // who is plugged in

	PVID        int    `json:"pvid"`   // VLAN of untagged frames
	Native      string `json:"native"` // what leaves in the PVID: "untagged", "tagged"; "none": untagged frames are dropped, and pvid means nothing
	Tagged      string `json:"tagged"` // "all", "none" or "10+20-30"
	Transparent bool   `json:"transparent"`
	Isolated    bool   `json:"isolated"`
	Down        bool   `json:"down"`      // as set by an admin
	MTU         int    `json:"mtu"`       // largest payload that may leave here, bytes
	Impair      string `json:"impair"`    // "none", or "delay:20ms+in-loss:1%": how bad the port's cable is on purpose
	MACLimit    int    `json:"mac_limit"` // most addresses learned here; 0: no limit of its own
	AllowMAC    string `json:"allow_mac"` // source addresses of frames that may come in: "any", or "52:54:00:12:34:56+52:54:00:12:34:57"
	Mirror      string `json:"mirror"`    // "none", or "vm1:in+vm2:both": shows what these ports carry

	Edge        string    `json:"edge"`           // leads to stations only: "auto", "on" or "off"
	STPCost     int       `json:"stp_cost"`       // of the way through it; 0: the default
	STPPriority int       `json:"stp_priority"`   // 0: the default, 128
	BPDUGuard   bool      `json:"bpdu_guard"`     // a bridge on this port shuts it
	RootGuard   bool      `json:"root_guard"`     // never the way to the root
	Storm       string    `json:"storm"`          // most frames for all in a second: "off", "1000" or "broadcast:1000+unknown:200"
	STP         *PortTree `json:"stp,omitempty"`  // absent where there is no spanning tree
	Loop        string    `json:"loop,omitempty"` // name of the port by which frames that go out here came back in the last seconds

	AllowUser  string `json:"allow_user"`  // who may claim the port: "any", or a uid
	AllowGroup string `json:"allow_group"` // and the members of: "any", or a gid

	// Endpoints are the clients that share the port, if there are several; what
	// leaves by it is sent to each of them.
	Endpoints []Endpoint `json:"endpoints,omitempty"`

	Traffic
}

// Endpoint is one of several clients at a port.
type Endpoint struct {
	ID    int       `json:"id"` // tells those of one port apart
	Peer  Peer      `json:"peer"`
	Since time.Time `json:"since"`
	Tx    Count     `json:"tx"`    // went out to it
	Queue int       `json:"queue"` // frames that wait for it now
}

// Traffic is what a port counts.
type Traffic struct {
	Rx    Count             `json:"rx"`    // came in from the link
	Tx    Count             `json:"tx"`    // went out to the link
	Drops map[string]uint64 `json:"drops"` // frames by reason, without the zeros
	Queue int               `json:"queue"` // frames that wait for a slow receiver, or travel on a bad cable, now
	MACs  int               `json:"macs"`  // addresses learned here now

	Offload *Offload `json:"offload,omitempty"` // absent: nothing was done and nothing can be left to the link

	// Of a cable that is, or was, bad on purpose.
	Held       *BothWays `json:"held,omitempty"`       // frames that travel on it now; part of queue
	Duplicated *BothWays `json:"duplicated,omitempty"` // frames that it has made twice
}

// Offload is work on frames that go out: what may be left to the link, and what
// was done for it. What comes in, and Segments less Cut of all receivers, is what
// goes out and what is dropped.
type Offload struct {
	Takes     string `json:"takes"`     // "none", or of csum tso4 tso6 ecn uso
	Cut       uint64 `json:"cut"`       // super-frames that were cut
	Segments  uint64 `json:"segments"`  // frames that they became
	Completed uint64 `json:"completed"` // other frames whose checksum was completed
	Merged    uint64 `json:"merged"`    // frames that left inside the one before
}

// BothWays is a number of frames, of those going into the switch and out of it.
type BothWays struct {
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
}

// Peer is who holds the other end of a port's link, as the kernel vouches for
// it. Command is what that process calls itself now.
type Peer struct {
	PID     int    `json:"pid,omitempty"`
	UID     int    `json:"uid"`            // -1: unknown
	User    string `json:"user,omitempty"` // name of UID, or its number
	Command string `json:"command,omitempty"`
	Address string `json:"address,omitempty"`
	// Description is what the client says of itself; nobody vouches for it.
	Description string `json:"description,omitempty"`
}

// Ports answers GET /v1/ports, by number.
type Ports struct {
	Ports []Port `json:"ports"`
}

// PortAdd makes a port or a door: POST /v1/ports.
type PortAdd struct {
	Spec string `json:"spec"` // kind:address[,key=value]...
}

// Added answers PortAdd; one of its fields is set.
type Added struct {
	Port *Port `json:"port,omitempty"`
	Door *Door `json:"door,omitempty"`
}

// PortChange changes settings of a port: PATCH /v1/ports/PORT. Fields that are
// absent stay as they are; the values are those of Port.
type PortChange struct {
	Name        *string `json:"name,omitempty"`
	PVID        *int    `json:"pvid,omitempty"`
	Native      *string `json:"native,omitempty"`
	Tagged      *string `json:"tagged,omitempty"`
	Transparent *bool   `json:"transparent,omitempty"`
	Isolated    *bool   `json:"isolated,omitempty"`
	Down        *bool   `json:"down,omitempty"`
	MTU         *int    `json:"mtu,omitempty"`
	Impair      *string `json:"impair,omitempty"`
	MACLimit    *int    `json:"mac_limit,omitempty"`
	AllowMAC    *string `json:"allow_mac,omitempty"`
	Mirror      *string `json:"mirror,omitempty"`
	Edge        *string `json:"edge,omitempty"`
	STPCost     *int    `json:"stp_cost,omitempty"`
	STPPriority *int    `json:"stp_priority,omitempty"`
	BPDUGuard   *bool   `json:"bpdu_guard,omitempty"`
	RootGuard   *bool   `json:"root_guard,omitempty"`
	Storm       *string `json:"storm,omitempty"`
	AllowUser   *string `json:"allow_user,omitempty"`  // a user's name or number, or "any"
	AllowGroup  *string `json:"allow_group,omitempty"` // a group's name or number, or "any"
}

// FDBEntry is an address that the switch knows.
type FDBEntry struct {
	MAC        string `json:"mac"`
	VLAN       int    `json:"vlan"`
	Port       int    `json:"port"`
	PortName   string `json:"port_name"`
	AgeSeconds int64  `json:"age_seconds"` // since it was last seen; 0 for static ones
	Static     bool   `json:"static"`
}

// FDB answers GET /v1/fdb, by VLAN and address.
type FDB struct {
	Entries []FDBEntry `json:"entries"`
}

// IPEntry is an IP address that a station has said is its own. Nobody checks that.
type IPEntry struct {
	IP         string `json:"ip"`
	MAC        string `json:"mac"`
	VLAN       int    `json:"vlan"`
	Port       int    `json:"port"`
	PortName   string `json:"port_name"`
	AgeSeconds int64  `json:"age_seconds"` // since it last said so, to a few seconds
}

// IPs answers GET /v1/ips, by address and VLAN.
type IPs struct {
	Entries []IPEntry `json:"entries"`
}

// FDBAdd makes a static entry: POST /v1/fdb. One that is there is replaced.
type FDBAdd struct {
	MAC  string `json:"mac"`
	VLAN int    `json:"vlan,omitempty"` // absent: the PVID of Port, if that is its native VLAN
	Port string `json:"port"`           // number or name
}

// Removed answers DELETE /v1/fdb.
type Removed struct {
	Removed int `json:"removed"`
}

// Stats is every counter at one moment: GET /v1/stats. Two of them and the
// difference of their MonotonicNS give rates.
type Stats struct {
	Time        time.Time         `json:"time"`         // for humans
	MonotonicNS int64             `json:"monotonic_ns"` // for rates: never jumps while Life is the same
	Life        string            `json:"life"`
	Totals      Totals            `json:"totals"`
	FDB         FDBSize           `json:"fdb"`
	Ports       []PortStats       `json:"ports"`
	Reasons     map[string]string `json:"reasons"` // each drop reason's sentence
}

// Totals are sums over the ports there are now.
type Totals struct {
	Ports   int               `json:"ports"`
	PortsUp int               `json:"ports_up"`
	Rx      Count             `json:"rx"`
	Tx      Count             `json:"tx"`
	Drops   map[string]uint64 `json:"drops"`
	Queue   int               `json:"queue"`
}

// PortStats is a port's part of Stats.
type PortStats struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	State string `json:"state"`
	Traffic
}

// EventMissed is the Type of a line that stands for events that are gone: the
// reader fell too far behind, or asked for events of another life.
const EventMissed = "missed"

// Event is one line of GET /v1/events. Seq counts 1, 2, 3 without gaps during
// one life of the switch.
type Event struct {
	Seq  uint64    `json:"seq"` // EventMissed: the number after which it goes on
	Time time.Time `json:"time"`
	Type string    `json:"type"`
	Port int       `json:"port,omitempty"` // number
	Name string    `json:"name,omitempty"` // the port's name
	Text string    `json:"text,omitempty"`
}

// Route is one line of GET /v1.
type Route struct {
	Method  string `json:"method"`
	Path    string `json:"path"` // {port} stands for a number or name
	Changes bool   `json:"changes"`
	Doc     string `json:"doc"`
}

// Routes answers GET /v1.
type Routes struct {
	Schema int     `json:"schema"`
	Routes []Route `json:"routes"`
}
