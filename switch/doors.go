package vswitch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"vnetkit/switch/frame"
	"vnetkit/switch/impair"
	"vnetkit/switch/link"
	"vnetkit/switch/stp"
)

// door is an opened Spec: where links come from.
//
// A listening Source without a port number or name in its Spec makes a port for
// each client, and takes it away when the client leaves. Any other fills one
// port that stays, with one link after another.
type door struct {
	sw     *Switch
	src    link.Source   // set before the door runs
	own    string        // the Spec less the common keys
	spec   link.Spec     // guarded by Switch.mu
	cfg    PortConfig    // guarded by Switch.mu
	port   *Port         // nil: each link gets a port of its own
	taken  chan struct{} // holds a token while port has a link
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has ended
	shut   atomic.Bool
}

// Added is what a Spec has become: a port, or a door that makes ports.
type Added struct {
	Port *PortInfo
	Door *DoorInfo
}

// Add opens a Spec: kind:address[,key=value]... The keys that every kind
// understands are in commonKeys.
func (s *Switch) Add(ctx context.Context, spec string) (Added, error) {
	d, err := s.openSpec(ctx, spec)
	if err != nil {
		return Added{}, err
	}
	var added *Added
	err = s.change(func(c *change) error {
		added, err = c.addDoor(d)
		return err
	})
	if err != nil {
		return Added{}, errors.Join(fmt.Errorf("open port %q: %w", spec, err), d.src.Close())
	}
	return *added, nil
}

// openSpec opens the Source of a Spec. The door leads nowhere yet.
func (s *Switch) openSpec(ctx context.Context, text string) (*door, error) {
	d, kind, rest, err := s.readSpec(text)
	if err != nil {
		return nil, err
	}
	d.src, err = kind.Open(ctx, rest, link.Options{Retrying: d.retrying, Lost: d.lost, Changed: d.changed, Refused: d.refused, MTU: d.cfg.MTU})
	if err != nil {
		return nil, openError(text, d.inUse(err))
	}
	return d, nil
}

// readSpec understands a Spec as far as that goes without opening it; rest is
// what the kind is to understand.
func (s *Switch) readSpec(text string) (d *door, kind link.Kind, rest link.Spec, err error) {
	spec, err := link.ParseSpec(text)
	if err != nil {
		return nil, kind, rest, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	i := slices.IndexFunc(s.opt.Kinds, func(k link.Kind) bool { return k.Name == spec.Kind })
	if i < 0 {
		return nil, kind, rest, fmt.Errorf("%w: port %q: unknown kind %q; known kinds: %s", ErrInvalid, text, spec.Kind, s.kindNames())
	}
	s.mu.Lock()
	cfg := s.defaults
	s.mu.Unlock()
	rest = spec
	err = takeCommon(&rest, &cfg)
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		return nil, kind, rest, fmt.Errorf("port %q: %w", text, err)
	}
	d = &door{
		sw: s, spec: spec, own: rest.String(), cfg: cfg,
		taken: make(chan struct{}, 1),
	}
	return d, s.opt.Kinds[i], rest, nil
}

// openError says why a Spec could not be opened. What a kind knows of keys is
// only its own.
func openError(text string, err error) error {
	var key *link.KeyError
	if errors.As(err, &key) {
		key.Known = append(key.Known, slices.Sorted(maps.Keys(commonKeys))...)
	}
	if errors.Is(err, link.ErrSpec) {
		return fmt.Errorf("%w: port %q: %w", ErrInvalid, text, err)
	}
	return fmt.Errorf("open port %q: %w", text, err)
}

// addDoor puts an opened door into the switch.
func (c *change) addDoor(d *door) (*Added, error) {
	s, added := c.s, &Added{}
	if !d.src.Listening() || d.cfg.ID != 0 || d.cfg.Name != "" {
		p, err := c.addPort(d.cfg, d.spec)
		if err != nil {
			return nil, err
		}
		d.port = p
		_, p.vacancy = d.src.(link.Vacancy)
		info := p.info()
		added.Port = &info
	} else {
		info := d.info()
		added.Door = &info
		c.event(EventDoorOpened, nil, info.Name)
	}
	s.doors, c.doors = append(s.doors, d), append(c.doors, d)
	c.undo = append(c.undo, func() { s.doors = slices.DeleteFunc(s.doors, func(o *door) bool { return o == d }) })
	c.then = append(c.then, d.start)
	return added, nil
}

// start has d plug in what its Source yields. Called with Switch.mu held.
func (d *door) start() {
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel, d.ended = cancel, make(chan struct{})
	d.shut.Store(false)
	d.sw.tending.Add(1)
	go d.run(ctx)
}

