package hostnet

import "strings"

// Whole is an interface with all that was done to it after it was made. It is
// undone by deleting the interface: setting it down and taking it out of its
// bridge first would make the kernel wait for its readers three times instead
// of once (synchronize_net in net/core/dev.c), some 10 ms each.
type Whole struct {
	Steps Steps `json:"steps"` // the first one makes the interface
}

// wholes puts together what makes one interface.
func wholes(steps []Step) (out []Step) {
	for _, step := range steps {
		var open *Whole
		if n := len(out); n > 0 {
			open, _ = out[n-1].(*Whole)
		}
		switch step.(type) {
		case *Bridge, *TAP, *Macvtap:
			out = append(out, &Whole{Steps{step}})
			continue
		case *Up, *Join, *CopySettings:
			if open != nil {
				open.Steps = append(open.Steps, step)
				continue
			}
		}
		out = append(out, step)
	}
	return out
}

// Do makes it.
func (w *Whole) Do(h *Host) error { return w.each(func(s Step) error { return s.Do(h) }) }

// Done reads back.
func (w *Whole) Done(h *Host) error { return w.each(func(s Step) error { return s.Done(h) }) }

func (w *Whole) each(f func(Step) error) error {
	for _, s := range w.Steps {
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

// Undo deletes the interface.
func (w *Whole) Undo(h *Host) error { return w.Steps[0].Undo(h) }

// Undone reads back.
func (w *Whole) Undone(h *Host) error { return w.Steps[0].Undone(h) }

// Text says what it does.
func (w *Whole) Text() (string, []string) {
	var texts, commands []string
	for _, s := range w.Steps {
		text, list := s.Text()
		texts, commands = append(texts, text), append(commands, list...)
	}
	return strings.Join(texts, ", "), commands
}

// UndoText says how it is undone.
func (w *Whole) UndoText() (string, []string) { return w.Steps[0].UndoText() }
