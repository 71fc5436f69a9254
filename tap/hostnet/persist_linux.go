package hostnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// DefaultLib is where the wishes are that survive a reboot.
const DefaultLib = "/var/lib/vnetctl"

const persistentName = "persistent.json"

// Wish is an object as it was wished for. The steps that made it are of no use
// after a reboot: the uplink may have other addresses then. So it is planned
// anew.
type Wish struct {
	Kind string `json:"kind"` // as in Object
	Name string `json:"name"`
	User string `json:"user"`
	UID  int    `json:"uid"` // the user's: a name may be given to another one
	Set  string `json:"set,omitempty"`

	// One of them.
	Bridge *BridgeWish `json:"bridge,omitempty"`
	TAP    *TAPWish    `json:"tap,omitempty"`
	Switch *SwitchWish `json:"switch,omitempty"`
}

// Key is that of the object.
func (w Wish) Key() string { return Object{Kind: w.Kind, Name: w.Name}.Key() }

// persistent is the file.
type persistent struct {
	Version int    `json:"version"`
	Wishes  []Wish `json:"wishes"` // in the order in which to fulfil them
}

// Persistent lists what is to be made anew after a reboot.
func Persistent(lib string) ([]Wish, error) {
	path := filepath.Join(lib, persistentName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what shall survive a reboot: %w", err)
	}
	list, err := parsePersistent(text)
	if err != nil {
		return nil, &Error{Code: ErrJournal, Cause: path + " cannot be trusted, so nothing is made by it", Err: err, Cure: "look at it; then rm " + path + " and create anew with --persist"}
	}
	return list, nil
}

func parsePersistent(text []byte) ([]Wish, error) {
	var p persistent
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, err
	}
	if p.Version != journalVersion {
		return nil, fmt.Errorf("it is of version %d, and this program reads %d", p.Version, journalVersion)
	}
	for i, w := range p.Wishes {
		there := map[string]bool{"bridge": w.Bridge != nil, "tap": w.TAP != nil, "switch": w.Switch != nil}
		if !there[w.Kind] {
			return nil, fmt.Errorf("wish %d is of kind %q and does not say what for", i, w.Kind)
		}
	}
	return p.Wishes, nil
}

// Keep makes the plan persistent for an object that it makes, or that is ours
// already; not for one that is not. The wish is completed with what cannot be
// chosen anew: addresses, and the uplink of a bridge that is there.
func (p *Plan) Keep(s *State, w Wish) bool {
	o, ours := s.Find(w.Kind, w.Name)
	steps := o.Steps
	for _, m := range p.Makes {
		if m.Key() == w.Key() {
			ours, steps = true, p.Steps[m.First:m.First+m.Count]
		}
	}
	if !ours {
		return false
	}
	for _, step := range steps {
		switch step := step.(type) {
		case *Bridge:
			w.Bridge.MAC = step.MAC
		case *Move:
			w.Bridge.Uplink = step.From
		case *TAP:
			w.TAP.MAC = step.MAC
		case *Macvtap:
			w.TAP.MAC, w.TAP.Parent = step.MAC, step.Parent
		}
	}
	p.Persist = append(p.Persist, w)
	return true
}

// PlanWish adds to the plan what makes the object of a wish. made is false if
// it is there.
func (h *Host) PlanWish(p *Plan, s *State, w Wish) (made bool, err error) {
	switch {
	case w.Bridge != nil:
		return h.PlanBridge(p, *w.Bridge)
	case w.TAP != nil:
		_, made, err = h.PlanTAP(p, s, *w.TAP)
		return made, err
	case w.Switch != nil:
		return h.PlanSwitch(p, s, *w.Switch)
	}
	return false, errors.New("there is nothing to make")
}

// persist makes the file say what the plan wants to last. It may be done twice.
func (e *Engine) persist(p *Plan) error {
	if e.Lib == "" {
		return nil
	}
	old, err := Persistent(e.Lib)
	if err != nil && len(p.Persist) == 0 && len(p.Removes) == 0 {
		return nil // none of our business
	}
	if err != nil {
		return err
	}
	list := slices.Clone(old)
	for _, w := range p.Persist {
		if i := slices.IndexFunc(list, func(o Wish) bool { return o.Key() == w.Key() }); i >= 0 {
			list[i] = w
		} else {
			list = append(list, w)
		}
	}
	list = slices.DeleteFunc(list, func(w Wish) bool {
		anew := slices.ContainsFunc(p.Makes, func(o Object) bool { return o.Key() == w.Key() })
		return slices.Contains(p.Removes, w.Key()) && !anew
	})
	if len(p.Persist) == 0 && len(list) == len(old) {
		return nil
	}
	if err := writePersistent(e.Lib, list); err != nil {
		return &Error{Code: ErrJournal, Cause: "what shall survive a reboot cannot be recorded", Err: err, Cure: "df -h " + e.Lib + "; findmnt -T " + e.Lib}
	}
	return nil
}

func writePersistent(lib string, list []Wish) error {
	path := filepath.Join(lib, persistentName)
	if len(list) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return syncDir(lib)
	}
	text, err := json.MarshalIndent(persistent{journalVersion, list}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'))
}
