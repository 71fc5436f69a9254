package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Edit changes a file so that it says what want says, value by value: what need
// not change stays as it is, comments and all. lost are the comments that go
// with what goes. Where that cannot be done the file is written anew.
func Edit(name string, data []byte, want *Config) (out []byte, lost []string, err error) {
	old, err := Parse(name, data, Known{})
	if err == nil {
		err = old.Check()
	}
	if err != nil {
		return nil, nil, err
	}
	e := editor{data: data, old: old, want: want}
	out = e.edit()
	if again, err := Parse(name, out, Known{}); err != nil || again.Check() != nil || !Diff(again, want).Empty() {
		out = []byte(want.TOML())
		if again, err := Parse(name, out, Known{}); err != nil || again.Check() != nil || !Diff(again, want).Empty() {
			return nil, nil, errors.New("the running configuration cannot be written as TOML (is there a path that is not UTF-8?)")
		}
	}
	return out, missing(comments(data), comments(out)), nil
}

// editor collects replacements of parts of a file.
type editor struct {
	data      []byte
	old, want *Config
	parts     []part
	tail      strings.Builder // new tables
}

// part is to be replaced.
type part struct {
	start, end int
	text       string
}

func (e *editor) replace(start, end int, text string) {
	e.parts = append(e.parts, part{start, end, text})
}

func (e *editor) edit() []byte {
	e.rootValues()
	e.defaults()
	d := differ{Plan: &Plan{}, have: e.old, want: e.want}
	d.match()
	gone := map[*Port]bool{}
	kept := map[*Port]bool{}
	for _, p := range d.pairs {
		e.port(p)
		kept[p.want] = true
	}
	for i := range e.old.Ports {
		gone[&e.old.Ports[i]] = true
	}
	for _, p := range d.pairs {
		delete(gone, p.have)
	}
	for p := range gone {
		e.remove(p.node)
	}
	for i := range e.want.Ports {
		if p := &e.want.Ports[i]; !kept[p] {
			e.tail.WriteString("\n" + p.toml())
		}
	}
	e.statics(d.pairs)
	return e.finish()
}

// finish carries out the replacements.
func (e *editor) finish() []byte {
	slices.SortStableFunc(e.parts, func(a, b part) int { return cmp.Compare(a.start, b.start) })
	var out bytes.Buffer
	at := 0
	for _, p := range e.parts {
		if p.start < at {
			continue // inside of what is gone
		}
		out.Write(e.data[at:p.start])
		out.WriteString(p.text)
		at = p.end
	}
	out.Write(e.data[at:])
	if e.tail.Len() > 0 && out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
		out.WriteByte('\n')
	}
	out.WriteString(e.tail.String())
	return out.Bytes()
}

func (e *editor) rootValues() {
	for _, k := range rootKeys {
		v := e.want.Value(k.name)
		if v == e.old.Value(k.name) || k.name == "dir" && v == "" {
			continue
		}
		line := strings.TrimSuffix(rootLine(k, v), "\n")
		if n := e.old.root.get(k.name); n != nil {
			e.setValue(n, strings.TrimPrefix(line, k.name+" = "))
			continue
		}
		at, before, after := e.rootEnd()
		e.replace(at, at, before+line+after)
	}
}

// rootEnd is where a further root key can stand.
func (e *editor) rootEnd() (at int, before, after string) {
	first := len(e.data)
	for _, k := range e.old.root.keys {
		if k.val.kind == unstable.Table || k.val.kind == unstable.ArrayTable {
			if k.end > 0 {
				first = min(first, e.blockStart(k.start))
			}
		} else {
			at = max(at, e.lineEnd(k.end))
		}
	}
	if at > 0 {
		return at, "\n", ""
	}
	if first == len(e.data) && first > 0 && e.data[first-1] != '\n' {
		return first, "\n", "\n"
	}
	return first, "", "\n"
}

func (e *editor) defaults() {
	t := e.old.root.get(tableDefault)
	if t == nil {
		if len(e.want.Default) > 0 {
			e.tail.WriteString("\n[" + tableDefault + "]\n")
			settingLines(&e.tail, e.want.Default)
		}
		return
	}
	old, next := givenSettings(portConfig(e.old.Default)), givenSettings(portConfig(e.want.Default))
	for _, key := range settingNames {
		v, wanted := next[key]
		had, given := old[key]
		switch {
		case v == had && wanted == given:
		case wanted:
			e.setKey(t, key, settingText(key, v))
		default:
			e.dropKey(t, key)
		}
	}
}

