package config

import (
	"fmt"
	"strconv"
	"strings"
)

// TOML writes c as a file that Parse reads back.
func (c *Config) TOML() string {
	var b strings.Builder
	b.WriteString("# A switch's configuration: vswitch --config FILE. docs/vswitch.toml explains it.\n\n")
	for _, k := range rootKeys {
		if v := c.Value(k.name); v != "" && (k.typ != truth || v == "true" || k.name == "hub") {
			b.WriteString(rootLine(k, v))
		}
	}
	if len(c.Default) > 0 {
		b.WriteString("\n[" + tableDefault + "]\n")
		settingLines(&b, c.Default)
	}
	for i := range c.Ports {
		if p := &c.Ports[i]; !p.own && !p.unsaved {
			b.WriteString("\n" + c.Ports[i].toml())
		}
	}
	for _, f := range c.FDB {
		b.WriteString("\n" + c.staticTOML(f))
	}
	return b.String()
}

func rootLine(k rootKey, v string) string {
	if k.typ == text || k.typ == period {
		v = quote(v)
	}
	return k.name + " = " + v + "\n"
}

// toml is p as a table.
func (p *Port) toml() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[[%s]]\nkind = %s\naddress = %s\n", tablePort, quote(p.Link.Kind), quote(p.Link.Addr))
	for _, o := range p.Link.Opts {
		v := o.Value
		switch n, err := strconv.Atoi(v); {
		case v == "on":
			v = "true"
		case v == "off":
			v = "false"
		case err != nil || strconv.Itoa(n) != v:
			v = quote(v)
		}
		fmt.Fprintf(&b, "%s = %s\n", keyText(o.Key), v)
	}
	if p.ID != 0 {
		fmt.Fprintf(&b, "id = %d\n", p.ID)
	}
	if p.Name != "" {
		fmt.Fprintf(&b, "name = %s\n", quote(p.Name))
	}
	settingLines(&b, p.Set)
	return b.String()
}

func settingLines(b *strings.Builder, s Settings) {
	for _, key := range settingNames {
		if v, ok := s[key]; ok {
			fmt.Fprintf(b, "%s = %s\n", key, settingText(key, v))
		}
	}
}

// settingText writes a setting's value.
func settingText(key, v string) string {
	switch portKeyTypes[key].typ {
	case truth:
		return strconv.FormatBool(v == "on")
	case number:
		return v
	}
	return quote(v)
}

func (c *Config) staticTOML(f Static) string {
	port := quote(f.Port)
	if p := c.port(f.Port); p != nil && p.Name != "" {
		port = quote(p.Name)
	} else if _, err := strconv.Atoi(f.Port); err == nil {
		port = f.Port
	}
	vlan := ""
	if f.VLAN != 0 {
		vlan = fmt.Sprintf("vlan = %d\n", f.VLAN)
	}
	return fmt.Sprintf("[[%s]]\nmac = %s\n%sport = %s\n", tableFDB, quote(f.MAC), vlan, port)
}

// keyText writes a key, in quotes if it is not a bare one.
func keyText(key string) string {
	if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return quote(key)
	}
	return key
}

// quote writes a basic string of TOML.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
