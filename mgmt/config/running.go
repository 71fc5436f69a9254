package config

import (
	"maps"
	"slices"
	"strconv"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// Running is a switch as a Config: what can change in it as it is now, the rest
// as it was started. own are the doors of its directory; they are not part of it.
func Running(sw *vswitch.Switch, started *Config, own []link.Spec) *Config {
	info := sw.Info()
	c := New("")
	maps.Copy(c.values, started.values)
	c.Put("ageing", info.Ageing.String())
	c.Put("hub", strconv.FormatBool(info.Hub))
	c.putSTP(info.STP)
	c.Default = givenSettings(info.Default)
	for _, d := range info.Doors {
		if p, err := ParsePort(d.Spec); err == nil {
			p.ref, p.door = d.Name, true
			p.own = slices.ContainsFunc(own, func(o link.Spec) bool { return linkKey(o) == linkKey(p.Link) })
			c.Ports = append(c.Ports, p)
		}
	}
	ids := map[int]bool{}
	for _, info := range sw.Ports() {
		if info.Door != "" {
			continue // a client's
		}
		p, err := ParsePort(info.Spec)
		if err != nil {
			continue // cannot be: the switch has read it
		}
		p.named = p.ID != 0 || p.Name != ""
		p.ID, p.Name = info.Config.ID, info.Config.Name
		p.Name = p.givenName(p.ID)
		p.ref, p.unsaved = strconv.Itoa(p.ID), info.Config.Unsaved
		p.Set = lean(c.Default, settingsOf(info.Config))
		ids[p.ID] = !p.unsaved
		c.Ports = append(c.Ports, p)
	}
	entries, _ := sw.FDB(vswitch.FDBFilter{}) // fails only for a filter's port
	for _, e := range entries {
		if e.Static && ids[e.Port] {
			c.FDB = append(c.FDB, Static{MAC: e.MAC.String(), VLAN: int(e.VID), Port: strconv.Itoa(e.Port)})
		}
	}
	return c
}

// givenSettings are the settings that cfg gives and does not leave open.
func givenSettings(cfg vswitch.PortConfig) Settings {
	s := Settings{}
	for _, key := range settingNames {
		given := map[string]bool{
			"vlan":        cfg.PVID != 0,
			"native":      cfg.Native != vswitch.NativeUntagged,
			"tagged":      cfg.Tagged != nil,
			"transparent": cfg.Transparent,
			"isolated":    cfg.Isolated,
			"down":        cfg.Down,
			"mtu":         cfg.MTU != 0 && cfg.MTU != frame.MaxMTU,
			"impair":      !cfg.Impair.Good(),
			"maclimit":    cfg.MACLimit != 0,
			"allowmac":    cfg.Sources != vswitch.Sources{},
			"mirror":      len(cfg.Mirror) > 0,
			"allowuser":   cfg.User != nil,
			"allowgroup":  cfg.Group != nil,
		}
		if none, ours := stpNone[key]; given[key] || ours && stpCanonical(key, cfg) != none {
			s[key] = canonical(key, cfg)
		}
	}
	return s
}

// visible is c without what a file cannot have.
func (c *Config) visible() *Config {
	v := *c
	v.Ports = slices.DeleteFunc(slices.Clone(c.Ports), func(p Port) bool { return p.own || p.unsaved })
	return &v
}
