package config

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	vswitch "vnetkit/switch"
	"vnetkit/switch/frame"
)

// readRoot reads a whole file. Whatever is wrong is noted and left out.
func (c *Config) readRoot(root *node, known Known) {
	for _, e := range root.keys {
		i := slices.IndexFunc(rootKeys, func(k rootKey) bool { return k.name == e.name })
		switch {
		case i >= 0:
			c.readRootKey(rootKeys[i], e, known)
		case e.name == tableDefault:
			if c.isTable(e) {
				c.readDefault(e.val)
			}
		case e.name == tablePort:
			for _, t := range c.tables(e) {
				c.readPort(t, known)
			}
		case e.name == tableFDB:
			for _, t := range c.tables(e) {
				c.readStatic(t)
			}
		default:
			c.unknown(e.pos, e.name, rootNames())
		}
	}
}

func (c *Config) readRootKey(k rootKey, e entry, known Known) {
	s, ok := scalar(e.val, k.typ)
	if !ok || k.check != nil && k.check(s) != nil {
		c.add(e.val.pos, "%s: want %s, not %s", k.name, k.want, describe(e.val))
		return
	}
	if known.Group != nil && s != "" && (k.name == "group" || k.name == "mgmtgroup") {
		if err := known.Group(s); err != nil {
			c.add(e.val.pos, "%v", err)
			return
		}
	}
	c.values[k.name] = value{k.canonical(s), e.pos}
}

func (c *Config) isTable(e entry) bool {
	if e.val.kind == unstable.Table || e.val.kind == unstable.InlineTable {
		return true
	}
	c.add(e.val.pos, "%s: want a table, [%s], not %s", e.name, e.name, describe(e.val))
	return false
}

// tables are the elements of an array of tables.
func (c *Config) tables(e entry) []*node {
	list := e.val.items
	if e.val.kind != unstable.ArrayTable && e.val.kind != unstable.Array {
		c.add(e.pos, "%s: want tables, each with the header [[%s]], not %s", e.name, e.name, describe(e.val))
		return nil
	}
	return slices.DeleteFunc(slices.Clone(list), func(n *node) bool {
		bad := n.kind != unstable.Table && n.kind != unstable.InlineTable
		if bad {
			c.add(n.pos, "%s: want tables, each with the header [[%s]], not %s", e.name, e.name, describe(n))
		}
		return bad
	})
}

func (c *Config) readDefault(t *node) {
	p := Port{Set: c.Default}
	for _, e := range t.keys {
		switch {
		case slices.Contains(settingNames, e.name):
			c.readSetting(&p, e)
		case slices.Contains(portKeys, e.name):
			c.add(e.pos, "%s: only one port can have it; it belongs into a [[port]]", e.name)
		default:
			c.unknown(e.pos, e.name, settingNames)
		}
	}
}

// readSetting reads one of portKeys.
func (c *Config) readSetting(p *Port, e entry) {
	k := portKeyTypes[e.name]
	s, ok := scalar(e.val, k.typ)
	if !ok && k.list != 0 {
		s, ok = joined(e.val, k.list)
	}
	if k.typ == truth && ok {
		s = onOff(s == "true")
	}
	if ok && e.name == "name" {
		ok = vswitch.PortConfig{Name: s}.Validate() == nil
	}
	if !ok || p.put(e.name, s) != nil {
		c.add(e.val.pos, "%s: want %s, not %s", e.name, k.want, describe(e.val))
	}
}

var staticKeys = []string{"mac", "vlan", "port"}

func (c *Config) readStatic(t *node) {
	f := Static{pos: t.pos, node: t}
	for _, e := range t.keys {
		switch e.name {
		case "mac":
			s, ok := scalar(e.val, text)
			mac, err := frame.ParseMAC(s)
			if !ok || err != nil || mac.IsGroup() || mac == (frame.MAC{}) {
				c.add(e.val.pos, `mac: want a station's address such as "52:54:00:12:34:56", not %s`, describe(e.val))
			}
			f.MAC = mac.String()
		case "vlan":
			s, ok := scalar(e.val, number)
			vid, err := frame.ParseVID(s)
			if !ok || err != nil {
				c.add(e.val.pos, "vlan: want %s, not %s", portKeyTypes["vlan"].want, describe(e.val))
			}
			f.VLAN = int(vid)
		case "port":
			s, ok := scalar(e.val, text)
			if !ok {
				s, ok = scalar(e.val, number)
			}
			if !ok || s == "" {
				c.add(e.val.pos, "port: want the name or number of a port, not %s", describe(e.val))
				s = ""
			}
			f.Port, f.pos = s, e.val.pos
		default:
			c.unknown(e.pos, e.name, staticKeys)
		}
	}
	for _, key := range []string{"mac", "port"} {
		if t.get(key) == nil {
			c.add(t.pos, "%s is missing in this [[fdb]]", key)
		}
	}
	c.FDB = append(c.FDB, f)
}

// scalar reads a value of a type, as a flag or a spec would take it.
func scalar(n *node, typ valueType) (string, bool) {
	switch {
	case typ == text && n.kind == unstable.String && !strings.ContainsRune(n.text, 0):
		return n.text, true
	case typ == truth && n.kind == unstable.Bool:
		return n.text, true
	case typ == number && n.kind == unstable.Integer:
		i, err := strconv.ParseInt(n.text, 0, 64)
		return strconv.FormatInt(i, 10), err == nil
	case typ == period && n.kind == unstable.String:
		_, err := time.ParseDuration(n.text)
		return n.text, err == nil
	}
	return "", false
}

// joined reads an array of texts and numbers, or a number alone, as a spec has
// it in one text.
func joined(n *node, sep byte) (string, bool) {
	if n.kind == unstable.Integer {
		return scalar(n, number)
	}
	if n.kind != unstable.Array {
		return "", false
	}
	var parts []string
	for _, item := range n.items {
		s, ok := scalar(item, text)
		if !ok {
			s, ok = scalar(item, number)
		}
		if !ok || s == "" || s == "none" || strings.IndexByte(s, sep) >= 0 {
			return "", false
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, string(sep)), true
}

// describe says what stands there.
func describe(n *node) string {
	short := func(s string) string {
		if len(s) > 40 {
			return s[:40] + "..."
		}
		return s
	}
	switch n.kind {
	case unstable.String:
		return strconv.Quote(short(n.text))
	case unstable.Integer, unstable.Float, unstable.Bool:
		return short(n.text)
	case unstable.Array:
		parts := make([]string, len(n.items))
		for i, item := range n.items {
			parts[i] = describe(item)
		}
		return "[" + short(strings.Join(parts, ", ")) + "]"
	case unstable.Table, unstable.InlineTable:
		return "a table"
	case unstable.ArrayTable:
		return "an array of tables"
	}
	return "the time " + short(n.text)
}