func (s *Switch) kindNames() string {
	text := ""
	for _, k := range s.opt.Kinds {
		text += " " + k.Name
	}
	return text[min(1, len(text)):]
}

func (d *door) listening() bool { return d.port == nil }

func (d *door) info() DoorInfo {
	return DoorInfo{Name: d.spec.String(), Kind: d.spec.Kind, Spec: d.spec.String()}
}

// run plugs in what the Source yields.
func (d *door) run(ctx context.Context) {
	defer d.sw.tending.Done()
	defer close(d.ended)
	for {
		if !d.src.Listening() && !d.take(ctx.Done(), nil) { // the link before must be gone
			return
		}
		l, err := d.src.Accept(ctx)
		if err != nil {
			if ctx.Err() == nil {
				d.sw.log.Error("door is shut", "spec", d.own, "error", err)
				d.retrying(err)
			}
			return
		}
		if c, ok := l.(link.Claimant); ok {
			if err := d.admitClaimant(c); err != nil {
				d.refused(err)
			}
			continue
		}
		if d.src.Listening() && d.port != nil && !d.take(ctx.Done(), time.After(patience)) {
			_ = l.Close()
			d.sw.log.Warn("client refused", "spec", d.own, "reason", "the port is in use by another client")
			continue
		}
		if err := d.admit(l); err != nil {
			d.sw.log.Warn("client refused", "spec", d.own, "error", err)
		}
	}
}

// patience is how long a client waits for a port in use: the link before may
// have ended without anyone having noticed yet.
const patience = time.Second

// take claims the door's port for a link, or gives up at either signal.
func (d *door) take(done <-chan struct{}, late <-chan time.Time) bool {
	select {
	case d.taken <- struct{}{}:
		return true
	case <-done:
	case <-late:
	}
	return false
}

// admit plugs l in, or closes it and says why.
func (d *door) admit(l link.Link) error {
	p := d.port
	if p == nil {
		err := d.sw.change(func(c *change) (err error) {
			if p, err = c.addPort(d.cfg, d.spec); err == nil {
				p.door = d.spec.String()
			}
			return err
		})
		if err != nil {
			_ = l.Close()
			return err
		}
	}
	if err := d.sw.plugIn(p, l); err != nil {
		if d.port == nil {
			d.sw.drop(p, err.Error())
		} else {
			<-d.taken
		}
		return err
	}
	d.sw.tending.Add(1)
	go d.tend(p)
	return nil
}

// tend waits for the end of p's link.
func (d *door) tend(p *Port) {
	defer d.sw.tending.Done()
	reason := reasonText(<-p.lost)
	d.sw.unplugged(p, reason)
	if p.taken || p != p.whole {
		d.leave(p, reason)
		return
	}
	if d.port == nil {
		d.sw.drop(p, reason)
		return
	}
	<-d.taken
}

// refused notes that a client was not let in.
func (d *door) refused(err error) {
	d.sw.log.Warn("client refused", "spec", d.own, "error", err)
}

// drop takes a port without a link out of the switch.
func (s *Switch) drop(p *Port, why string) {
	_ = s.change(func(c *change) error { // fails only if the switch is closed
		c.dropPort(p, why)
		return nil
	})
}

