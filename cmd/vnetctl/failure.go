package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"vnetkit/mgmt/api"
)

// failure says what could not be done. Its error says why, and perhaps what
// helps.
type failure struct {
	what string // completes "cannot ..."
	err  error
}

func (f *failure) Error() string { return "cannot " + f.what + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// cannot wraps err, if there is one.
func cannot(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &failure{what: fmt.Sprintf(format, args...), err: err}
}

// usageError is a command line that makes no sense.
type usageError struct {
	what, cause, cure string
	place             string // lines that show where; printed as they are
}

func (e *usageError) Error() string { return e.what }

func usage(format string, args ...any) *usageError {
	return &usageError{what: fmt.Sprintf(format, args...)}
}

// errSilent has been reported already.
type errSilent int

func (e errSilent) Error() string { return "failed" }

// report prints err for the user and returns the exit code.
func (a *app) report(err error) int {
	var done errSilent
	if errors.As(err, &done) {
		return int(done)
	}
	if err == nil {
		return api.ExitOK
	}
	what, e, code := parts(err)
	if code != api.ExitUsage {
		e.Hint = a.cure(e)
	}
	if a.json {
		_ = jsonLines(a.err).Encode(api.Failure{Error: &api.Error{Code: e.Code, Message: strings.TrimPrefix(what+": "+e.Message, ": "), Hint: e.Hint}})
		return code
	}
	if what == "" {
		what, e.Message = e.Message, ""
	}
	fmt.Fprintf(a.err, "vnetctl: %s\n", printable(what))
	var bad *usageError
	if errors.As(err, &bad) {
		for line := range strings.Lines(bad.place) {
			fmt.Fprintf(a.err, "    %s\n", printable(strings.TrimSuffix(line, "\n")))
		}
	}
	if e.Message != "" {
		fmt.Fprintf(a.err, "  cause: %s\n", printable(e.Message))
	}
	if e.Hint != "" {
		fmt.Fprintf(a.err, "  cure:  %s\n", printable(e.Hint))
	}
	return code
}

// cure is e's hint, made to fit the switch that this command line is about.
func (a *app) cure(e api.Error) string {
	if e.Hint == "" && e.Code == api.ErrInvalid && a.path != "" {
		return a.path + " --help"
	}
	hint := e.Hint
	if a.where == "" || strings.ContainsAny(a.where, " \t\n'\"\\$`;&|<>()*?[]{}!#~") {
		return hint
	}
	for _, verb := range []string{"info", "ports", "port ", "fdb", "stats", "vlan", "mirror", "top", "graph", "config", "reload", "capture", "trace", "exec "} {
		hint = strings.ReplaceAll(hint, "vnetctl "+verb, "vnetctl -s "+a.where+" "+verb)
	}
	return hint
}

// parts takes an error apart: what failed, why and what helps, the exit code.
func parts(err error) (what string, e api.Error, code int) {
	var bad *usageError
	if errors.As(err, &bad) {
		return bad.what, api.Error{Code: "usage", Message: bad.cause, Hint: bad.cure}, api.ExitUsage
	}
	var f *failure
	if errors.As(err, &f) {
		what, err = "cannot "+f.what, f.err
	}
	var typed *api.Error
	switch {
	case errors.As(err, &typed):
		e = *typed
	case errors.Is(err, context.Canceled):
		e = api.Error{Code: api.ErrFailed, Message: "interrupted"}
	default:
		e = api.Error{Code: api.ErrFailed, Message: err.Error()}
	}
	if hint, code, ok := hostParts(err); ok {
		e.Hint = hint
		return what, e, code
	}
	return what, e, api.ExitCode(err)
}

// suggestSwitch adds to the failed look-up of a switch's name the name that
// was probably meant.
func (a *app) suggestSwitch(err error) error {
	var e *api.Error
	if !errors.As(err, &e) || strings.ContainsRune(a.where, '/') {
		return err
	}
	var names []string
	for _, parent := range api.Parents() {
		entries, _ := os.ReadDir(parent)
		for _, entry := range entries {
			if _, err := os.Stat(filepath.Join(parent, entry.Name(), api.SocketName)); err == nil {
				names = append(names, entry.Name())
			}
		}
	}
	near := api.Nearest(a.where, names)
	switch {
	case near != "":
		e.Message += fmt.Sprintf("; did you mean %q?", near)
		e.Hint = "vnetctl -s " + near
	case len(names) > 0:
		e.Message += "; there are " + strings.Join(names, ", ")
	}
	return e
}
