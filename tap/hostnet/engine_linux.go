package hostnet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultDir is where the lock, the journal and the state are.
const DefaultDir = "/run/vnetctl"

// Plan is a change of the host.
type Plan struct {
	ID      string        `json:"id"`
	Verb    string        `json:"verb"`
	Steps   Steps         `json:"steps"`
	Makes   []Object      `json:"makes,omitempty"`
	Removes []string      `json:"removes,omitempty"` // keys of objects
	Persist []Wish        `json:"persist,omitempty"` // to be made anew after a reboot
	Confirm time.Duration `json:"confirm,omitempty"` // undo, unless confirmed this soon; 0: stay

	// Reasons say where each choice came from, for people.
	Reasons []string `json:"-"`
	// Critical says why the plan could cut the admin off; empty: it cannot.
	Critical string `json:"-"`
}

// NewPlan is a plan without steps.
func NewPlan(verb string) *Plan {
	return &Plan{ID: rand.Text()[:8], Verb: verb}
}

// Mark is the alias for an interface that the plan makes for a user.
func (p *Plan) Mark(user string) string { return markPrefix + p.ID + ":" + user }

// Add appends the steps that make an object.
func (p *Plan) Add(o Object, steps ...Step) {
	o.First, o.Count, o.Made = len(p.Steps), len(steps), time.Now().Round(time.Second)
	p.Steps = append(p.Steps, steps...)
	p.Makes = append(p.Makes, o)
}

// Remove appends the steps that remove an object.
func (p *Plan) Remove(o Object) {
	p.Steps = append(p.Steps, Reversed(wholes(o.Steps))...)
	p.Removes = append(p.Removes, o.Key())
}

// RandomMAC is a locally administered address.
func RandomMAC() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	b[0] = b[0]&^1 | 2
	text := hex.EncodeToString(b[:])
	for i := 10; i > 0; i -= 2 {
		text = text[:i] + ":" + text[i:]
	}
	return text
}

// Engine carries out plans, one at a time on a host.
type Engine struct {
	Host *Host
	Dir  string // DefaultDir, or a directory of a test's own
	Lib  string // DefaultLib, or a directory of a test's own

	// Guardian is the command of the process that undoes a plan that is not
	// confirmed: it must call RunGuardian. Plans that want to be confirmed need
	// it.
	Guardian []string

	// Point, if set, is told about every boundary between steps. Tests kill
	// the process there.
	Point func(name string)
	// Said is told what happens, for people. May be nil.
	Said func(text string)

	lock *lock
}

func (e *Engine) point(format string, args ...any) {
	if e.Point != nil {
		e.Point(fmt.Sprintf(format, args...))
	}
}

func (e *Engine) say(format string, args ...any) {
	if e.Said != nil {
		e.Said(fmt.Sprintf(format, args...))
	}
}

// Begin takes the lock, for which it waits as long as ctx lets it, and reads the
// state. It fails when another run changes this host all that time, or has died
// doing so. The caller calls End.
func (e *Engine) Begin(ctx context.Context) (*State, error) {
	l, err := awaitLock(ctx, e.Dir)
	if err != nil {
		return nil, err
	}
	e.lock = l
	s, err := e.begin()
	if err != nil {
		e.End()
	}
	return s, err
}

func (e *Engine) begin() (*State, error) {
	j, err := readJournal(e.Dir)
	if err != nil {
		return nil, err
	}
	if j != nil && j.void() {
		if err := j.remove(); err != nil {
			return nil, err
		}
	}
	if trouble := j.unfinished(); trouble != nil {
		return nil, trouble
	}
	return readState(e.Dir)
}

