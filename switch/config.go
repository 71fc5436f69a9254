package vswitch

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/impair"
	"vnetkit/switch/link"
	"vnetkit/switch/stp"
)

// Limits of what can be configured.
const (
	MaxPorts      = 32767                 // highest port number
	MinMTU        = 68                    // least MTU of a port, bytes (RFC 791)
	MaxFDBSize    = 1 << 20               // highest cap of the forwarding table, entries
	MinAgeing     = 1 * time.Second       // least and
	MaxAgeing     = 1000000 * time.Second // greatest ageing time (IEEE 802.1Q-2018, table 8-6)
	maxNameLen    = 64                    // bytes in a port's name
	defaultAgeing = 300 * time.Second
	defaultFDB    = 65536
)

// Options configures a Switch. The zero value works.
type Options struct {
	Kinds   []link.Kind   // what Add understands
	Default PortConfig    // settings of a port whose spec says nothing
	Ageing  time.Duration // learned addresses not seen for this long are forgotten; 0: 300 s
	FDBSize int           // cap of the forwarding table, entries; 0: 65,536
	MaxPort int           // highest port number; 0: MaxPorts
	Hub     bool          // flood everything, as a hub does
	Workers int           // threads that carry frames; 0: half as many as CPUs, at most 8
	Spin    time.Duration // how long a worker looks for news before it sleeps, while news comes that fast
	STP     STPConfig     // spanning tree; zero: off
	Log     *slog.Logger  // nil: discard
}

// PortConfig is what an admin sets on a port.
//
// The VLAN of a frame that comes in without a tag, or with a priority tag, is
// the PVID. A tagged frame belongs to the VLAN of its tag if the port is a
// member of it. On the way out, frames of the PVID go untagged and frames of
// the VLANs in Tagged go tagged. When Tagged is every VLAN (the default) tags
// pass untouched: a frame that came in with the PVID's own tag keeps it. Native
// says otherwise of the PVID.
type PortConfig struct {
	ID   int       // number, 1..MaxPorts; 0: the lowest that is free; or NumberZero
	Name string    // "": "port" and the number
	PVID frame.VID // VLAN of untagged frames; 0: 1
	// Native is what becomes of untagged frames, and of those of the PVID.
	Native Native
	// Tagged are the VLANs whose frames the port sends and takes with a tag.
	// nil: all if PVID was left 0 too, else none.
	Tagged *frame.VIDSet
	// Transparent makes tags payload: all frames belong to the PVID, tags and
	// all, and reserved link-local addresses pass between transparent ports.
	Transparent bool
	Isolated    bool         // exchange no frames with other isolated ports
	Down        bool         // carry nothing
	MTU         int          // largest payload in bytes that may leave here; 0: 65,535
	Impair      impair.Cable // how bad the cable to the port is, on purpose
	MACLimit    int          // most addresses learned here; 0: as many as the table holds
	Sources     Sources      // source addresses of frames that may come in
	Mirror      []MirrorFrom // if any, the port only shows copies of what these ports carry
	STP         PortSTP      // its part in the spanning tree
	Storm       Storm        // most frames in a second that go to all

	// User and Group are who may plug in where clients claim a port: this uid,
	// and the members of this gid. Root always may. Both nil: anybody.
	User, Group *int
	Unsaved     bool // no part of the configuration: who added the port adds it again
	Pool        bool // of a Vacancy: may be given to a client that asks for no number
	Keep        bool // the port stays when the client leaves that made it
}

// NumberZero is the ID of port number 0, which only clients claim.
const NumberZero = -1

// Anybody takes the restriction away, in a change of User or Group.
const Anybody = -1

// MirrorFrom is one source of a mirror port.
type MirrorFrom struct {
	Port string // name or number; "all": every port
	In   bool   // frames that come in there, as they came
	Out  bool   // frames that go out there, as they leave
}

// String writes m as ParseMirror reads it.
func (m MirrorFrom) String() string {
	switch {
	case m.In && m.Out:
		return m.Port + ":both"
	case m.In:
		return m.Port + ":in"
	}
	return m.Port + ":out"
}

// ParseMirror reads sources joined by plus signs, each PORT, PORT:in, PORT:out
// or PORT:both (which is the default). "none" and nothing mean no sources.
func ParseMirror(text string) ([]MirrorFrom, error) {
	if text == "" || text == "none" {
		return nil, nil
	}
	var list []MirrorFrom
	for _, part := range strings.Split(text, "+") {
		port, dir, _ := strings.Cut(part, ":")
		m := MirrorFrom{Port: port}
		switch dir {
		case "", "both":
			m.In, m.Out = true, true
		case "in":
			m.In = true
		case "out":
			m.Out = true
		default:
			return nil, fmt.Errorf("%w: mirror %q: direction %q is not in, out or both", ErrInvalid, text, dir)
		}
		if port == "" {
			return nil, fmt.Errorf("%w: mirror %q: a port's name is missing", ErrInvalid, text)
		}
		list = append(list, m)
	}
	return list, nil
}

// PortChange changes settings of a port; nil fields stay as they are.
type PortChange struct {
	Name        *string
	PVID        *frame.VID
	Native      *Native
	Tagged      *frame.VIDSet
	Transparent *bool
	Isolated    *bool
	Down        *bool
	MTU         *int
	Impair      *impair.Cable
	MACLimit    *int
	Sources     *Sources
	Mirror      *[]MirrorFrom
	Edge        *stp.Edge
	Cost        *int
	Priority    *int
	BPDUGuard   *bool
	RootGuard   *bool
	Storm       *Storm
	User, Group *int // Anybody: no restriction
	Unsaved     *bool
	Pool, Keep  *bool
}

