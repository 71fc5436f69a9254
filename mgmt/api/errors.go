package api

import (
	"errors"
	"net/http"
)

// Code says what kind of error happened. Codes are errors themselves, so that
//
//	errors.Is(err, api.ErrNoPort)
//
// works on both sides of the socket.
type Code string

// The codes. Those of the first group come from the switch, those of the
// second from the way of a request, those of the third from the client alone.
const (
	ErrNoPort     Code = "no-port"     // no port of this number or name
	ErrPortExists Code = "port-exists" // the number, name or address is taken
	ErrFull       Code = "full"        // every port number is taken
	ErrInvalid    Code = "invalid"     // a value that cannot be
	ErrClosed     Code = "closed"      // the switch is going down
	ErrFailed     Code = "failed"      // the switch tried and the system said no

	ErrBadRequest Code = "bad-request" // not JSON, unknown field, bytes behind the end
	ErrTooLarge   Code = "too-large"   // body over MaxBody
	ErrNoRoute    Code = "no-route"    // nothing is served under this path
	ErrMethod     Code = "method"      // the path is served, but not by this method
	ErrForbidden  Code = "forbidden"   // the caller may not do this
	ErrBusy       Code = "busy"        // too many connections
	ErrInternal   Code = "internal"    // a bug in the switch; its log says more

	ErrUnreachable Code = "unreachable" // no switch answers there
	ErrBadAnswer   Code = "bad-answer"  // something answers that is no switch
)

// MaxBody is the largest request body that a switch reads, in bytes.
const MaxBody = 64 << 10

// Codes lists all codes.
func Codes() []Code {
	return []Code{
		ErrNoPort, ErrPortExists, ErrFull, ErrInvalid, ErrClosed, ErrFailed,
		ErrBadRequest, ErrTooLarge, ErrNoRoute, ErrMethod, ErrForbidden, ErrBusy, ErrInternal,
		ErrUnreachable, ErrBadAnswer,
	}
}

// Error makes a Code an error.
func (c Code) Error() string { return string(c) }

// Status is the HTTP status that goes with c.
func (c Code) Status() int {
	switch c {
	case ErrNoPort, ErrNoRoute:
		return http.StatusNotFound
	case ErrPortExists, ErrFull:
		return http.StatusConflict
	case ErrInvalid, ErrBadRequest:
		return http.StatusBadRequest
	case ErrTooLarge:
		return http.StatusRequestEntityTooLarge
	case ErrMethod:
		return http.StatusMethodNotAllowed
	case ErrForbidden:
		return http.StatusForbidden
	case ErrFailed:
		return http.StatusUnprocessableEntity
	case ErrClosed, ErrBusy:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Error is what a request that failed is answered with, as the only field of
// Failure.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`        // what is wrong, with the object's name
	Hint    string `json:"hint,omitempty"` // how to cure it

	Index *int `json:"index,omitempty"` // of a batch: the operation that failed, counted from 0
}

// Failure is the body of an answer whose status is not 2xx.
type Failure struct {
	Error *Error `json:"error"`
}

func (e *Error) Error() string { return e.Message }

// Unwrap makes errors.Is see the Code.
func (e *Error) Unwrap() error { return e.Code }

// The exit codes of vnetctl and vmrun. ExitRolledBack is for verbs that change
// the host.
const (
	ExitOK          = 0 // done, or already so
	ExitFailed      = 1
	ExitUsage       = 2
	ExitForbidden   = 3
	ExitUnreachable = 4
	ExitRolledBack  = 5
)

// ExitCode is the exit code that a program ends with because of err.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrForbidden):
		return ExitForbidden
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrBadAnswer), errors.Is(err, ErrBusy), errors.Is(err, ErrClosed):
		return ExitUnreachable
	}
	return ExitFailed
}
