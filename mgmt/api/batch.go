package api

// MaxBatchBody is the largest body of POST /v1/batch, in bytes, and
// MaxOperations the most operations in it.
const (
	MaxBatchBody  = 1 << 20
	MaxOperations = 4096
)

// Batch is several changes as one: POST /v1/batch. Either all of them happen,
// in order and in one step for the frames, or none. The Error of a batch that
// failed has the Index of the operation that was the reason.
type Batch struct {
	Operations []Operation `json:"operations"`
}

// Operation is one change. Exactly one of its fields is set.
type Operation struct {
	AddPort    *PortAdd      `json:"add_port,omitempty"`
	SetPort    *PortSet      `json:"set_port,omitempty"`
	RemovePort *PortRemove   `json:"remove_port,omitempty"`
	SetSwitch  *SwitchChange `json:"set_switch,omitempty"`
	AddFDB     *FDBAdd       `json:"add_fdb,omitempty"` // its VLAN must be given
	FlushFDB   *FDBFlush     `json:"flush_fdb,omitempty"`
}

// PortSet changes settings of a port, as PATCH /v1/ports/PORT does.
type PortSet struct {
	Port string `json:"port"` // number or name, also of one that the same batch adds
	PortChange
}

// PortRemove removes a port or a door, as DELETE /v1/ports/PORT does.
type PortRemove struct {
	Port string `json:"port"` // a port's number or name, or a door's name
}

// FDBFlush forgets addresses, as DELETE /v1/fdb does. Fields that are absent
// select all.
type FDBFlush struct {
	Port   string `json:"port,omitempty"` // number or name
	VLAN   int    `json:"vlan,omitempty"`
	MAC    string `json:"mac,omitempty"`
	Static bool   `json:"static,omitempty"` // static ones too
}

// BatchResult answers POST /v1/batch.
type BatchResult struct {
	Results []OperationResult `json:"results"` // one for each operation, in order
}

// OperationResult is what has come of an Operation: Added of add_port, Port of
// set_port, Removed of flush_fdb, nothing of the others.
type OperationResult struct {
	Added   *Added `json:"added,omitempty"`
	Port    *Port  `json:"port,omitempty"`
	Removed *int   `json:"removed,omitempty"`
}
