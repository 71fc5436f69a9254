package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	vswitch "vnetkit/switch"
)

// Plan is what makes one Config of another, in words and in operations.
type Plan struct {
	Items   []Item   // everything that differs and can be changed
	Restart []string // what differs and takes a restart

	Added, Changed, Removed, Unchanged int // ports and doors

	remove []string
	rename []string // ports whose names must be out of the way first
	set    []vswitch.SetPortOp
	add    []string
	change vswitch.Change
	flush  []vswitch.FDBFilter
	static []vswitch.FDBOp
}

// Item is one difference.
type Item struct {
	Op   string // "+", "-" or "~": to be added, removed or changed
	Text string
}

func (i Item) String() string { return i.Op + " " + i.Text }

// Empty tells whether there is no difference at all.
func (p *Plan) Empty() bool { return len(p.Items) == 0 && len(p.Restart) == 0 }

func (p *Plan) item(op, format string, args ...any) {
	p.Items = append(p.Items, Item{op, fmt.Sprintf(format, args...)})
}

// Summary counts what happens to ports.
func (p *Plan) Summary() string {
	return fmt.Sprintf("%s added, %d changed, %d removed, %d unchanged", count(p.Added, "port"), p.Changed, p.Removed, p.Unchanged)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// pair is a port as it is and as it is wanted; nil: not there.
type pair struct{ have, want *Port }

// differ is a Diff in the making.
type differ struct {
	*Plan
	have, want *Config
	pairs      []pair // the same link: it stays
	moved      []pair // another link under the same number, name or address
}

// Diff finds what makes want of have.
func Diff(have, want *Config) *Plan {
	d := differ{Plan: &Plan{}, have: have, want: want}
	d.values()
	d.match()
	d.ports()
	d.statics()
	return d.Plan
}

// values compares the settings of the switch as a whole.
func (d *differ) values() {
	for _, k := range rootKeys {
		a, b := d.have.Value(k.name), d.want.Value(k.name)
		if a == b || k.name == "dir" && (a == "" || b == "") {
			continue
		}
		text := fmt.Sprintf("%s: %s -> %s", k.name, cmp.Or(a, "none"), cmp.Or(b, "none"))
		if k.restart {
			d.Restart = append(d.Restart, text)
			continue
		}
		d.item("~", "%s", text)
		switch k.name {
		case "hub":
			hub := b == "true"
			d.change.Hub = &hub
		case "ageing":
			ageing := parsePeriod(b)
			d.change.Ageing = &ageing
		default:
			stpValue(&d.change, k.name, b)
		}
	}
	cfg := portConfig(d.want.Default)
	if !maps.Equal(givenSettings(portConfig(d.have.Default)), givenSettings(cfg)) {
		d.change.Default = &cfg
		if text := settingsDiff(fill(d.have.Default, nil), fill(d.want.Default, nil)); text != "" {
			d.item("~", "port-default: %s", text)
		}
	}
}

// match finds out which port is to become which.
func (d *differ) match() {
	have, want := pointers(d.have.Ports), pointers(d.want.Ports)
	for _, p := range append(slices.Clone(have), want...) {
		p.key = linkKey(p.Link)
	}
	d.pairs = pairUp(&have, &want, func(a, b *Port) int {
		switch {
		case a.key != b.key, b.ID != 0 && a.ID != 0 && a.ID != b.ID,
			a.door && (b.ID != 0 || b.Name != ""),
			a.named && b.listen && b.ID == 0 && b.Name == "":
			return 0
		case b.ID != 0 && a.ID == b.ID:
			return 3
		case a.Name == b.Name:
			return 2
		}
		return 1
	})
	d.moved = pairUp(&have, &want, func(a, b *Port) int {
		switch {
		case a.unsaved:
			return 0
		case b.ID != 0 && a.ID == b.ID:
			return 3
		case b.Name != "" && a.Name == b.Name:
			return 2
		case a.Link.Kind == b.Link.Kind && a.Link.Addr == b.Link.Addr:
			return 1
		}
		return 0
	})
	for _, p := range have {
		if p.unsaved {
			continue // others look after it
		}
		d.Removed++
		d.item("-", "%s", p.describe())
		d.remove = append(d.remove, p.ref)
	}
	numberedFirst(want)
	for _, p := range want {
		if p.own {
			continue // somebody shut it
		}
		d.Added++
		d.item("+", "%s", p.describe())
		d.add = append(d.add, p.spec(lean(d.have.Default, d.want.full(p))))
	}
}

func pointers(ports []Port) []*Port {
	list := make([]*Port, len(ports))
	for i := range ports {
		list[i] = &ports[i]
	}
	return list
}

// pairUp takes pairs out of two lists, those that fit best first.
func pairUp(have, want *[]*Port, fit func(have, want *Port) int) []pair {
	var pairs []pair
	for level := 3; level >= 1; level-- {
		*want = slices.DeleteFunc(*want, func(b *Port) bool {
			i := slices.IndexFunc(*have, func(a *Port) bool { return fit(a, b) == level })
			if i < 0 {
				return false
			}
			pairs = append(pairs, pair{(*have)[i], b})
			*have = slices.Delete(*have, i, i+1)
			return true
		})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.want.pos.line, b.want.pos.line) })
	return pairs
}

