package mgmt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
)

// fail answers a request with err.
func (s *Server) fail(w http.ResponseWriter, err error) {
	e := explain(err)
	if e.Code == api.ErrInternal {
		s.log.Error("api request failed", "err", err)
	}
	_ = reply(w, e.Code.Status(), api.Failure{Error: e})
}

// explain is where the switch's errors become codes. An error without a
// sentinel comes from the system: a socket or a device that could not be opened.
func explain(err error) *api.Error {
	var e *api.Error
	if errors.As(err, &e) {
		return e
	}
	e = &api.Error{Message: err.Error()}
	switch {
	case errors.Is(err, vswitch.ErrNoPort):
		e.Code, e.Hint = api.ErrNoPort, "vnetctl ports"
	case errors.Is(err, vswitch.ErrPortExists):
		e.Code, e.Hint = api.ErrPortExists, "choose another number or name, or remove the other one first: vnetctl port remove PORT"
	case errors.Is(err, vswitch.ErrLoop):
		e.Code, e.Hint = api.ErrPortExists, "vnetctl stp set mode=rstp, or vnetctl port remove PORT"
	case errors.Is(err, vswitch.ErrFull):
		e.Code, e.Hint = api.ErrFull, "vnetctl port remove PORT"
	case errors.Is(err, vswitch.ErrInvalid):
		e.Code = api.ErrInvalid
	case errors.Is(err, vswitch.ErrClosed), errors.Is(err, context.Canceled):
		e.Code = api.ErrClosed
	default:
		e.Code, e.Hint = api.ErrFailed, systemHint(err)
	}
	return e
}

// systemHint is the usual cure of what the kernel says.
func systemHint(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "somebody listens there already: ss -lxtp shows who"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no interface of this host has that address: ip address"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return "the daemon's user lacks the right: check owner and mode of the path, or choose a place that is the daemon's own"
	case errors.Is(err, syscall.ENOENT):
		return missingHint(err)
	}
	return ""
}

// missingHint is about a directory that a socket was to be made in, or that was
// to be a door. What else may be missing (a namespace, a device) its error names,
// and there a directory would be no cure.
func missingHint(err error) string {
	var at *net.OpError
	if errors.As(err, &at) && at.Addr != nil && at.Op == "listen" {
		return "make the directory first: mkdir -p " + filepath.Dir(at.Addr.String())
	}
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "lstat" {
		return "make the directory first: mkdir -p " + path.Path
	}
	return ""
}

// aboutPort adds to a failed look-up of ref what ref may have meant: a port,
// or one of further names.
func (s *Server) aboutPort(ref string, err error, further ...string) error {
	if !errors.Is(err, vswitch.ErrNoPort) {
		return err
	}
	var names []string
	for _, p := range s.sw.Ports() {
		names = append(names, p.Config.Name)
	}
	names = append(names, further...)
	e := &api.Error{Code: api.ErrNoPort, Message: fmt.Sprintf("no port %.100q", ref), Hint: "vnetctl ports"}
	switch near := api.Nearest(ref, names); {
	case near != "":
		e.Message += fmt.Sprintf("; did you mean %q?", near)
	case len(names) == 0:
		e.Message += "; the switch has none"
	case len(names) <= 8:
		e.Message += "; there are " + strings.Join(names, ", ")
	}
	return e
}

func invalid(format string, args ...any) error {
	return &api.Error{Code: api.ErrInvalid, Message: fmt.Sprintf(format, args...)}
}
