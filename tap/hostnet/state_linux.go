package hostnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Object is something that we made and that can be removed again.
type Object struct {
	Kind  string    `json:"kind"` // bridge, tap or switch
	Name  string    `json:"name"`
	UID   int       `json:"uid"`             // for whom
	Set   string    `json:"set,omitempty"`   // what one call made bears the same text
	Needs []string  `json:"needs,omitempty"` // objects (kind:name) that must stay while this one does
	Made  time.Time `json:"made"`
	Steps Steps     `json:"steps"` // what made it, as done

	// Keep are steps of an earlier plan that go on being true: a switch that is
	// started anew in its directory.
	Keep Steps `json:"keep,omitempty"`
	// Where the steps are in the plan that makes it.
	First int `json:"first"`
	Count int `json:"count"`
}

// Key names the object.
func (o Object) Key() string { return o.Kind + ":" + o.Name }

// State is what we made on this host and has not been removed.
type State struct {
	Version int      `json:"version"`
	Boot    string   `json:"boot"`
	NetNS   string   `json:"netns"`
	Last    string   `json:"last"` // the plan that wrote it
	Objects []Object `json:"objects"`
}

const stateName = "state.json"

// Find looks an object up.
func (s *State) Find(kind, name string) (Object, bool) {
	i := slices.IndexFunc(s.Objects, func(o Object) bool { return o.Kind == kind && o.Name == name })
	if i < 0 {
		return Object{}, false
	}
	return s.Objects[i], true
}

// TAPsOf are the TAPs that a switch of ours was started with.
func (s *State) TAPsOf(dir string) []string {
	o, _ := s.Find("switch", dir)
	if run := runOf(o); run != nil {
		return run.TAPs
	}
	return nil
}

// readState reads the state file. One of another boot describes what is gone
// with that boot: it counts as empty.
func readState(dir string) (*State, error) {
	fresh := &State{Version: journalVersion, Boot: bootID(), NetNS: netNS()}
	path := filepath.Join(dir, stateName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fresh, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	var s State
	bad := func(err error) error {
		return &Error{Code: ErrJournal, Cause: "state file " + path + " cannot be trusted, so nothing is removed by it", Err: err,
			Cure: "ip -d link shows what is marked " + markPrefix + "; delete that by hand, then: rm " + path}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, bad(err)
	}
	switch {
	case s.Version != journalVersion:
		return nil, bad(fmt.Errorf("it is of version %d, and this program reads %d", s.Version, journalVersion))
	case s.Boot != fresh.Boot:
		fresh.Last = s.Last
		return fresh, nil
	case s.NetNS != fresh.NetNS:
		return nil, &Error{Code: ErrInvalid, Cause: fmt.Sprintf("state file %s is about another network namespace (%s) than this one (%s)", path, s.NetNS, fresh.NetNS),
			Cure: "run vnetctl in that one, or in a mount namespace with a /run of its own"}
	}
	return &s, nil
}

// apply is the state after a plan. What the plan makes takes the place of what
// we made under that name before and somebody else has deleted since.
func (s *State) apply(p *Plan) *State {
	out := *s
	out.Last = p.ID
	out.Objects = slices.DeleteFunc(slices.Clone(s.Objects), func(o Object) bool {
		return slices.Contains(p.Removes, o.Key()) ||
			slices.ContainsFunc(p.Makes, func(m Object) bool { return m.Key() == o.Key() })
	})
	for _, o := range p.Makes {
		o.Steps, o.Keep = slices.Concat(o.Keep, p.Steps[o.First:o.First+o.Count]), nil
		out.Objects = append(out.Objects, o)
	}
	return &out
}

// write replaces the state file, or removes it when nothing is left of us.
func (s *State) write(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, stateName), append(text, '\n')); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}
