package mgmt

import (
	"context"
	"net/http"

	"vnetkit/mgmt/metrics"
)

// newMetrics answers scrapes, here and on the daemon's own listener for them.
func (s *Server) newMetrics() http.Handler {
	return metrics.Handler(s.sw, metrics.Options{Name: s.opt.Name, Version: s.opt.Version, Commit: s.opt.Commit, Log: s.log})
}

// Metrics answers scrapes whatever their path.
func (s *Server) Metrics() http.Handler { return s.metrics }

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	s.metrics.ServeHTTP(w, r)
	return nil
}

// AsDaemon serves requests as if the daemon's own user had made them: for
// callers whom the kernel does not vouch for, but somebody else does.
func (s *Server) AsDaemon() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := caller{known: true, uid: s.uid}
		s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}