// Change changes settings of the switch; nil fields stay as they are.
type Change struct {
	Ageing  *time.Duration
	Hub     *bool
	STP     *STPChange
	MaxPort *int        // not below the number of a port that exists
	Default *PortConfig // settings of ports whose spec says nothing, from now on
}

// apply returns c with ch carried out.
func (c PortConfig) apply(ch PortChange) PortConfig {
	set(&c.Name, ch.Name)
	set(&c.PVID, ch.PVID)
	set(&c.Native, ch.Native)
	if ch.Tagged != nil {
		c.Tagged = ch.Tagged
	}
	set(&c.Transparent, ch.Transparent)
	set(&c.Isolated, ch.Isolated)
	set(&c.Down, ch.Down)
	set(&c.MTU, ch.MTU)
	set(&c.Impair, ch.Impair)
	set(&c.MACLimit, ch.MACLimit)
	set(&c.Sources, ch.Sources)
	set(&c.Mirror, ch.Mirror)
	set(&c.STP.Edge, ch.Edge)
	set(&c.STP.Cost, ch.Cost)
	set(&c.STP.Priority, ch.Priority)
	set(&c.STP.BPDUGuard, ch.BPDUGuard)
	set(&c.STP.RootGuard, ch.RootGuard)
	set(&c.Storm, ch.Storm)
	set(&c.Unsaved, ch.Unsaved)
	set(&c.Pool, ch.Pool)
	set(&c.Keep, ch.Keep)
	c.User, c.Group = restrict(c.User, ch.User), restrict(c.Group, ch.Group)
	return c
}

func set[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// restrict is a User or Group after a change.
func restrict(old, to *int) *int {
	switch {
	case to == nil:
		return old
	case *to == Anybody:
		return nil
	}
	return to
}

// withDefaults fills in what was left open.
func (c PortConfig) withDefaults() PortConfig {
	if c.Tagged == nil {
		tagged := frame.VIDSet{}
		if c.PVID == 0 {
			tagged = frame.AllVIDs()
		}
		c.Tagged = &tagged
	}
	if c.PVID == 0 {
		c.PVID = 1
	}
	if c.MTU == 0 {
		c.MTU = frame.MaxMTU
	}
	return c
}

// Validate checks what can be checked without knowing the other ports.
func (c PortConfig) Validate() error {
	err := c.withDefaults().validate()
	if err == nil && c.ID > 0 {
		err = checkNumberName(c.Name, c.ID)
	}
	return err
}

// validate is Validate for settings whose defaults are filled in.
func (c PortConfig) validate() error {
	switch {
	case c.ID < NumberZero || c.ID > MaxPorts:
		return fmt.Errorf("%w: port number %d: want 1 to %d", ErrInvalid, c.ID, MaxPorts)
	case !c.PVID.Valid():
		return fmt.Errorf("%w: VLAN %d: want 1 to %d", ErrInvalid, c.PVID, frame.MaxVID)
	case c.Native > NativeNone:
		return fmt.Errorf("%w: native %v: want untagged, tagged or none", ErrInvalid, c.Native)
	case c.MTU < MinMTU || c.MTU > frame.MaxMTU:
		return fmt.Errorf("%w: MTU %d: want %d to %d bytes", ErrInvalid, c.MTU, MinMTU, frame.MaxMTU)
	case c.MACLimit < 0:
		return fmt.Errorf("%w: MAC limit %d: want 0 (none) or more", ErrInvalid, c.MACLimit)
	}
	if err := c.Impair.Validate(); err != nil {
		return fmt.Errorf("%w: impair %v: %w", ErrInvalid, c.Impair, err)
	}
	return errors.Join(checkName(c.Name), c.STP.validate(), c.Storm.validate())
}

func checkMaxPort(n int) error {
	if n < 1 || n > MaxPorts {
		return fmt.Errorf("%w: highest port number %d: want 1 to %d", ErrInvalid, n, MaxPorts)
	}
	return nil
}

// checkName keeps names apart from numbers and safe to print, to put into a
// path and to type in a shell.
func checkName(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > maxNameLen {
		return fmt.Errorf("%w: port name of %d bytes: at most %d", ErrInvalid, len(name), maxNameLen)
	}
	if strings.Trim(name, "0123456789") == "" || name == "all" || name == "none" {
		return fmt.Errorf("%w: port name %q: a number, all and none mean something else", ErrInvalid, name)
	}
	if strings.Trim(name, ".") == "" {
		return fmt.Errorf("%w: port name %q: dots alone mean something else in a path", ErrInvalid, name)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-", r) {
			return fmt.Errorf("%w: port name %q: letters, digits and _ . @ - only", ErrInvalid, name)
		}
	}
	if name[0] == '-' {
		return fmt.Errorf("%w: port name %q: must not start with a dash", ErrInvalid, name)
	}
	return nil
}

// checkNumberName keeps port 7 from being called "port8", which is what port 8
// is called when it has no name.
func checkNumberName(name string, id int) error {
	num, ok := strings.CutPrefix(name, "port")
	if n, err := strconv.Atoi(num); ok && err == nil && n != id {
		return fmt.Errorf("%w: port name %q: that is what port %d is called by itself", ErrInvalid, name, n)
	}
	return nil
}
