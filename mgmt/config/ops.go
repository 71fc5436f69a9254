package config

import (
	"strconv"
	"time"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// ops is the plan as the switch takes it.
func (p *Plan) ops() []vswitch.Op {
	var ops []vswitch.Op
	for i := range p.remove {
		ops = append(ops, vswitch.Op{Remove: &p.remove[i]})
	}
	none := ""
	for _, ref := range p.rename {
		ops = append(ops, vswitch.Op{SetPort: &vswitch.SetPortOp{Port: ref, Change: vswitch.PortChange{Name: &none}}})
	}
	for i := range p.set {
		ops = append(ops, vswitch.Op{SetPort: &p.set[i]})
	}
	for i := range p.add {
		ops = append(ops, vswitch.Op{Add: &p.add[i]})
	}
	if p.change != (vswitch.Change{}) {
		ops = append(ops, vswitch.Op{Set: &p.change})
	}
	for i := range p.flush {
		ops = append(ops, vswitch.Op{FlushFDB: &p.flush[i]})
	}
	for i := range p.static {
		ops = append(ops, vswitch.Op{AddFDB: &p.static[i]})
	}
	return ops
}

// Statics are c's static addresses, as the switch takes them.
func (c *Config) Statics() []vswitch.FDBOp {
	var list []vswitch.FDBOp
	for _, f := range c.FDB {
		if p := c.port(f.Port); p != nil {
			list = append(list, vswitch.FDBOp{VID: c.staticVLAN(f, p), MAC: parseMAC(f.MAC), Port: f.Port})
		}
	}
	return list
}

// statics compares static addresses.
func (d *differ) statics() {
	peer, stays := map[*Port]*Port{}, map[*Port]bool{} // wanted port -> present one; whether that keeps its addresses
	for _, p := range d.pairs {
		peer[p.want], stays[p.have] = p.have, true
	}
	for _, p := range d.moved {
		peer[p.want] = p.have
	}
	there := map[string]*Port{}
	for _, f := range d.have.FDB {
		if p := d.have.port(f.Port); p != nil {
			there[d.have.staticKey(f, p)] = p
		}
	}
	for _, f := range d.want.FDB {
		p := d.want.port(f.Port)
		if p == nil {
			continue // Check says so
		}
		key := d.want.staticKey(f, p)
		old := there[key]
		delete(there, key)
		same := old != nil && old == peer[p]
		switch {
		case same && stays[old]:
			continue
		case !same:
			d.item("+", "static address %s behind %s", key, p.title())
		}
		ref := f.Port
		if now := peer[p]; now != nil && stays[now] {
			ref = now.ref
		}
		d.static = append(d.static, vswitch.FDBOp{VID: d.want.staticVLAN(f, p), MAC: parseMAC(f.MAC), Port: ref})
	}
	for _, f := range d.have.FDB {
		p := d.have.port(f.Port)
		if p == nil || there[d.have.staticKey(f, p)] != p {
			continue
		}
		d.item("-", "static address %s behind %s", d.have.staticKey(f, p), p.title())
		if mac := parseMAC(f.MAC); stays[p] {
			d.flush = append(d.flush, vswitch.FDBFilter{VID: d.have.staticVLAN(f, p), MAC: &mac, Static: true})
		}
	}
}

func (c *Config) staticVLAN(f Static, p *Port) frame.VID {
	if f.VLAN == 0 {
		return parseVID(c.full(p)["vlan"])
	}
	return frame.VID(f.VLAN)
}

// The parsers below are for texts that are known to be good.

func parsePeriod(s string) time.Duration { d, _ := time.ParseDuration(s); return d }
func parseMAC(s string) frame.MAC        { m, _ := frame.ParseMAC(s); return m }
func parseVID(s string) frame.VID        { n, _ := strconv.Atoi(s); return frame.VID(n) }

// portConfig turns given settings, which are known to be good, into the switch's.
func portConfig(s Settings) vswitch.PortConfig {
	cfg, _ := vswitch.ParsePortConfig((&Config{Default: s}).DefaultText())
	return cfg
}

// portChange makes full settings of others.
func portChange(old, wanted Settings) vswitch.PortChange {
	cfg := portConfig(wanted)
	var ch vswitch.PortChange
	for _, key := range settingNames {
		if old[key] == wanted[key] {
			continue
		}
		switch key {
		case "vlan":
			ch.PVID = &cfg.PVID
		case "native":
			ch.Native = &cfg.Native
		case "tagged":
			ch.Tagged = cfg.Tagged
		case "transparent":
			ch.Transparent = &cfg.Transparent
		case "isolated":
			ch.Isolated = &cfg.Isolated
		case "down":
			ch.Down = &cfg.Down
		case "mtu":
			ch.MTU = &cfg.MTU
		case "impair":
			ch.Impair = &cfg.Impair
		case "maclimit":
			ch.MACLimit = &cfg.MACLimit
		case "allowmac":
			ch.Sources = &cfg.Sources
		case "mirror":
			ch.Mirror = &cfg.Mirror
		case "allowuser":
			ch.User = orAnybody(cfg.User)
		case "allowgroup":
			ch.Group = orAnybody(cfg.Group)
		default:
			stpPortChange(&ch, key, &cfg)
		}
	}
	return ch
}

// orAnybody is a User or Group as a change wants it.
func orAnybody(id *int) *int {
	if id == nil {
		anybody := vswitch.Anybody
		return &anybody
	}
	return id
}
