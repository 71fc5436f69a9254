package stp

import (
	"fmt"
	"slices"
)

// Host is what a Bridge acts on. A Bridge calls it from within its own methods.
type Host interface {
	// Send has a BPDU leave by a port.
	Send(port int, b *BPDU)
	// SetState opens or closes a port, or tells that its role is another.
	SetState(port int, s State)
	// Flush forgets the addresses learned behind a port.
	Flush(port int)
}

// Config is what an admin sets on a bridge. The zero value of a field is its
// default.
type Config struct {
	Priority *uint16 // nil: 32768; a multiple of 4096 between standard bridges
	Hello    int     // seconds from one BPDU to the next, 1..10; 0: 2
	MaxAge   int     // seconds until information is too old, 6..40; 0: 20
	Forward  int     // seconds in each state on the way to forwarding where nobody answers, 4..30; 0: 15
}

// Defaults of a Config and of a PortConfig (17.14).
const (
	DefaultPriority     = 32768
	DefaultHello        = 2
	DefaultMaxAge       = 20
	DefaultForward      = 15
	DefaultPortPriority = 128
	DefaultCost         = 20_000 // of a link of 1 Gbit/s (table 17-3)
	MaxCost             = 200_000_000
)

const (
	migrateTime = 3 // seconds (17.13.9)
	txHold      = 6 // BPDUs by a port in a second (17.13.12)
)

// WithDefaults fills in what was left open.
func (c Config) WithDefaults() Config {
	if c.Priority == nil {
		p := uint16(DefaultPriority)
		c.Priority = &p
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.Hello, DefaultHello}, {&c.MaxAge, DefaultMaxAge}, {&c.Forward, DefaultForward}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	return c
}

// Validate checks ranges (17.14, table 17-1) and what the times must be to each
// other.
func (c Config) Validate() error {
	c = c.WithDefaults()
	switch {
	case c.Hello < 1 || c.Hello > 10:
		return fmt.Errorf("hello time %d s: want 1 to 10", c.Hello)
	case c.MaxAge < 6 || c.MaxAge > 40:
		return fmt.Errorf("maximum age %d s: want 6 to 40", c.MaxAge)
	case c.Forward < 4 || c.Forward > 30:
		return fmt.Errorf("forward delay %d s: want 4 to 30", c.Forward)
	case c.MaxAge < 2*(c.Hello+1):
		return fmt.Errorf("maximum age %d s: want at least %d, twice the hello time and two more", c.MaxAge, 2*(c.Hello+1))
	case c.MaxAge > 2*(c.Forward-1):
		return fmt.Errorf("maximum age %d s: want at most %d, twice the forward delay less two", c.MaxAge, 2*(c.Forward-1))
	}
	return nil
}

// Bridge is one instance of the protocol.
type Bridge struct {
	host Host
	id   ID
	cfg  Config

	ports []*port // by number
	root  Vector  // the root priority vector: what this bridge says of its way
	times Times   // of the root
	via   *port   // the root port; nil: this bridge is the root

	changes uint64 // of the topology, seen or heard of
}

// New makes a bridge without ports.
func New(host Host, id ID, cfg Config) *Bridge {
	b := &Bridge{host: host}
	b.Configure(id, cfg)
	return b
}

// Configure changes who the bridge is and its timers. The Config must be valid.
func (b *Bridge) Configure(id ID, cfg Config) {
	b.id, b.cfg = id, cfg.WithDefaults()
	for _, p := range b.ports {
		p.reselect, p.selected = true, false
	}
	if len(b.ports) == 0 {
		b.root, b.times = Vector{Root: id, Bridge: id}, b.ownTimes()
	}
	b.run()
}

func (b *Bridge) ownTimes() Times {
	return Times{MaxAge: uint16(b.cfg.MaxAge) * second, Hello: uint16(b.cfg.Hello) * second, Forward: uint16(b.cfg.Forward) * second}
}

// AddPort makes a port, which is disabled. Adding one that is there changes its
// settings.
func (b *Bridge) AddPort(number int, cfg PortConfig) {
	if p := b.port(number); p != nil {
		p.configure(cfg)
		b.run()
		return
	}
	p := &port{b: b, number: number}
	p.begin(cfg)
	at, _ := slices.BinarySearchFunc(b.ports, number, func(p *port, n int) int { return p.number - n })
	b.ports = slices.Insert(b.ports, at, p)
	b.run()
}

// RemovePort forgets a port.
func (b *Bridge) RemovePort(number int) {
	b.Disable(number)
	b.ports = slices.DeleteFunc(b.ports, func(p *port) bool { return p.number == number })
	b.run()
}

// Enable says that a port has a link. Enabling one that has is nothing.
func (b *Bridge) Enable(number int) {
	if p := b.port(number); p != nil && !p.enabled {
		p.enabled = true
		b.run()
	}
}

// Disable says that a port's link is gone.
func (b *Bridge) Disable(number int) {
	if p := b.port(number); p != nil && p.enabled {
		p.enabled = false
		b.run()
	}
}

// Migrate has a port try RSTP again with a neighbour that spoke STP (mcheck,
// 17.19.13).
func (b *Bridge) Migrate(number int) {
	if p := b.port(number); p != nil {
		p.mcheck = true
		b.run()
	}
}

// Input takes a BPDU that came in by a port.
func (b *Bridge) Input(number int, m BPDU) {
	p := b.port(number)
	if p == nil || !p.enabled {
		return
	}
	p.receive(m)
	b.run()
}

// Tick says that a second has gone by.
func (b *Bridge) Tick() {
	for _, p := range b.ports {
		p.tick()
	}
	b.run()
}

func (b *Bridge) port(number int) *port {
	at, ok := slices.BinarySearchFunc(b.ports, number, func(p *port, n int) int { return p.number - n })
	if !ok {
		return nil
	}
	return b.ports[at]
}

// maxRounds is far more than the machines ever need to come to rest. It is there
// so that a mistake in them costs a second and not the switch.
const maxRounds = 10000

// run lets the machines work until all are at rest.
func (b *Bridge) run() {
	for range maxRounds {
		busy := b.selectRoles()
		for _, p := range b.ports {
			busy = p.step() || busy
		}
		if !busy {
			return
		}
	}
}
