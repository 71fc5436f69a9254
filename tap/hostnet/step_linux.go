package hostnet

import (
	"encoding/json"
	"fmt"
	"reflect"
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

// kinds has an empty step of each kind.
var kinds = map[string]Step{
	"bridge":  &Bridge{},
	"tap":     &TAP{},
	"up":      &Up{},
	"join":    &Join{},
	"move":    &Move{},
	"copy":    &CopySettings{},
	"switch":  &Switch{},
	"dir":     &MakeDir{},
	"whole":   &Whole{},
	"macvtap": &Macvtap{},
}

// kindOf is the kind of a step; empty: it has none.
func kindOf(step Step) string {
	for kind, empty := range kinds {
		if reflect.TypeOf(empty) == reflect.TypeOf(step) {
			return kind
		}
	}
	return ""
}

// emptyStep makes a step of a kind, or nil.
func emptyStep(kind string) Step {
	empty, ok := kinds[kind]
	if !ok {
		return nil
	}
	return reflect.New(reflect.TypeOf(empty).Elem()).Interface().(Step)
}

// MarshalJSON writes the steps down.
func (s Steps) MarshalJSON() ([]byte, error) {
	list := []stepRecord{}
	for _, step := range s {
		var r stepRecord
		if rev, ok := step.(Reverse); ok {
			r.Reverse, step = true, rev.Of
		}
		if r.Kind = kindOf(step); r.Kind == "" {
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
		step := emptyStep(r.Kind)
		if step == nil {
			return fmt.Errorf("step %q is not known to this version", r.Kind)
		}
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
