package config

import (
	"errors"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// pos is a place in a file; the zero value is none.
type pos struct{ line, col int }

// node is a value of the file, with its place.
type node struct {
	kind       unstable.Kind
	pos        pos
	start, end int    // bytes of the value in the file; of a table: from its header to its last value
	text       string // of a scalar
	keys       []entry
	items      []*node // of an array, or of an array of tables
	inline     bool    // a table or array in one expression
}

// entry is one key of a table.
type entry struct {
	name       string
	pos        pos
	start, end int // bytes of the whole "key = value" or, of a table, as node has them
	val        *node
}

// get finds a key of a table.
func (n *node) get(name string) *node {
	for i := range n.keys {
		if n.keys[i].name == name {
			return n.keys[i].val
		}
	}
	return nil
}

// parseTree reads TOML. go-toml's decoder says whether it is TOML at all, its
// parser where things are.
func parseTree(data []byte) (*node, *Mistake) {
	var any map[string]any
	if err := toml.Unmarshal(data, &any); err != nil {
		m := &Mistake{Line: 1, Col: 1, Text: strings.TrimPrefix(err.Error(), "toml: ")}
		var de *toml.DecodeError
		if errors.As(err, &de) {
			m.Line, m.Col = de.Position()
		}
		return nil, m
	}
	b := builder{root: &node{kind: unstable.Table, pos: pos{1, 1}}}
	b.table = b.root
	b.p.Reset(data)
	for b.p.NextExpression() {
		b.expression(b.p.Expression())
	}
	if err := b.p.Error(); err != nil {
		return nil, &Mistake{Line: 1, Col: 1, Text: err.Error()}
	}
	return b.root, nil
}

// builder turns the parser's expressions into nodes.
type builder struct {
	p           unstable.Parser
	root, table *node
}

func (b *builder) expression(e *unstable.Node) {
	switch e.Kind {
	case unstable.Table, unstable.ArrayTable:
		b.header(e)
	case unstable.KeyValue:
		b.keyValue(b.table, e)
	}
}

// header makes the table that a [name] or [[name]] opens.
func (b *builder) header(e *unstable.Node) {
	var path []*unstable.Node
	for it := e.Key(); it.Next(); {
		path = append(path, it.Node())
	}
	last := path[len(path)-1]
	dir := b.descend(b.root, path[:len(path)-1])
	at := b.at(last.Raw)
	start, end := int(path[0].Raw.Offset), int(last.Raw.Offset+last.Raw.Length)
	start, end = b.brackets(start, end, e.Kind == unstable.ArrayTable)
	t := &node{kind: unstable.Table, pos: at, start: start, end: end}
	name := string(last.Data)
	old := dir.get(name)
	switch {
	case e.Kind == unstable.ArrayTable && old == nil:
		list := &node{kind: unstable.ArrayTable, pos: at, start: start, end: end, items: []*node{t}}
		dir.keys = append(dir.keys, entry{name, at, start, end, list})
	case e.Kind == unstable.ArrayTable:
		old.items = append(old.items, t)
	case old == nil:
		dir.keys = append(dir.keys, entry{name, at, start, end, t})
	default:
		t = old
	}
	b.table = t
}

// brackets widens the range of a header's name to its brackets.
func (b *builder) brackets(start, end int, double bool) (int, int) {
	data := b.p.Data()
	n := 1
	if double {
		n = 2
	}
	for i := 0; start > 0 && i < n; start-- {
		if data[start-1] == '[' {
			i++
		}
	}
	for i := 0; end < len(data) && i < n; end++ {
		if data[end] == ']' {
			i++
		}
	}
	return start, end
}

// descend finds the table at a dotted path, and makes it if need be.
func (b *builder) descend(t *node, path []*unstable.Node) *node {
	for _, k := range path {
		next := t.get(string(k.Data))
		if next == nil {
			next = &node{kind: unstable.Table, pos: b.at(k.Raw), inline: true}
			t.keys = append(t.keys, entry{name: string(k.Data), pos: next.pos, val: next})
		}
		if len(next.items) > 0 && next.kind == unstable.ArrayTable {
			next = next.items[len(next.items)-1]
		}
		t = next
	}
	return t
}

func (b *builder) keyValue(t *node, e *unstable.Node) {
	var path []*unstable.Node
	for it := e.Key(); it.Next(); {
		path = append(path, it.Node())
	}
	dir := b.descend(t, path[:len(path)-1])
	last := path[len(path)-1]
	start, end := int(e.Raw.Offset), int(e.Raw.Offset+e.Raw.Length)
	v := b.value(e.Value(), b.afterEquals(last.Raw))
	v.end = end
	t.end = max(t.end, end)
	dir.keys = append(dir.keys, entry{string(last.Data), b.at(last.Raw), start, end, v})
}

// afterEquals is where the value of a key begins.
func (b *builder) afterEquals(key unstable.Range) unstable.Range {
	data := b.p.Data()
	i := key.Offset + key.Length
	for int(i) < len(data)-1 && strings.IndexByte(" \t=", data[i]) >= 0 {
		i++
	}
	return unstable.Range{Offset: i, Length: 1}
}

// value reads a value that begins about at.
func (b *builder) value(n *unstable.Node, at unstable.Range) *node {
	if n.Kind == unstable.Array { // go-toml does not say where
		n.Raw = at
	}
	v := &node{kind: n.Kind, pos: b.at(n.Raw), text: string(n.Data), start: int(n.Raw.Offset), end: int(n.Raw.Offset + n.Raw.Length)}
	switch n.Kind {
	case unstable.Array:
		v.inline = true
		for it := n.Children(); it.Next(); {
			if it.Node().Kind != unstable.Comment {
				v.items = append(v.items, b.value(it.Node(), n.Raw))
			}
		}
	case unstable.InlineTable:
		v.inline = true
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				b.keyValue(v, it.Node())
			}
		}
	}
	return v
}

func (b *builder) at(r unstable.Range) pos {
	s := b.p.Shape(r).Start
	return pos{s.Line, s.Column}
}
