package filter

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vnetkit/mgmt/api"
	"vnetkit/switch/frame"
)

// Limits of an expression; a hundred times what anybody writes.
const (
	MaxLen   = 4096 // bytes
	maxTests = 512
	maxDepth = 64 // parentheses and nots inside each other
)

// SyntaxError says where an expression makes no sense, and why.
type SyntaxError struct {
	Expr    string
	Pos     int    // of the first byte that makes no sense; len(Expr): it ends too early
	Len     int    // bytes
	Problem string // what is wrong
	Hint    string // what may have been meant; "" when nothing is near
}

// Error is the problem with its place, on one line.
func (e *SyntaxError) Error() string {
	where := "at its end"
	if e.Pos < len(e.Expr) {
		where = fmt.Sprintf("at column %d", utf8.RuneCountInString(e.Expr[:e.Pos])+1)
	}
	return fmt.Sprintf("filter: %s: %s", where, e.Problem)
}

// Caret is the expression, and below it a line that marks the place.
func (e *SyntaxError) Caret() string {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == ' ' || unicode.IsPrint(r) {
				return r
			}
			return '?'
		}, s)
	}
	n := max(1, utf8.RuneCountInString(e.Expr[e.Pos:e.Pos+e.Len]))
	return clean(e.Expr) + "\n" + strings.Repeat(" ", utf8.RuneCountInString(e.Expr[:e.Pos])) + strings.Repeat("^", n)
}

// Parse compiles an expression. An error is a *SyntaxError.
func Parse(text string) (*Filter, error) {
	p := parser{text: text}
	if len(text) > MaxLen {
		return nil, &SyntaxError{Expr: text, Pos: MaxLen, Problem: fmt.Sprintf("longer than %d bytes", MaxLen)}
	}
	p.split()
	if len(p.tokens) == 0 {
		return nil, p.fail(token{pos: len(text)}, "there is nothing in it", "leave the filter out to get all frames")
	}
	tree, err := p.expr()
	if err != nil {
		return nil, err
	}
	if rest := p.peek(); rest.text != "" {
		return nil, p.unexpected(rest)
	}
	f := &Filter{text: text}
	f.start = f.compile(tree, accept, reject)
	f.deep = slices.ContainsFunc(f.program, func(in inst) bool { return in.op >= opProto })
	return f, nil
}

// node is a test, or and, or, not of others.
type node struct {
	kind byte // 't', '&', '|', '!'
	test test
	l, r *node
}

// compile appends the program of n, which goes on at yes or no, and returns
// where it starts. Jumps go to what is there already, so a program ends.
func (f *Filter) compile(n *node, yes, no int) int {
	switch n.kind {
	case '!':
		return f.compile(n.l, no, yes)
	case '&':
		return f.compile(n.l, f.compile(n.r, yes, no), no)
	case '|':
		return f.compile(n.l, yes, f.compile(n.r, yes, no))
	}
	f.program = append(f.program, inst{n.test, yes, no})
	return len(f.program) - 1
}

// token is a word, or one of ( ) ! && ||. The end is an empty one.
type token struct {
	text string
	pos  int
}

type parser struct {
	text   string
	tokens []token
	next   int
	tests  int
	depth  int
	follow []string // what could have gone on behind the latest test
}

func (p *parser) split() {
	for at := 0; at < len(p.text); {
		rest := p.text[at:]
		n := 1
		switch {
		case strings.ContainsRune(" \t\r\n", rune(rest[0])):
			at++
			continue
		case strings.HasPrefix(rest, "&&"), strings.HasPrefix(rest, "||"):
			n = 2
		case !strings.ContainsRune("()!", rune(rest[0])):
			if n = strings.IndexAny(rest, " \t\r\n()!&|"); n < 0 {
				n = len(rest)
			}
			n = max(n, 1) // a single & or |
		}
		p.tokens = append(p.tokens, token{rest[:n], at})
		at += n
	}
}

func (p *parser) peek() token {
	if p.next < len(p.tokens) {
		return p.tokens[p.next]
	}
	return token{pos: len(p.text)}
}

