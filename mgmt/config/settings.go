package config

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Settings are settings of a port as in its spec: the key's name and its value.
type Settings map[string]string

// settingNames are the keys of Settings in the order of a file. Number and name
// are no settings: they say which port it is.
var settingNames = append([]string{"vlan", "native", "tagged", "transparent", "isolated", "down", "mtu", "impair", "maclimit", "allowmac", "mirror", "allowuser", "allowgroup"}, stpNames...)

// portKeys are the keys that a port of any kind has.
var portKeys = append([]string{"id", "name"}, settingNames...)

// ParsePort reads a port's spec.
func ParsePort(text string) (Port, error) {
	spec, err := link.ParseSpec(text)
	if err != nil {
		return Port{}, err
	}
	p := Port{Set: Settings{}}
	if v, ok := spec.Take("save"); ok {
		cfg, err := parseSetting("save", v)
		if err != nil {
			return Port{}, err
		}
		p.unsaved = cfg.Unsaved
	}
	for _, key := range portKeys {
		v, ok := spec.Take(key)
		if !ok {
			continue
		}
		if err := p.put(key, v); err != nil {
			return Port{}, err
		}
	}
	p.Link = spec
	return p, nil
}

// put sets one of portKeys.
func (p *Port) put(key, text string) error {
	cfg, err := parseSetting(key, text)
	if err != nil {
		return err
	}
	switch key {
	case "id":
		p.ID = cfg.ID
	case "name":
		p.Name = cfg.Name
	default:
		p.Set[key] = canonical(key, cfg)
	}
	return nil
}

// parseSetting has the switch read one setting.
func parseSetting(key, text string) (vswitch.PortConfig, error) {
	opt := link.Opt{Key: key, Value: text}
	spec := link.Spec{Opts: []link.Opt{opt}}.String()
	return vswitch.ParsePortConfig(strings.TrimPrefix(spec, ":,"))
}

// canonical writes a setting in one way only.
func canonical(key string, cfg vswitch.PortConfig) string {
	switch key {
	case "vlan":
		return strconv.Itoa(int(cfg.PVID))
	case "native":
		return cfg.Native.String()
	case "tagged":
		return cfg.Tagged.String()
	case "transparent":
		return onOff(cfg.Transparent)
	case "isolated":
		return onOff(cfg.Isolated)
	case "down":
		return onOff(cfg.Down)
	case "mtu":
		return strconv.Itoa(cfg.MTU)
	case "impair":
		return cfg.Impair.String()
	case "maclimit":
		return strconv.Itoa(cfg.MACLimit)
	case "allowmac":
		return cfg.Sources.String()
	case "mirror":
		return mirrorText(cfg.Mirror)
	case "allowuser":
		return accountText(cfg.User)
	case "allowgroup":
		return accountText(cfg.Group)
	}
	return stpCanonical(key, cfg)
}

func accountText(id *int) string {
	if id == nil {
		return "any"
	}
	return strconv.Itoa(*id)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func mirrorText(list []vswitch.MirrorFrom) string {
	if len(list) == 0 {
		return "none"
	}
	parts := make([]string, len(list))
	for i, m := range list {
		parts[i] = m.String()
	}
	return strings.Join(parts, "+")
}

// settingsOf writes down what a running port is set to.
func settingsOf(cfg vswitch.PortConfig) Settings {
	if cfg.Tagged == nil {
		cfg.Tagged = &frame.VIDSet{}
	}
	s := Settings{}
	for _, key := range settingNames {
		s[key] = canonical(key, cfg)
	}
	return s
}

// full is what p is set to: its own settings over the default ones over those
// of the switch.
func (c *Config) full(p *Port) Settings { return fill(c.Default, p.Set) }

// fill completes settings as the switch does.
func fill(defaults, given Settings) Settings {
	get := func(key, none string) string { return cmp.Or(given[key], defaults[key], none) }
	tagged := "all" // with the PVID left open, else
	if given["vlan"] != "" || defaults["vlan"] != "" {
		tagged = "none"
	}
	full := Settings{
		"vlan":        get("vlan", "1"),
		"native":      get("native", "untagged"),
		"tagged":      get("tagged", tagged),
		"transparent": get("transparent", "off"),
		"isolated":    get("isolated", "off"),
		"down":        get("down", "off"),
		"mtu":         get("mtu", strconv.Itoa(frame.MaxMTU)),
		"impair":      get("impair", "none"),
		"maclimit":    get("maclimit", "0"),
		"allowmac":    get("allowmac", "any"),
		"mirror":      get("mirror", "none"),
		"allowuser":   get("allowuser", "any"),
		"allowgroup":  get("allowgroup", "any"),
	}
	for key, none := range stpNone {
		full[key] = get(key, none)
	}
	return full
}

// lean is what must be given so that fill yields full.
func lean(defaults, full Settings) Settings {
	given := Settings{}
	for _, key := range settingNames { // vlan comes before tagged, which depends on it
		if fill(defaults, given)[key] != full[key] {
			given[key] = full[key]
		}
	}
	return given
}

// spec is what makes the switch open p.
func (p *Port) spec(given Settings) string {
	spec := p.Link
	spec.Opts = slices.Clone(spec.Opts)
	if p.ID != 0 {
		spec.Opts = append(spec.Opts, link.Opt{Key: "id", Value: strconv.Itoa(p.ID)})
	}
	if p.Name != "" {
		spec.Opts = append(spec.Opts, link.Opt{Key: "name", Value: p.Name})
	}
	for _, key := range settingNames {
		if v, ok := given[key]; ok {
			spec.Opts = append(spec.Opts, link.Opt{Key: key, Value: v})
		}
	}
	if p.unsaved {
		spec.Opts = append(spec.Opts, link.Opt{Key: "save", Value: "off"})
	}
	return spec.String()
}

// Specs are what makes a switch with c's default settings open c's ports. Those
// that have a number come first, so that no other one takes it.
func (c *Config) Specs() []string {
	ports := pointers(c.Ports)
	numberedFirst(ports)
	list := make([]string, len(ports))
	for i, p := range ports {
		list[i] = p.spec(p.Set)
	}
	return list
}

func numberedFirst(ports []*Port) {
	slices.SortStableFunc(ports, func(a, b *Port) int { return cmp.Compare(b.given(), a.given()) })
}

func (p *Port) given() int { return min(p.ID, 1) }

// DefaultText is what --port-default takes.
func (c *Config) DefaultText() string {
	text := (&Port{}).spec(c.Default)
	return strings.TrimPrefix(strings.TrimPrefix(text, ":"), ",")
}

// PutDefault gives default settings of ports, as --port-default takes them.
func (c *Config) PutDefault(text string) error {
	c.Default = Settings{}
	if text == "" {
		return nil
	}
	p, err := ParsePort("default:," + text)
	if err == nil {
		err = p.Link.Done(settingNames...)
	}
	if err == nil && p.unsaved {
		err = errors.New("save=off is for single ports")
	}
	c.Default = p.Set
	return err
}

// linkKey tells links apart: two specs with the same one open the same thing.
func linkKey(spec link.Spec) string { return spec.Sorted().String() }

// title is what people call p.
func (p *Port) title() string {
	switch {
	case p.Name != "":
		return "port " + p.Name
	case p.ID != 0:
		return "port " + strconv.Itoa(p.ID)
	case p.door || p.listen:
		return "door " + p.Link.Kind + ":" + p.Link.Addr
	}
	return "port " + p.Link.Kind + ":" + p.Link.Addr
}
