package vswitch

import "errors"

// Errors that callers tell apart. They survive the API: mgmt gives each a code
// and the client turns the code back into the error.
var (
	ErrNoPort     = errors.New("no such port")
	ErrPortExists = errors.New("port exists already")
	ErrFull       = errors.New("no room left")
	ErrInvalid    = errors.New("invalid setting")
	ErrRefused    = errors.New("client refused")
	ErrClosed     = errors.New("switch is closed")
	ErrLoop       = errors.New("ports make a loop")
	ErrMissed     = errors.New("events were missed")
)