// unfinished says what a journal means for whoever wants to begin; nil: nothing.
func (j *journal) unfinished() *Error {
	switch {
	case j == nil || j.void():
		return nil
	case j.head.Boot != bootID():
		return refuse(ErrJournal, fmt.Sprintf("a journal of an earlier boot is there: %q began then and did not end", j.head.Plan.Verb), "vnetctl recover")
	case j.applied && time.Now().Before(j.until):
		return refuse(ErrJournal, fmt.Sprintf("%q waits for confirmation until %s", j.head.Plan.Verb, j.until.Format(time.TimeOnly)), "vnetctl confirm")
	}
	return refuse(ErrJournal, fmt.Sprintf("%q of process %d began and did not end", j.head.Plan.Verb, j.head.PID), "vnetctl recover")
}

// Unfinished says whether a change is half done, and what helps. It needs no
// lock: a run that is at work right now looks like that, too.
func (e *Engine) Unfinished() (text, cure string, err error) {
	j, err := readJournal(e.Dir)
	if err != nil {
		return "", "", err
	}
	if trouble := j.unfinished(); trouble != nil {
		return trouble.Cause, trouble.Cure, nil
	}
	return "", "", nil
}

// End lets go of the lock.
func (e *Engine) End() {
	if e.lock != nil {
		e.lock.release()
		e.lock = nil
	}
}

// ReadState reads the state without the lock, to show it.
func ReadState(dir string) (*State, error) { return readState(dir) }

// Apply carries out a plan between Begin and End. If it fails, all is as it was
// before (ErrRolledBack), or, when undoing fails as well, the journal stays for
// Recover (ErrStuck). With Confirm, it returns when all steps are done: what
// becomes of them is decided by Confirm, or by the guardian.
func (e *Engine) Apply(ctx context.Context, state *State, plan *Plan) error {
	if len(plan.Steps) == 0 {
		return e.persist(plan)
	}
	j, err := createJournal(e.Dir, plan)
	if err != nil {
		return err
	}
	defer j.close()
	e.point("journal")
	var g *guardian
	if plan.Confirm > 0 {
		if g, err = e.startGuardian(); err != nil {
			return errors.Join(fmt.Errorf("start the guardian: %w", err), j.remove())
		}
		defer g.close()
		e.point("guardian")
	}
	if err := e.steps(ctx, j, plan); err != nil {
		err = privilege(err)
		if undo := e.rollBack(j); undo != nil {
			return stuck(err, undo)
		}
		g.dismiss()
		return &Error{Code: ErrRolledBack, Cause: "a step failed, and all is as it was before", Err: err, Cure: cureOf(err)}
	}
	if g != nil {
		err := j.write(entry{Event: eventApplied, Until: time.Now().Add(plan.Confirm)})
		e.point("applied")
		g.applied()
		return err
	}
	return e.commit(j, state, plan)
}

// steps does what the plan says.
func (e *Engine) steps(ctx context.Context, j *journal, plan *Plan) error {
	for i, step := range plan.Steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		words, _ := step.Text()
		if err := j.write(entry{Event: eventDo, Step: i}); err != nil {
			return err
		}
		j.reached = i + 1
		e.point("do %d", i)
		if err := step.Do(e.Host); err != nil {
			return inStep(words, err)
		}
		e.point("done %d", i)
		if err := step.Done(e.Host); err != nil {
			return inStep(words, err)
		}
		if err := j.write(entry{Event: eventDid, Step: i}); err != nil {
			return err
		}
		e.point("did %d", i)
		e.say("%s", words)
	}
	return nil
}

// inStep says which step failed, unless the error does.
func inStep(words string, err error) error {
	if strings.HasPrefix(err.Error(), words) {
		return err
	}
	return fmt.Errorf("%s: %w", words, err)
}

// rollBack undoes the steps that the journal says were begun, last first, and
// ends the journal when all is as before. A step that cannot be undone does not
// keep the others from being.
func (e *Engine) rollBack(j *journal) error {
	var failed error
	for i := j.reached - 1; i >= 0; i-- {
		step := j.head.Plan.Steps[i]
		words, _ := step.UndoText()
		e.point("undo %d", i)
		err := step.Undo(e.Host)
		if err == nil {
			err = step.Undone(e.Host)
		}
		if err != nil {
			if err = inStep(words, err); failed != nil {
				err = fmt.Errorf("%w; %w", failed, err)
			}
			failed = err
			continue
		}
		e.say("undone: %s", words)
		e.point("undone %d", i)
	}
	if failed != nil {
		return &Error{Code: ErrStuck, Cause: "not all could be undone, the journal stays", Err: failed, Cure: "cure the cause, then: vnetctl recover"}
	}
	return j.remove()
}