// retrying notes why a port has no link yet.
func (d *door) retrying(err error) {
	s, err := d.sw, d.inUse(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := d.port; p != nil && err != nil && p.reason != err.Error() && !p.removed {
		p.reason = err.Error()
		s.events.add(EventLinkRetrying, p, p.reason)
		s.log.Warn("no link yet", "port", p.id, "name", p.name(), "reason", p.reason)
	}
}

// close ends the door's Source and waits until it yields nothing more. Links
// that it yielded stay.
func (d *door) close() {
	if d.shut.Swap(true) {
		return // it has made way
	}
	d.cancel()
	if err := d.src.Close(); err != nil {
		d.sw.log.Debug("close door", "spec", d.own, "error", err)
	}
	<-d.ended
}

// Remove takes a port out of the switch, or shuts a door. A port that a client
// made by plugging in at a door is unplugged; the client may plug in again.
func (s *Switch) Remove(ref string) error {
	return s.change(func(c *change) error { return c.remove(ref) })
}

func (c *change) remove(ref string) error {
	s := c.s
	p, err := s.find(ref)
	i := slices.IndexFunc(s.doors, func(d *door) bool {
		return err == nil && d.port == p || err != nil && d.listening() && d.spec.String() == ref
	})
	if err != nil && i < 0 {
		return err
	}
	if p != nil {
		c.dropPort(p, errRemoved.Error())
	}
	if i >= 0 {
		d := s.doors[i]
		s.doors = slices.Delete(s.doors, i, i+1)
		c.undo = append(c.undo, func() { s.doors = append(s.doors, d) })
		if d.listening() {
			c.event(EventDoorClosed, nil, ref)
		}
		c.later = append(c.later, d.close)
	}
	if p != nil { // when no other link can come
		c.later = append(c.later, func() { s.unplug(p, errRemoved) })
	}
	return nil
}

var errRemoved = errors.New("removed")

// reasonText is an error in words for an admin.
func reasonText(err error) string {
	if errors.Is(err, io.EOF) {
		return "closed by the other side"
	}
	return err.Error()
}

// commonKeys are the keys that a Spec of any kind may have.
var commonKeys = map[string]func(*PortConfig, string) error{
	"id":     func(c *PortConfig, v string) (err error) { c.ID, err = number(v, 1, MaxPorts); return },
	"name":   func(c *PortConfig, v string) error { c.Name = v; return nil },
	"vlan":   func(c *PortConfig, v string) (err error) { c.PVID, err = frame.ParseVID(v); return },
	"native": func(c *PortConfig, v string) (err error) { c.Native, err = ParseNative(v); return },
	"tagged": func(c *PortConfig, v string) error { return setTagged(c, v) },
	"mtu":    func(c *PortConfig, v string) (err error) { c.MTU, err = number(v, MinMTU, frame.MaxMTU); return },
	"maclimit": func(c *PortConfig, v string) (err error) {
		c.MACLimit, err = number(v, 0, MaxFDBSize)
		return
	},
	"allowmac":    func(c *PortConfig, v string) (err error) { c.Sources, err = ParseSources(v); return },
	"impair":      func(c *PortConfig, v string) (err error) { c.Impair, err = impair.Parse(v); return },
	"mirror":      func(c *PortConfig, v string) (err error) { c.Mirror, err = ParseMirror(v); return },
	"edge":        func(c *PortConfig, v string) (err error) { c.STP.Edge, err = stp.ParseEdge(v); return },
	"cost":        func(c *PortConfig, v string) (err error) { c.STP.Cost, err = number(v, 0, stp.MaxCost); return },
	"priority":    func(c *PortConfig, v string) (err error) { c.STP.Priority, err = number(v, 0, 240); return },
	"bpduguard":   func(c *PortConfig, v string) (err error) { c.STP.BPDUGuard, err = onOff(v); return },
	"rootguard":   func(c *PortConfig, v string) (err error) { c.STP.RootGuard, err = onOff(v); return },
	"storm":       func(c *PortConfig, v string) (err error) { c.Storm, err = ParseStorm(v); return },
	"transparent": func(c *PortConfig, v string) (err error) { c.Transparent, err = onOff(v); return },
	"isolated":    func(c *PortConfig, v string) (err error) { c.Isolated, err = onOff(v); return },
	"allowuser":   func(c *PortConfig, v string) (err error) { c.User, err = ParseUser(v); return },
	"allowgroup":  func(c *PortConfig, v string) (err error) { c.Group, err = ParseGroup(v); return },
	"down":        func(c *PortConfig, v string) (err error) { c.Down, err = onOff(v); return },
	"save":        func(c *PortConfig, v string) error { return setSaved(c, v) },
}

// takeCommon moves the common keys from a Spec into settings.
func takeCommon(spec *link.Spec, cfg *PortConfig) error {
	for key, setKey := range commonKeys {
		if v, ok := spec.Take(key); ok {
			if err := setKey(cfg, v); err != nil {
				return fmt.Errorf("%w: %s=%s: %w", ErrInvalid, key, v, err)
			}
		}
	}
	return nil
}

func setTagged(c *PortConfig, v string) error {
	set, err := frame.ParseVIDSet(v)
	c.Tagged = &set
	return err
}

func number(v string, lo, hi int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < lo || n > hi {
		return 0, fmt.Errorf("want a number from %d to %d", lo, hi)
	}
	return n, nil
}

func onOff(v string) (bool, error) {
	switch v {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, errors.New("want on or off")
}

// ParsePortConfig reads common keys, as they stand behind the address in a Spec.
func ParsePortConfig(text string) (PortConfig, error) {
	var cfg PortConfig
	if text == "" {
		return cfg, nil
	}
	spec, err := link.ParseSpec("default:," + text)
	if err == nil {
		err = takeCommon(&spec, &cfg)
	}
	if err == nil {
		err = spec.Done(slices.Sorted(maps.Keys(commonKeys))...)
	}
	if err != nil {
		return cfg, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return cfg, nil
}