// ports says what becomes of ports that stay in one way or another.
func (d *differ) ports() {
	for _, p := range d.pairs {
		d.stay(p)
	}
	for _, p := range d.moved {
		d.move(p)
	}
	d.swapNames()
	d.mirrors()
}

// mirrors says once more what is to be shown, if ports change their names: the
// switch has mirrors follow them, and the file may mean others.
func (d *differ) mirrors() {
	if !slices.ContainsFunc(d.set, func(s vswitch.SetPortOp) bool { return s.Change.Name != nil }) {
		return
	}
	for _, p := range d.pairs {
		mirror := portConfig(d.want.full(p.want)).Mirror
		switch {
		case len(mirror) == 0:
		case !p.have.door:
			d.set = append(d.set, vswitch.SetPortOp{Port: p.have.ref, Change: vswitch.PortChange{Mirror: &mirror}})
		case !slices.Contains(d.remove, p.have.ref):
			d.resetDoor(p)
		}
	}
	if cfg := portConfig(d.want.Default); len(cfg.Mirror) > 0 {
		d.change.Default = &cfg
	}
}

// resetDoor gives an open door other settings for clients to come.
func (d *differ) resetDoor(p pair) {
	again := Port{Link: p.have.Link, unsaved: p.want.unsaved}
	d.remove = append(d.remove, p.have.ref)
	d.add = append(d.add, again.spec(lean(d.have.Default, d.want.full(p.want))))
}

// stay changes the settings of a port whose link stays.
func (d *differ) stay(p pair) {
	old, wanted := d.have.full(p.have), d.want.full(p.want)
	text := settingsDiff(old, wanted)
	oldName, name := p.have.givenName(p.have.ID), p.want.givenName(p.have.ID)
	if oldName != name {
		text = join(fmt.Sprintf("name %s -> %s", cmp.Or(oldName, "none"), cmp.Or(name, "none")), text)
	}
	if p.have.unsaved && !p.want.unsaved {
		text = join(text, "save off -> on")
	}
	if text == "" {
		if !p.want.own {
			d.Unchanged++
		}
		return
	}
	if !p.want.own {
		d.Changed++
	}
	if p.have.door {
		d.item("~", "%s: %s (for clients to come)", p.have.title(), text)
		d.resetDoor(p)
		return
	}
	d.item("~", "%s: %s", p.have.title(), text)
	ch := portChange(old, wanted)
	if oldName != name {
		ch.Name = &name
	}
	if p.have.unsaved != p.want.unsaved {
		ch.Unsaved = &p.want.unsaved
	}
	d.set = append(d.set, vswitch.SetPortOp{Port: p.have.ref, Change: ch})
}

// move replaces a port by another one.
func (d *differ) move(p pair) {
	what := ""
	if p.have.key != p.want.key {
		what = fmt.Sprintf("%v -> %v", p.have.Link, p.want.Link)
	}
	if a, b := p.have.number(), p.want.number(); a != b && !(p.want.ID == 0 && !p.have.door) {
		what = join(what, fmt.Sprintf("number %s -> %s", a, b))
	}
	if a, b := cmp.Or(p.have.Name, "none"), cmp.Or(p.want.Name, "none"); a != b {
		what = join(what, fmt.Sprintf("name %s -> %s", a, b))
	}
	if p.want.own {
		return // the daemon's own door stays as it was made
	}
	d.Changed++
	d.item("~", "%s: %s (a new link)", p.have.title(), join(what, settingsDiff(d.have.full(p.have), d.want.full(p.want))))
	d.remove = append(d.remove, p.have.ref)
	next := *p.want
	if next.ID == 0 && !p.have.door && !next.listen {
		next.ID = p.have.ID
	}
	d.add = append(d.add, next.spec(lean(d.have.Default, d.want.full(p.want))))
}

// swapNames makes room for names that pass from one port to another.
func (d *differ) swapNames() {
	renamed := map[string]bool{}
	for _, s := range d.set {
		renamed[s.Port] = s.Change.Name != nil
	}
	holder := map[string]string{} // name -> port that gives it up
	for _, p := range d.have.Ports {
		if p.Name != "" && renamed[p.ref] {
			holder[p.Name] = p.ref
		}
	}
	for _, s := range d.set {
		if s.Change.Name == nil {
			continue
		}
		if ref, ok := holder[*s.Change.Name]; ok && ref != s.Port {
			d.rename = append(d.rename, ref)
		}
	}
}

// givenName is p's name unless that is what a port of this number is called
// anyway.
func (p *Port) givenName(id int) string {
	if id != 0 && p.Name == "port"+strconv.Itoa(id) {
		return ""
	}
	return p.Name
}

func (p *Port) number() string {
	if p.ID == 0 {
		return "none"
	}
	return strconv.Itoa(p.ID)
}

// describe is p for who does not know it yet.
func (p *Port) describe() string {
	if p.Name != "" || p.ID != 0 {
		return fmt.Sprintf("%s (%v)", p.title(), p.Link)
	}
	kind, _, _ := strings.Cut(p.title(), " ")
	return kind + " " + p.Link.String()
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ", " + b
}

// settingsDiff says how two full settings differ.
func settingsDiff(old, wanted Settings) string {
	text := ""
	for _, key := range settingNames {
		if old[key] != wanted[key] {
			text = join(text, fmt.Sprintf("%s %s -> %s", key, old[key], wanted[key]))
		}
	}
	return text
}
