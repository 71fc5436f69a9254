// Package mgmt lets people and programs look at a running switch and change it.
//
// Theory of operation: Server speaks HTTP with JSON on a unix socket that the
// daemon opened. All it serves stands in one list of routes (routes.go). A
// request goes through these stations, in this order:
//
//	admit      the listener counts connections, and asks the kernel who calls
//	route      path and method are looked up in the list
//	authorise  what changes something needs the daemon's uid, root or the group
//	decode     bounded body, strict JSON, strict query
//	handle     one method of vswitch.Switch
//	reply      JSON, or an api.Error that one switch statement made of the error
//
// Handlers keep no state: the Switch is safe for concurrent use and its answers
// are copies. So any number of requests run at once and none can hold up a
// frame. What can be held up is bounded instead: the number of connections, the
// size of a request, the time it may take to come in and the time its answer
// may take to be read. Connections of those who may change things are counted
// apart from all others, so that readers cannot lock the admin out.
//
// The types on the wire are in mgmt/api, the client is mgmt/client.
package mgmt

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	vswitch "vnetkit/switch"
)

// Options says what a Server should know about the daemon it is part of.
type Options struct {
	Name    string       // the switch's name
	Dir     string       // the switch's directory
	Version string       // of the daemon
	Commit  string       // of the daemon
	Group   int          // gid whose members may change things too; 0 or less: none
	Config  Configurer   // the config file; nil: GET /v1/config and POST /v1/reload fail
	Log     *slog.Logger // changes, and what goes wrong; nil: discard
}

// Server answers requests about one switch.
type Server struct {
	sw     *vswitch.Switch
	opt    Options
	log    *slog.Logger
	uid    int // of the daemon
	born   time.Time
	life   string // differs each time the switch is started
	limits limits
	users  users
	routes map[string]map[string]route // by path, then by method
	mux    *http.ServeMux

	metrics http.Handler

	latestEvent atomic.Pointer[encodedEvent]

	admins, guests room // connections now, see limits
}

// limits bounds what callers can take up.
type limits struct {
	header time.Duration // for a request's header to come in
	read   time.Duration // for a whole request to come in
	write  time.Duration // for an answer, or a piece of an event stream, to be read
	idle   time.Duration // between two requests of a connection
	admins int           // connections at once of those who may change things
	guests int           // connections at once of all others
	excess int           // further ones in each class that are told that it is too much
}

// New returns a Server for sw.
func New(sw *vswitch.Switch, opt Options) *Server {
	s := &Server{
		sw:   sw,
		opt:  opt,
		log:  opt.Log,
		uid:  os.Geteuid(),
		born: time.Now(),
		life: strconv.FormatInt(sw.Info().Started.UnixNano(), 36),
		limits: limits{
			header: 5 * time.Second,
			read:   10 * time.Second,
			write:  10 * time.Second,
			idle:   60 * time.Second,
			admins: 192,
			guests: 192,
			excess: 32,
		},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.metrics = s.newMetrics()
	s.buildMux()
	return s
}

// Serve answers the callers of ln until ctx ends, and then closes ln and every
// connection. It fails only when ln does.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withCaller,
		ReadHeaderTimeout: s.limits.header,
		ReadTimeout:       s.limits.read,
		WriteTimeout:      s.limits.read + s.limits.write,
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		// Requests under way end with ctx; a moment lets their answers out.
		grace, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	}()
	err := srv.Serve(&listener{Listener: ln, server: s})
	cancel()
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
