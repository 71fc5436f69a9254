package config

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"vnetkit/switch/link"
)

// maxFile bounds what is read of a file: a port table has about 100 bytes.
const maxFile = 16 << 20

// Config is what a file says, or what a switch is.
type Config struct {
	File    string   // where it comes from; "": a running switch
	Default Settings // of a port that does not say otherwise
	Ports   []Port
	FDB     []Static

	// Overrides says what of the file a command line has overruled.
	Overrides []string

	root     *node            // the file
	values   map[string]value // of the switch as a whole, as given
	mistakes []Mistake
}

// value is a setting of the switch as a whole, as its flag takes it.
type value struct {
	text string
	pos  pos
}

// Port is a port, or a door.
type Port struct {
	Link link.Spec // kind, address and the kind's own keys
	ID   int       // 0: none given
	Name string    // "": none given
	Set  Settings  // as given

	unsaved bool // no part of what is saved, and left alone by a reload

	ref    string // running: what the switch calls it, its number or a door's spec
	door   bool   // running: each client becomes a port
	named  bool   // running: its spec has a number or a name, so that it is no door
	own    bool   // the door of the switch's directory
	listen bool   // wanted: its kind listens
	pos    pos
	node   *node  // its table in the file
	key    string // tells its link from others, while Diff compares
}

// Static is a static address.
type Static struct {
	MAC  string
	VLAN int    // 0: the port's own
	Port string // number or name

	pos  pos
	node *node
}

// Known is what a file is checked against. Its zero value leaves those checks
// out.
type Known struct {
	Kinds []link.Kind
	Group func(string) error // whether there is such a group
}

// Load reads and checks a file. What is wrong with its content is Mistakes.
func Load(path string, known Known) (*Config, error) {
	c, err := Read(path, known)
	if err != nil {
		return nil, err
	}
	return c, c.Check()
}

// Read is Load without Check, which must follow when what belongs to the whole
// is complete: it reports what Read has found, too.
func Read(path string, known Known) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read config file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read config file: %w", err)
	}
	return Parse(path, data, known)
}

// Parse is Read for what stands in a file. It fails for what is not TOML.
func Parse(name string, data []byte, known Known) (*Config, error) {
	c := New(fileName(name))
	if len(data) > maxFile {
		c.add(pos{}, "more than %d bytes cannot be a switch's configuration", maxFile)
		return nil, c.err()
	}
	root, bad := parseTree(data)
	if bad != nil {
		bad.File = c.File
		return nil, Mistakes{*bad}
	}
	c.root = root
	c.readRoot(root, known)
	return c, nil
}

// New returns a Config in which nothing is given.
func New(file string) *Config {
	return &Config{File: file, Default: Settings{}, values: map[string]value{}}
}

// Given lists the settings of the switch as a whole that are given, in the
// order of a file.
func (c *Config) Given() []string {
	var names []string
	for _, k := range rootKeys {
		if _, ok := c.values[k.name]; ok {
			names = append(names, k.name)
		}
	}
	return names
}

// Value is a setting of the switch as a whole, as its flag takes it.
func (c *Config) Value(name string) string {
	if v, ok := c.values[name]; ok {
		return v.text
	}
	for _, k := range rootKeys {
		if k.name == name {
			return k.def
		}
	}
	return ""
}

// Put gives a setting of the switch as a whole.
func (c *Config) Put(name, text string) {
	for _, k := range rootKeys {
		if k.name == name {
			c.values[name] = value{k.canonical(text), c.values[name].pos}
		}
	}
}

// Line is where a setting of the switch as a whole stands in the file.
func (c *Config) Line(name string) int { return c.values[name].pos.line }

// AddSpec adds a port that a flag gave, in place of one of the file that has its
// link, number or name. It returns those.
func (c *Config) AddSpec(text string) (instead []Port, err error) {
	p, err := ParsePort(text)
	if err != nil {
		return nil, err
	}
	c.Ports = slices.DeleteFunc(c.Ports, func(old Port) bool {
		same := old.pos.line > 0 && (linkKey(old.Link) == linkKey(p.Link) || old.ID != 0 && old.ID == p.ID || old.Name != "" && old.Name == p.Name)
		if same {
			instead = append(instead, old)
		}
		return same
	})
	c.Ports = append(c.Ports, p)
	return instead, nil
}

// Check finds what is wrong with the whole: numbers and names given twice, and
// static addresses behind ports that are not there.
func (c *Config) Check() error {
	ids, names := map[int]pos{}, map[string]pos{}
	for _, p := range c.Ports {
		if before, twice := ids[p.ID]; twice && p.ID != 0 {
			c.add(p.pos, "port number %d is given twice%s", p.ID, before.also())
		}
		if before, twice := names[p.Name]; twice && p.Name != "" {
			c.add(p.pos, "port name %q is given twice%s", p.Name, before.also())
		}
		ids[p.ID], names[p.Name] = p.pos, p.pos
	}
	macs := map[string]pos{}
	for _, f := range c.FDB {
		p := c.port(f.Port)
		if f.Port == "" {
			continue // noted already
		}
		if p == nil {
			c.add(f.pos, "port: no [[port]] has the number or name %q, and ports of a door's clients come and go", f.Port)
			continue
		}
		if full := c.full(p); f.VLAN == 0 && full["native"] == "none" && full["transparent"] == "off" {
			c.add(f.pos, "vlan: %s has no native VLAN to put the address into; say which it is in", p.title())
			continue
		}
		key := c.staticKey(f, p)
		if before, twice := macs[key]; twice {
			c.add(f.pos, "address %s is given twice%s", key, before.also())
		}
		macs[key] = f.pos
	}
	return c.err()
}

// CheckCables finds what is opened twice. Check reports it. Two cables to one
// place are a ring, which a spanning tree is for.
func (c *Config) CheckCables(tree bool) {
	cables := map[string]pos{}
	for _, p := range c.Ports {
		cable := linkKey(p.Link)
		if before, twice := cables[cable]; twice && p.Link.Addr != "" && !tree {
			c.add(p.pos, "%s is given twice%s; leave one out, or if these are two cables to a switch, set stp there and here", cable, before.also())
		}
		cables[cable] = p.pos
	}
}

// also says where the first one stands.
func (p pos) also() string {
	if p.line == 0 {
		return ", also on the command line"
	}
	return fmt.Sprintf(", first in line %d", p.line)
}

// port finds a port by number or name, as the switch would.
func (c *Config) port(ref string) *Port {
	for i := range c.Ports {
		p := &c.Ports[i]
		id := ""
		if p.ID != 0 {
			id = strconv.Itoa(p.ID)
		}
		if p.Name != "" && p.Name == ref || id != "" && (ref == id || p.Name == "" && ref == "port"+id) {
			return p
		}
	}
	return nil
}

// staticKey tells static addresses apart.
func (c *Config) staticKey(f Static, p *Port) string {
	vlan := strconv.Itoa(f.VLAN)
	if f.VLAN == 0 {
		vlan = c.full(p)["vlan"]
	}
	return f.MAC + " vlan " + vlan
}

// Keys lists the settings of the switch as a whole, in the order of a file.
func Keys() []string {
	names := make([]string, len(rootKeys))
	for i, k := range rootKeys {
		names[i] = k.name
	}
	return names
}

// Line is where p stands in the file; 0: it does not.
func (p *Port) Line() int { return p.pos.line }