// stuck is the error of a run that failed and could not be undone.
func stuck(err, undo error) error {
	return &Error{Code: ErrStuck, Cause: "a step failed", Err: fmt.Errorf("%w; %w", err, undo), Cure: cureOf(undo)}
}

// commit makes the change stay: from the moment that the state file names the
// plan.
func (e *Engine) commit(j *journal, state *State, plan *Plan) error {
	next := state.apply(plan)
	if err := next.write(e.Dir); err != nil {
		if undo := e.rollBack(j); undo != nil {
			return stuck(err, undo)
		}
		return &Error{Code: ErrRolledBack, Cause: "what was made could not be recorded, and all is as it was before", Err: err, Cure: "df -h " + e.Dir}
	}
	e.point("committed")
	if err := e.persist(plan); err != nil {
		if undo := errors.Join(state.write(e.Dir), e.rollBack(j), e.tidy(state)); undo != nil {
			return errors.Join(err, undo)
		}
		return &Error{Code: ErrRolledBack, Cause: "all is as it was before", Err: err, Cure: cureOf(err)}
	}
	e.point("persistent")
	if err := j.remove(); err != nil {
		return err
	}
	return e.tidy(next)
}

// tidy removes a state that says nothing.
func (e *Engine) tidy(s *State) error {
	if len(s.Objects) > 0 {
		return nil
	}
	if err := os.Remove(filepath.Join(e.Dir, stateName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove empty state: %w", err)
	}
	return nil
}

func cureOf(err error) string {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Cure
	case errors.Is(err, unix.ENOSPC):
		return "make room: df -h; df -i"
	case errors.Is(err, unix.EROFS):
		return "it is mounted read-only: findmnt -o TARGET,OPTIONS"
	}
	return ""
}

// Recovered says what Recover did.
type Recovered struct {
	Verb  string // of the run; empty: there was nothing to do
	Undid int    // steps
	Kept  bool   // it had been committed: nothing was undone
	Stale bool   // it was of another boot, which took all with it
}

// Recover ends what a run left that died: undone, or kept when it had got as
// far as the commit. While one waits for confirmation it does nothing, unless
// force is set.
func (e *Engine) Recover(ctx context.Context, force bool) (r Recovered, err error) {
	l, err := awaitLock(ctx, e.Dir)
	if err != nil {
		return r, err
	}
	e.lock = l
	defer e.End()
	j, err := readJournal(e.Dir)
	if err != nil || j == nil {
		return r, err
	}
	if j.void() {
		return r, j.remove()
	}
	r.Verb = j.head.Plan.Verb
	state, err := readState(e.Dir)
	if err != nil {
		return r, err
	}
	switch {
	case j.head.Boot != bootID():
		r.Stale = true
		return r, errors.Join(j.remove(), e.tidy(state))
	case j.head.NetNS != netNS():
		return r, refuse(ErrInvalid, fmt.Sprintf("the journal is about another network namespace (%s) than this one (%s)", j.head.NetNS, netNS()), "run vnetctl recover in that one")
	case state.Last == j.head.Plan.ID:
		r.Kept = true
		if err := e.persist(j.head.Plan); err != nil {
			return r, err
		}
		return r, errors.Join(j.remove(), e.tidy(state))
	case j.applied && time.Now().Before(j.until) && !force:
		return r, refuse(ErrJournal, fmt.Sprintf("%q waits for confirmation until %s", r.Verb, j.until.Format(time.TimeOnly)), "vnetctl confirm, or to undo it now: vnetctl recover -f")
	}
	r.Undid = j.reached
	return r, e.rollBack(j)
}
