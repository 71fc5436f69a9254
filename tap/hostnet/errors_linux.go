package hostnet

import "fmt"

// Code says what kind of refusal an Error is.
type Code string

// The codes.
const (
	ErrInvalid     Code = "invalid"     // a name or a value that cannot be
	ErrNotFound    Code = "not-found"   // no such interface
	ErrExists      Code = "exists"      // the name is taken by something else
	ErrInUse       Code = "in-use"      // somebody uses it
	ErrNotOurs     Code = "not-ours"    // not made by us, so not touched
	ErrUnsupported Code = "unsupported" // cannot be moved without loss
	ErrManaged     Code = "managed"     // another program renews or rewrites its addresses
	ErrForbidden   Code = "forbidden"   // a privilege is missing
	ErrLocked      Code = "locked"      // another run holds the lock
	ErrJournal     Code = "journal"     // a journal stands in the way
	ErrRolledBack  Code = "rolled-back" // a step failed and all is as before
	ErrStuck       Code = "stuck"       // a step failed and so did undoing it
)

// Error makes a Code an error, for errors.Is.
func (c Code) Error() string { return string(c) }

// Error is a refusal in words: why, and what helps.
type Error struct {
	Code  Code
	Cause string
	Cure  string // a command or an advice; may be empty
	Err   error  // what the system said, or nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Cause + ": " + e.Err.Error()
	}
	return e.Cause
}

// Unwrap makes errors.Is see the Code and the system's error.
func (e *Error) Unwrap() []error {
	if e.Err != nil {
		return []error{e.Code, e.Err}
	}
	return []error{e.Code}
}

func refuse(code Code, cause, cure string, args ...any) *Error {
	return &Error{Code: code, Cause: cause, Cure: fmt.Sprintf(cure, args...)}
}
