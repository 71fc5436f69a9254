package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
)

// readPort reads a [[port]].
func (c *Config) readPort(t *node, known Known) {
	p := Port{Set: Settings{}, pos: t.pos, node: t}
	before := len(c.mistakes)
	inSpec := c.readSpec(&p, t)
	own := map[string]pos{}
	for _, e := range t.keys {
		switch {
		case e.name == "spec" || e.name == "kind" || e.name == "address":
		case inSpec[e.name]:
			c.add(e.pos, "%s stands in the spec too", e.name)
		case slices.Contains(portKeys, e.name):
			c.readSetting(&p, e)
		default:
			if v, ok := ownValue(e.val); ok {
				p.Link.Opts = append(p.Link.Opts, link.Opt{Key: e.name, Value: v})
				own[e.name] = e.pos
			} else {
				c.add(e.val.pos, "%s: want a text, a number, true or false, not %s", e.name, describe(e.val))
			}
		}
	}
	if p.Link.Kind != "" {
		c.checkKind(&p, t, own, known)
	}
	if err := (vswitch.PortConfig{ID: p.ID, Name: p.Name}).Validate(); err != nil && len(c.mistakes) == before {
		c.add(t.pos, "%s", reason(err))
	}
	c.Ports = append(c.Ports, p)
}

// readSpec reads what says where a port's links come from, and tells which keys
// a spec had in it.
func (c *Config) readSpec(p *Port, t *node) map[string]bool {
	texts := map[string]string{}
	for _, key := range []string{"spec", "kind", "address"} {
		n := t.get(key)
		if n == nil {
			continue
		}
		s, ok := scalar(n, text)
		if !ok || s == "" && key != "address" {
			c.add(n.pos, "%s: want a text, not %s", key, describe(n))
		}
		texts[key] = s
	}
	spec, hasSpec := texts["spec"]
	kind, hasKind := texts["kind"]
	addr, hasAddr := texts["address"]
	switch {
	case hasSpec && (hasKind || hasAddr):
		c.add(t.get("spec").pos, "spec says kind and address too; give either it or them")
	case spec == "" && hasSpec: // noted already
	case hasSpec:
		read, err := ParsePort(spec)
		if err != nil {
			c.add(t.get("spec").pos, "spec: %s", reason(err))
			return nil
		}
		if read.unsaved {
			c.add(t.get("spec").pos, "spec: save=off: what stands in a file is saved; leave that key out, or the port")
		}
		read.pos, read.node = p.pos, p.node
		*p = read
		inSpec := map[string]bool{"id": p.ID != 0, "name": p.Name != ""}
		for key := range p.Set {
			inSpec[key] = true
		}
		for _, o := range p.Link.Opts {
			inSpec[o.Key] = true
		}
		return inSpec
	case !hasKind && !hasAddr:
		c.add(t.pos, `this [[port]] says no kind and address, such as kind = "stream" and address = "unix:/run/vm1.sock"`)
	case !hasKind:
		c.add(t.pos, `kind is missing in this [[port]], such as kind = "stream"`)
	case !hasAddr:
		c.add(t.pos, `address is missing in this [[port]], such as address = "unix:/run/vm1.sock"`)
	default:
		if strings.Contains(kind, ":") {
			c.add(t.get("kind").pos, "kind: %q is more than a kind; the rest belongs into address, or write spec", kind)
			return nil
		}
		p.Link.Kind, p.Link.Addr = kind, addr
	}
	return nil
}

// ownValue reads a value of a kind's own key.
func ownValue(n *node) (string, bool) {
	if s, ok := scalar(n, truth); ok {
		return onOff(s == "true"), true
	}
	if s, ok := scalar(n, number); ok {
		return s, true
	}
	return scalar(n, text)
}

// checkKind checks what only the port's kind knows.
func (c *Config) checkKind(p *Port, t *node, own map[string]pos, known Known) {
	if known.Kinds == nil {
		return
	}
	place := func(key string) pos {
		for _, k := range []string{key, "spec"} {
			if n := t.get(k); n != nil {
				return n.pos
			}
		}
		return t.pos
	}
	i := slices.IndexFunc(known.Kinds, func(k link.Kind) bool { return k.Name == p.Link.Kind })
	if i < 0 {
		var names []string
		for _, k := range known.Kinds {
			names = append(names, k.Name)
		}
		what := "the kinds are " + strings.Join(names, ", ")
		if near := api.Nearest(p.Link.Kind, names); near != "" {
			what = fmt.Sprintf("did you mean %q?", near)
		}
		c.add(place("kind"), "unknown kind %q; %s", p.Link.Kind, what)
		return
	}
	spec := p.Link
	for known.Kinds[i].Check != nil {
		_, err := known.Kinds[i].Check(spec)
		var key *link.KeyError
		if !errors.As(err, &key) {
			if err != nil {
				name, _, _ := strings.Cut(reason(err), "=")
				at, ok := own[name]
				if !ok {
					at = place("address")
				}
				c.add(at, "%s", reason(err))
			}
			return
		}
		at, ok := own[key.Key]
		if !ok {
			at = place("spec")
		}
		c.unknown(at, key.Key, append(slices.Clone(key.Known), append([]string{"kind", "address", "spec"}, portKeys...)...))
		if _, ok := spec.Take(key.Key); !ok {
			return
		}
	}
}

// reason is an error's text without the sentinel before it, which the place in
// the file says better.
func reason(err error) string {
	s := err.Error()
	for strings.HasPrefix(s, "invalid setting: ") {
		s = strings.TrimPrefix(s, "invalid setting: ")
	}
	return s
}
