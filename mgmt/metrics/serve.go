package metrics

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"

	"vnetkit/mgmt/loopback"
)

// Serve answers GET /metrics on ln with h, and nothing else, until ctx ends.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, log *slog.Logger) error {
	addr, err := netip.ParseAddrPort(ln.Addr().String())
	return loopback.Serve(ctx, ln, only(h, err == nil && addr.Addr().IsLoopback()), loopback.Limits{}, log)
}

// only lets nothing but scrapes through to h. Where local callers are expected
// browsers are too, and the pages they show must not read this; elsewhere
// scrapers may call this host by any name.
func only(h http.Handler, local bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		foreign := ""
		if local {
			foreign = loopback.Foreign(r)
		}
		switch {
		case foreign != "":
			http.Error(w, foreign, http.StatusForbidden)
		case r.URL.Path != Path:
			http.Error(w, "only "+Path+" is here", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
