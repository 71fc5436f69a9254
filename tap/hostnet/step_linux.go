package hostnet

import (
	"encoding/json"
	"fmt"
)

// Step is one small change. It is a plain value: what it needs to know about
// the state before it was put into it when the plan was made.
//
// Do expects the state that the plan was made for. Undo is given any state
// between before and after Do, also twice, and leaves that from before. Done
// and Undone read back and return what is not as it should be.
type Step interface {
	Do(*Host) error
	Done(*Host) error
	Undo(*Host) error
	Undone(*Host) error

	// Text says what the step does, as words and as commands.
	Text() (words string, commands []string)
	// UndoText is Text for Undo.
	UndoText() (words string, commands []string)
}

// Reverse is the step that undoes another one, and whose Undo does it again.
type Reverse struct{ Of Step }

var _ Step = Reverse{}

// Do undoes.
func (r Reverse) Do(h *Host) error { return r.Of.Undo(h) }

// Done reads back.
func (r Reverse) Done(h *Host) error { return r.Of.Undone(h) }

// Undo does it again, unless that is so already.
func (r Reverse) Undo(h *Host) error {
	if r.Of.Done(h) == nil {
		return nil
	}
	// It may be half undone: finish that first, so that Do finds what it expects.
	if err := r.Of.Undo(h); err != nil {
		return err
	}
	return r.Of.Do(h)
}

// Undone reads back.
func (r Reverse) Undone(h *Host) error { return r.Of.Done(h) }

// Text says what it does.
func (r Reverse) Text() (string, []string) { return r.Of.UndoText() }

// UndoText is the Text of what it reverses.
func (r Reverse) UndoText() (string, []string) { return r.Of.Text() }

// Reversed is the plan's steps undone: backwards.
func Reversed(steps []Step) []Step {
	out := make([]Step, 0, len(steps))
	for i := range steps {
		out = append(out, Reverse{steps[len(steps)-1-i]})
	}
	return out
}

// Steps are written down as their kind and their fields.
type Steps []Step

type stepRecord struct {
	Kind    string          `json:"step"`
	Reverse bool            `json:"reverse,omitempty"`
	Fields  json.RawMessage `json:"fields"`
}

// kinds makes an empty step of each kind.
var kinds = map[string]func() Step{
	"bridge":  func() Step { return &Bridge{} },
	"tap":     func() Step { return &TAP{} },
	"up":      func() Step { return &Up{} },
	"join":    func() Step { return &Join{} },
	"move":    func() Step { return &Move{} },
	"copy":    func() Step { return &CopySettings{} },
	"switch":  func() Step { return &Switch{} },
	"dir":     func() Step { return &MakeDir{} },
	"whole":   func() Step { return &Whole{} },
	"macvtap": func() Step { return &Macvtap{} },
}

// MarshalJSON writes the steps down.
func (s Steps) MarshalJSON() ([]byte, error) {
	list := []stepRecord{}
	for _, step := range s {
		var r stepRecord
		if rev, ok := step.(Reverse); ok {
			r.Reverse, step = true, rev.Of
		}
		switch step.(type) {
		case *Bridge:
			r.Kind = "bridge"
		case *TAP:
			r.Kind = "tap"
		case *Up:
			r.Kind = "up"
		case *Join:
			r.Kind = "join"
		case *Move:
			r.Kind = "move"
		case *CopySettings:
			r.Kind = "copy"
		case *Switch:
			r.Kind = "switch"
		case *MakeDir:
			r.Kind = "dir"
		case *Whole:
			r.Kind = "whole"
		case *Macvtap:
			r.Kind = "macvtap"
		default:
			return nil, fmt.Errorf("write down step %T: no such kind", step)
		}
		fields, err := json.Marshal(step)
		if err != nil {
			return nil, fmt.Errorf("write down step %s: %w", r.Kind, err)
		}
		r.Fields = fields
		list = append(list, r)
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Steps) UnmarshalJSON(b []byte) error {
	var list []stepRecord
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*s = nil
	for _, r := range list {
		empty := kinds[r.Kind]
		if empty == nil {
			return fmt.Errorf("step %q is not known to this version", r.Kind)
		}
		step := empty()
		if err := json.Unmarshal(r.Fields, step); err != nil {
			return fmt.Errorf("read step %s: %w", r.Kind, err)
		}
		if r.Reverse {
			step = Reverse{step}
		}
		*s = append(*s, step)
	}
	return nil
}
