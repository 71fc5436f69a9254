package kdl

// nodes reads up to the end, or up to the brace that closes a block. open is
// where that was opened; nil: it is the document.
func (r *reader) nodes(open *Pos) (list []*Node, err error) {
	for {
		if err := r.lineSpace(); err != nil {
			return nil, err
		}
		c := r.peek()
		switch {
		case c == end && open != nil:
			return nil, r.errorAt(*open, "this { is never closed")
		case c == '}' && open == nil:
			return nil, r.errorAt(r.at, "this } closes nothing")
		case c == end || c == '}':
			return list, nil
		}
		dropped, err := r.slashdash()
		if err != nil {
			return nil, err
		}
		n, err := r.node()
		if err != nil {
			return nil, err
		}
		if !dropped {
			list = append(list, n)
		}
	}
}

// slashdash takes "/-", which takes away what comes next.
func (r *reader) slashdash() (bool, error) {
	if !r.starts("/-") {
		return false, nil
	}
	r.skip(2)
	return true, r.lineSpace()
}

// node reads one and what ends it, unless that is its block's brace.
func (r *reader) node() (*Node, error) {
	n := &Node{Pos: r.at, Props: map[string]Value{}}
	var err error
	if n.Type, err = r.annotation(); err != nil {
		return nil, err
	}
	name, err := r.value()
	if err != nil {
		return nil, err
	}
	if name.Kind != String {
		return nil, r.errorAt(name.Pos, "a node begins with its name, and this is %s", name.Kind)
	}
	n.Name = name.Text
	for block := none; ; {
		spaced, err := r.space()
		if err != nil {
			return nil, err
		}
		if r.endOfNode() {
			return n, nil
		}
		if block, err = r.part(n, spaced, block); err != nil {
			return nil, err
		}
	}
}

// endOfNode takes what ends a node.
func (r *reader) endOfNode() bool {
	switch c := r.peek(); {
	case r.starts("//"):
		r.take(func(c rune) bool { return !isNewline(c) })
		return true
	case c == ';':
		r.skip(1)
		return true
	case c != end && isNewline(c):
		r.newline()
		return true
	default:
		return c == end || c == '}' // whoever reads the nodes looks at it
	}
}

// blocks is which blocks a node has had: behind one there are no arguments, and
// one only counts.
type blocks int

const (
	none blocks = iota
	taken
	counted
)

// part reads an argument, a property or a block of n.
func (r *reader) part(n *Node, spaced bool, had blocks) (blocks, error) {
	from := r.at
	dropped, err := r.slashdash()
	if err != nil {
		return had, err
	}
	if r.peek() == '{' {
		children, err := r.block()
		switch {
		case err != nil:
			return had, err
		case dropped:
			return max(had, taken), nil
		case had == counted:
			return had, r.errorAt(from, "%s has a second block", n.Name)
		}
		n.Children = children
		return counted, nil
	}
	if had != none {
		return had, r.errorAt(from, "behind its block the node %s is at its end; the next begins on a line of its own, or behind ;", n.Name)
	}
	if !spaced && !dropped {
		return had, r.unexpected()
	}
	key, v, err := r.argOrProp()
	switch {
	case err != nil || dropped:
	case key == nil:
		n.Args = append(n.Args, v)
	default:
		n.Props[*key] = v
	}
	return had, err
}

// block reads the children between braces.
func (r *reader) block() ([]*Node, error) {
	open := r.at
	if r.depth == MaxDepth {
		return nil, r.errorAt(open, "more than %d blocks stand in each other", MaxDepth)
	}
	r.depth++
	r.skip(1)
	children, err := r.nodes(&open)
	if err != nil {
		return nil, err
	}
	r.depth--
	r.skip(1)
	return children, nil
}

// argOrProp reads a value, and the one behind "=" if the first was a key.
func (r *reader) argOrProp() (key *string, v Value, err error) {
	if v, err = r.value(); err != nil || v.Kind != String || v.Type != "" {
		return nil, v, err
	}
	behind := r.mark
	if _, err := r.space(); err != nil {
		return nil, v, err
	}
	if r.peek() != '=' {
		r.mark = behind
		return nil, v, nil
	}
	r.skip(1)
	if _, err := r.space(); err != nil {
		return nil, v, err
	}
	name := v.Text
	v, err = r.value()
	return &name, v, err
}

// annotation reads (type), if there is one.
func (r *reader) annotation() (string, error) {
	if r.peek() != '(' {
		return "", nil
	}
	from := r.at
	r.skip(1)
	if _, err := r.space(); err != nil {
		return "", err
	}
	v, err := r.plain()
	if err != nil {
		return "", err
	}
	if _, err := r.space(); err != nil {
		return "", err
	}
	if v.Kind != String || r.peek() != ')' {
		return "", r.errorAt(from, "want a type in parentheses, as in (u8)")
	}
	r.skip(1)
	_, err = r.space()
	return v.Text, err
}

// unexpected says that what comes next cannot be there.
func (r *reader) unexpected() error {
	switch c := r.peek(); {
	case c == end:
		return r.errorAt(r.at, "the text ends where a value is due")
	case isNewline(c):
		return r.errorAt(r.at, "the line ends where a value is due")
	case isWord(c) || c == '"' || c == '#' || c == '(':
		return r.errorAt(r.at, "want a space before %q", string(c))
	default:
		return r.errorAt(r.at, "%q cannot stand here", string(c))
	}
}
