// Package kdl reads the KDL Document Language, version 2 (kdl.dev, 2.0.0).
//
// Theory of operation: a reader goes over the text once, rune by rune, and knows
// its line and column at each; it goes back only over the space behind a value,
// to see whether that was a property's name. Of version 1 it takes bare true,
// false and null as values, because files with both are about. Numbers are
// checked and kept as text until somebody asks for an int.
package kdl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What a hostile file can make of us is bounded: its size, and how deep blocks
// stand in blocks.
const (
	MaxSize  = 1 << 20
	MaxDepth = 32
)

// Pos is a place in the text. Both count from 1; a column is a code point.
type Pos struct{ Line, Column int }

// Node is one of the document's, with all that belongs to it.
type Node struct {
	Pos
	Name     string
	Type     string           // the annotation in parentheses; "": none
	Args     []Value          // in order
	Props    map[string]Value // the last one of a name counts
	Children []*Node
}

// Child is the first child of a name, or nil; of nil it is nil, too.
func (n *Node) Child(name string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Kind is what a value is.
type Kind int

// The kinds of values.
const (
	String Kind = iota
	Number
	Bool
	Null
)

func (k Kind) String() string { return [...]string{"a string", "a number", "a boolean", "null"}[k] }

// Value is an argument, or what a property has.
type Value struct {
	Pos
	Kind Kind
	Type string // the annotation in parentheses; "": none
	Text string // of a string its content; of all others what stands in the file, a number's underscores left out
}

// Int is the number that v is, if it is a whole one.
func (v Value) Int() (int64, error) {
	if v.Kind != Number {
		return 0, fmt.Errorf("%s, not a number", v.Kind)
	}
	base, digits := radix(v.Text)
	n, err := strconv.ParseInt(digits, base, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range", v.Text)
	case err != nil:
		return 0, fmt.Errorf("%s is not a whole number", v.Text)
	}
	return n, nil
}

// radix splits a number into its base and its digits with their sign.
func radix(text string) (base int, digits string) {
	sign := ""
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		sign, text = text[:1], text[1:]
	}
	for prefix, base := range map[string]int{"0x": 16, "0o": 8, "0b": 2} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return base, sign + rest
		}
	}
	return 10, sign + text
}

// Error is what is wrong with a text, and where.
type Error struct {
	Pos
	What string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.What)
}

// Parse reads a document.
func Parse(text []byte) ([]*Node, error) {
	if len(text) > MaxSize {
		return nil, &Error{Pos{1, 1}, fmt.Sprintf("%d bytes are too much for a document; %d can be", len(text), MaxSize)}
	}
	r := &reader{text: strings.TrimPrefix(string(text), "\ufeff"), mark: mark{at: Pos{1, 1}}}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r.nodes(nil)
}