// port changes the settings of a port in its table.
func (e *editor) port(p pair) {
	full := e.want.full(p.want)
	changed := Settings{}
	next := Settings{}
	for k, v := range p.have.Set {
		next[k] = v
	}
	for _, key := range settingNames { // vlan comes before tagged, which depends on it
		if fill(e.want.Default, next)[key] != full[key] {
			changed[key], next[key] = full[key], full[key]
		}
	}
	name := p.want.givenName(p.have.ID)
	rename := name != p.have.givenName(p.have.ID)
	again := Port{}
	if spec := p.have.node.get("spec"); spec != nil {
		again, _ = ParsePort(spec.text)
		inside := false
		for key, v := range changed {
			if _, ok := again.Set[key]; ok {
				again.Set[key], inside = v, true
				delete(changed, key)
			}
		}
		if rename && again.Name != "" {
			again.Name, inside, rename = name, true, false
		}
		if inside {
			e.setValue(spec, quote(again.spec(again.Set)))
		}
	}
	for _, key := range settingNames {
		if v, ok := changed[key]; ok {
			e.setKey(p.have.node, key, settingText(key, v))
		}
	}
	switch {
	case rename && name == "":
		e.dropKey(p.have.node, "name")
	case rename:
		e.setKey(p.have.node, "name", quote(name))
	}
}

// statics adds and removes static addresses.
func (e *editor) statics(pairs []pair) {
	wanted := map[*Port]*Port{}
	for _, p := range pairs {
		wanted[p.have] = p.want
	}
	there := map[string]bool{}
	for _, f := range e.old.FDB {
		p := e.old.port(f.Port)
		key := e.old.staticKey(f, p)
		i := slices.IndexFunc(e.want.FDB, func(g Static) bool {
			q := e.want.port(g.Port)
			return q != nil && q == wanted[p] && e.want.staticKey(g, q) == key
		})
		if i < 0 || f.VLAN == 0 && e.want.full(wanted[p])["vlan"] != e.old.full(p)["vlan"] || wanted[p].givenName(p.ID) != p.givenName(p.ID) && f.Port == p.Name {
			e.remove(f.node)
			continue
		}
		there[key] = true
	}
	for _, f := range e.want.FDB {
		if p := e.want.port(f.Port); p != nil && !there[e.want.staticKey(f, p)] {
			e.tail.WriteString("\n" + e.want.staticTOML(f))
		}
	}
}

// setKey gives a key of a table a value.
func (e *editor) setKey(t *node, key, text string) {
	if n := t.get(key); n != nil {
		e.setValue(n, text)
		return
	}
	at := e.lineEnd(t.end)
	e.replace(at, at, "\n"+key+" = "+text)
}

// setValue replaces a value. A comment behind it stays in its column if it can.
func (e *editor) setValue(n *node, text string) {
	end := n.end
	for end < len(e.data) && e.data[end] == ' ' {
		end++
	}
	if end > n.end && end < len(e.data) && e.data[end] == '#' {
		old := n.start
		if bytes.IndexByte(e.data[n.start:n.end], '\n') >= 0 {
			old = n.end - len(text) // of several lines: the gap stays
		}
		text += strings.Repeat(" ", max(1, end-old-len(text)))
		e.replace(n.start, end, text)
		return
	}
	e.replace(n.start, n.end, text)
}

// dropKey removes a key with its line.
func (e *editor) dropKey(t *node, key string) {
	for _, k := range t.keys {
		if k.name == key {
			e.replace(e.lineStart(k.start), min(e.lineEnd(k.end)+1, len(e.data)), "")
		}
	}
}

// remove removes a table with the comment right above it.
func (e *editor) remove(t *node) {
	start, end := e.blockStart(t.start), min(e.lineEnd(t.end)+1, len(e.data))
	if end < len(e.data) && e.data[end] == '\n' && start > 0 {
		end++ // the empty line below
	}
	e.replace(start, end, "")
}

func (e *editor) lineStart(at int) int { return bytes.LastIndexByte(e.data[:at], '\n') + 1 }

func (e *editor) lineEnd(at int) int {
	if i := bytes.IndexByte(e.data[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(e.data)
}

// blockStart is where the comment lines right above at begin.
func (e *editor) blockStart(at int) int {
	at = e.lineStart(at)
	for at > 0 {
		above := e.lineStart(at - 1)
		if !bytes.HasPrefix(bytes.TrimSpace(e.data[above:at]), []byte("#")) {
			break
		}
		at = above
	}
	return at
}

// comment is one comment of a file.
type comment struct {
	line int
	text string
}

// comments lists all comments.
func comments(data []byte) []comment {
	p := unstable.Parser{KeepComments: true}
	p.Reset(data)
	var list []comment
	var walk func(n *unstable.Node)
	walk = func(n *unstable.Node) {
		for ; n.Valid(); n = n.Next() {
			if n.Kind == unstable.Comment {
				list = append(list, comment{p.Shape(n.Raw).Start.Line, strings.TrimSpace(string(n.Data))})
			}
			walk(n.Child())
		}
	}
	for p.NextExpression() {
		walk(p.Expression())
	}
	return list
}

// missing lists the comments of before that after does not have.
func missing(before, after []comment) []string {
	there := map[string]int{}
	for _, c := range after {
		there[c.text]++
	}
	var lost []string
	for _, c := range before {
		if there[c.text]--; there[c.text] < 0 && strings.Trim(c.text, "# \t") != "" {
			lost = append(lost, fmt.Sprintf("line %d: %s", c.line, c.text))
		}
	}
	return lost
}