// take returns the next token and goes on.
func (p *parser) take() token {
	t := p.peek()
	p.next++
	return t
}

// accept goes on if the next token is one of words, and returns it.
func (p *parser) accept(words ...string) (string, bool) {
	if t := p.peek(); t.text != "" && slices.Contains(words, t.text) {
		p.next++
		return t.text, true
	}
	return "", false
}

func (p *parser) fail(at token, problem, hint string) error {
	return &SyntaxError{Expr: p.text, Pos: at.pos, Len: len(at.text), Problem: problem, Hint: hint}
}

// wanted is the error of finding t where one of words should be.
func (p *parser) wanted(t token, what string, words ...string) error {
	if t.text == "" {
		return p.fail(t, "it ends where "+what+" should follow", "")
	}
	if slices.Contains([]string{"and", "or", "&&", "||", ")"}, t.text) {
		return p.fail(t, what+" is missing before this", "")
	}
	hint := ""
	if near := api.Nearest(t.text, words); near != "" && near != t.text {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return p.fail(t, fmt.Sprintf("%.60q is not %s", t.text, what), hint)
}

// unexpected is the error of finding t behind a whole expression.
func (p *parser) unexpected(t token) error {
	switch {
	case t.text == ")":
		return p.fail(t, "this parenthesis closes nothing", "")
	case slices.Contains(primitives, t.text) || t.text == "(" || t.text == "not" || t.text == "!":
		return p.fail(t, `"and" or "or" is missing before this`, "")
	}
	return p.wanted(t, `"and" or "or"`, append(slices.Clone(p.follow), "and", "or", "&&", "||")...)
}

// expr reads X { and|or X }: both bind equally and from the left, as in tcpdump.
func (p *parser) expr() (*node, error) {
	l, err := p.unary()
	if err != nil {
		return nil, err
	}
	for {
		word, ok := p.accept("and", "&&", "or", "||")
		if !ok {
			return l, nil
		}
		r, err := p.unary()
		if err != nil {
			return nil, err
		}
		kind := byte('&')
		if word == "or" || word == "||" {
			kind = '|'
		}
		l = &node{kind: kind, l: l, r: r}
	}
}

func (p *parser) unary() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.peek(), fmt.Sprintf("more than %d parentheses and nots inside each other", maxDepth), "")
	}
	defer func() { p.depth-- }()
	if _, ok := p.accept("not", "!"); ok {
		x, err := p.unary()
		return &node{kind: '!', l: x}, err
	}
	open := p.peek()
	if _, ok := p.accept("("); !ok {
		return p.primitive()
	}
	x, err := p.expr()
	if err != nil {
		return nil, err
	}
	switch t := p.take(); t.text {
	case ")":
		return x, nil
	case "":
		return nil, p.fail(open, "this parenthesis is never closed", "")
	default:
		return nil, p.unexpected(t)
	}
}

// is is a node of one test.
func is(t test) *node { return &node{kind: 't', test: t} }

func or(l, r *node) *node  { return &node{kind: '|', l: l, r: r} }
func and(l, r *node) *node { return &node{kind: '&', l: l, r: r} }

// toward makes the test of a direction: opSrc or opDst, their like, or both.
func toward(dir string, src, dst op, t test) *node {
	s, d := t, t
	s.op, d.op = src, dst
	switch dir {
	case "src":
		return is(s)
	case "dst":
		return is(d)
	}
	return or(is(s), is(d))
}

func typeIs(typ uint64) *node { return is(test{op: opType, lo: typ}) }

func protoIs(fam uint8, proto uint64) *node {
	return is(test{op: opProto, fam: fam, lo: proto})
}

// mac reads a hardware address.
func (p *parser) mac(dir string) (*node, error) {
	t := p.take()
	m, err := frame.ParseMAC(t.text)
	if err != nil {
		return nil, p.wanted(t, "a MAC address such as 52:54:00:12:34:56")
	}
	return toward(dir, opMACSrc, opMACDst, test{lo: m.Uint64()}), nil
}
