package mgmt

import (
	"context"
	"net/http"
	"os"
	"strings"
	"time"

	"vnetkit/mgmt/api"
)

// Routes is the route list.
func Routes() []api.Route {
	var list []api.Route
	for _, r := range routes() {
		list = append(list, api.Route{Method: r.method, Path: r.path, Changes: r.changes, Doc: r.doc})
	}
	return list
}

// Explain is explain.
var Explain = explain

// AsAdmin gives ctx a caller who may change things.
func AsAdmin(ctx context.Context) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{known: true, uid: os.Geteuid()})
}

// SetLimits changes those limits that are not zero.
func (s *Server) SetLimits(header, read, write time.Duration, admins, excess int) {
	set := func(dst *time.Duration, d time.Duration) {
		if d != 0 {
			*dst = d
		}
	}
	set(&s.limits.header, header)
	set(&s.limits.read, read)
	set(&s.limits.write, write)
	if admins != 0 {
		s.limits.admins, s.limits.excess = admins, excess
	}
}

// Replace makes a route do something else.
func (s *Server) Replace(method, path string, f http.HandlerFunc) {
	rt := s.routes[path][method]
	rt.handle = func(_ *Server, w http.ResponseWriter, r *http.Request) error { f(w, r); return nil }
	s.routes[path][method] = rt
}

// Connections is how many callers are connected.
func (s *Server) Connections() int { return s.admins.count() + s.guests.count() }

// AdmitBusy says what becomes of n callers, one after the other, whose requests
// are all being answered.
func AdmitBusy(n, limit, excess int) string {
	var r room
	var list []string
	for range n {
		c := &conn{room: &r}
		switch {
		case !r.admit(c, limit, excess):
			list = append(list, "out")
			continue
		case c.caller.excess:
			list = append(list, "told")
		default:
			list = append(list, "in")
		}
		c.owes(false)
	}
	return strings.Join(list, " ")
}
