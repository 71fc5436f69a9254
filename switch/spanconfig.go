package vswitch

import (
	"crypto/rand"
	"fmt"

	"vnetkit/switch/frame"
	"vnetkit/switch/stp"
)

// STPMode says whether the switch keeps rings open, and how.
type STPMode string

// The modes of the spanning tree.
const (
	STPOff   STPMode = "off"
	STPRapid STPMode = "rstp" // one tree for all VLANs, spoken without tags
	STPFSTP  STPMode = "fstp" // a tree for each VLAN, as vde_switch -F has it
)

// STPConfig is the switch's spanning tree as an admin sets it. The zero value
// is off.
type STPConfig struct {
	Mode       STPMode   // "": off
	MAC        frame.MAC // the switch's address in its identifier; zero: made up
	stp.Config           // priority and times
}

// STPChange changes the spanning tree; nil fields stay as they are.
type STPChange struct {
	Mode     *STPMode
	MAC      *frame.MAC
	Priority *uint16
	Hello    *int // seconds, as the next two
	MaxAge   *int
	Forward  *int
}

func (c STPConfig) withDefaults() STPConfig {
	if c.Mode == "" {
		c.Mode = STPOff
	}
	if c.MAC == (frame.MAC{}) {
		c.MAC = makeMAC()
	}
	c.Config = c.Config.WithDefaults()
	return c
}

// makeMAC makes up an address that is locally administered.
func makeMAC() frame.MAC {
	m := frame.MAC{0x02}
	_, _ = rand.Read(m[1:]) // cannot fail
	return m
}

func (c STPConfig) apply(ch STPChange) STPConfig {
	set(&c.Mode, ch.Mode)
	set(&c.MAC, ch.MAC)
	if ch.Priority != nil {
		c.Priority = ch.Priority
	}
	set(&c.Hello, ch.Hello)
	set(&c.MaxAge, ch.MaxAge)
	set(&c.Forward, ch.Forward)
	return c
}

// validate checks settings whose defaults are filled in.
func (c STPConfig) validate(hub bool) error {
	switch {
	case c.Mode != STPOff && c.Mode != STPRapid && c.Mode != STPFSTP:
		return fmt.Errorf("%w: spanning tree %q: want off, rstp or fstp", ErrInvalid, c.Mode)
	case hub && c.Mode != STPOff:
		return fmt.Errorf("%w: a hub has no spanning tree: it sends everything to all", ErrInvalid)
	case c.MAC.IsGroup() || c.MAC == (frame.MAC{}):
		return fmt.Errorf("%w: switch address %v: want a station's address", ErrInvalid, c.MAC)
	case c.Hello < 1 || c.MaxAge < 1 || c.Forward < 1: // 0 would be taken for the default below
		return fmt.Errorf("%w: spanning tree: a time of less than a second", ErrInvalid)
	}
	if err := c.Config.Validate(); err != nil {
		return fmt.Errorf("%w: spanning tree: %w", ErrInvalid, err)
	}
	return nil
}

// String says in words what is set.
func (c STPConfig) String() string {
	if c.Mode == STPOff {
		return "off"
	}
	return fmt.Sprintf("%s, priority %d, hello %d s, max-age %d s, forward-delay %d s", c.Mode, *c.Priority, c.Hello, c.MaxAge, c.Forward)
}

// PortSTP is what an admin sets on a port for the spanning tree.
type PortSTP struct {
	Edge      stp.Edge // the port leads to stations only
	Cost      int      // of the way through it; 0: 20,000, towards a vde_switch 20,000,000
	Priority  int      // 16..240 in steps of 16, the lowest is chosen first; 0: 128
	BPDUGuard bool     // a bridge on this port shuts it
	RootGuard bool     // the way to the root never leads through it
}

func (c PortSTP) validate() error {
	switch {
	case c.Cost < 0 || c.Cost > stp.MaxCost:
		return fmt.Errorf("%w: spanning tree cost %d: want 1 to %d, or 0 for the default", ErrInvalid, c.Cost, stp.MaxCost)
	case c.Priority < 0 || c.Priority > 240 || c.Priority%16 != 0:
		return fmt.Errorf("%w: spanning tree priority %d: want 16 to 240 in steps of 16, or 0 for the default", ErrInvalid, c.Priority)
	}
	return nil
}

// describe says in a spec's words what differs from the defaults.
func (c PortSTP) describe() string {
	text := ""
	if c.Edge != stp.EdgeAuto {
		text += ",edge=" + c.Edge.String()
	}
	if c.Cost != 0 {
		text += fmt.Sprintf(",cost=%d", c.Cost)
	}
	if c.Priority != 0 {
		text += fmt.Sprintf(",priority=%d", c.Priority)
	}
	if c.BPDUGuard {
		text += ",bpduguard=on"
	}
	if c.RootGuard {
		text += ",rootguard=on"
	}
	return text
}
