package mgmt

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"vnetkit/mgmt/api"
)

// route is one thing that the API can do.
type route struct {
	method  string
	path    string // as http.ServeMux matches it
	changes bool   // needs the right to change things
	handle  func(*Server, http.ResponseWriter, *http.Request) error
	doc     string
}

// routes is the whole API. docs/api.md has a section for each line; a test
// compares the two.
func routes() []route {
	const read, change = false, true
	return []route{
		{"GET", "/v1", read, (*Server).getRoutes, "what can be asked: this list"},
		{"GET", "/v1/info", read, (*Server).getInfo, "the switch as a whole"},
		{"PATCH", "/v1/switch", change, (*Server).patchSwitch, "change ageing time, hub mode, default settings of ports and spanning tree; answers as GET /v1/info"},
		{"GET", "/v1/ports", read, (*Server).getPorts, "all ports, by number"},
		{"POST", "/v1/ports", change, (*Server).postPort, "add a port or a door"},
		{"GET", "/v1/ports/{port}", read, (*Server).getPort, "one port, by number or name"},
		{"PATCH", "/v1/ports/{port}", change, (*Server).patchPort, "change settings of a port"},
		{"DELETE", "/v1/ports/{port}", change, (*Server).deletePort, "remove a port or a door"},
		{"GET", "/v1/stp", read, (*Server).getSTP, "the spanning tree: its trees, and each port's place in them"},
		{"GET", "/v1/config", read, (*Server).getConfig, "the running configuration as a file would say it, and where that file is"},
		{"POST", "/v1/reload", change, (*Server).postReload, "make the switch what its config file says, or say why not and change nothing"},
		{"POST", "/v1/batch", change, (*Server).postBatch, "several changes as one: all of them happen or none"},
		{"GET", "/v1/fdb", read, (*Server).getFDB, "known addresses; port, vlan, mac and static select"},
		{"POST", "/v1/fdb", change, (*Server).postFDB, "add a static address"},
		{"DELETE", "/v1/fdb", change, (*Server).deleteFDB, "forget learned addresses, with static=true static ones too; port, vlan and mac select"},
		{"GET", "/v1/ips", read, (*Server).getIPs, "IP addresses that stations say are theirs, in ARP and IPv6; port, vlan and mac select"},
		{"GET", "/v1/stats", read, (*Server).getStats, "every counter at one moment"},
		{"GET", "/v1/events", read, (*Server).getEvents, "events after number since, one JSON object a line; follow=1 goes on for ever"},
		{"GET", "/v1/capture", change, (*Server).getCapture, "frames of ports as pcapng, until the caller leaves; filter selects, snap cuts them off"},
		{"POST", "/v1/trace", read, (*Server).postTrace, "what would become of a frame that came in by a port, and why; nothing is sent"},
		{"POST", "/v1/inject", change, (*Server).postInject, "have a frame come in by a port; answers as POST /v1/trace"},
		{"GET", "/metrics", read, (*Server).getMetrics, "every counter in Prometheus's text format"},
	}
}

func (s *Server) buildMux() {
	s.routes = map[string]map[string]route{}
	s.mux = http.NewServeMux()
	for _, r := range routes() {
		if s.routes[r.path] == nil {
			s.routes[r.path] = map[string]route{}
			s.mux.HandleFunc(r.path, s.byMethod)
		}
		s.routes[r.path][r.method] = r
	}
	s.mux.HandleFunc("/", s.noRoute)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	if r.ContentLength == 0 { // others are complete when their body is decoded
		complete(r)
	}
	defer answered(r)
	defer func() {
		p := recover()
		err, _ := p.(error)
		switch {
		case p == nil:
		case errors.Is(err, http.ErrAbortHandler):
			panic(p) // net/http's own way to cut a connection
		default:
			s.log.Error("api handler panicked", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			if rec.wrote {
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			s.fail(rec, &api.Error{Code: api.ErrInternal, Message: "the switch's management stumbled over this request; frames pass as before", Hint: "please report it with the daemon's log"})
		}
	}()
	if callerOf(r).excess {
		w.Header().Set("Connection", "close")
		s.fail(rec, &api.Error{Code: api.ErrBusy, Message: "too many connections to this switch's api socket", Hint: "try again in a few seconds; find who holds them with: ss -xp | grep api"})
		return
	}
	s.mux.ServeHTTP(rec, r)
}

// byMethod picks among the routes of the path that matched.
func (s *Server) byMethod(w http.ResponseWriter, r *http.Request) {
	methods := s.routes[r.Pattern]
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	rt, ok := methods[method]
	if !ok {
		var allowed []string
		for m := range methods {
			allowed = append(allowed, m)
		}
		slices.Sort(allowed)
		list := strings.Join(allowed, ", ")
		w.Header().Set("Allow", list)
		s.fail(w, &api.Error{Code: api.ErrMethod, Message: fmt.Sprintf("%.20s does not go with %.200s", r.Method, r.URL.Path), Hint: "use " + list})
		return
	}
	caller := callerOf(r)
	if rt.changes {
		if err := s.mayChange(caller); err != nil {
			s.log.Warn("change refused", "uid", caller.uid, "pid", caller.pid, "method", r.Method, "path", r.URL.Path)
			s.fail(w, err)
			return
		}
	}
	err := rt.handle(s, w, r)
	if err != nil {
		s.fail(w, err)
	}
	if rt.changes {
		s.log.Info("change", "uid", caller.uid, "pid", caller.pid, "method", r.Method, "path", r.URL.Path, "err", err)
	}
}

func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	var paths []string
	for _, rt := range routes() {
		paths = append(paths, rt.path)
	}
	hint := "GET /v1 lists what there is"
	if near := api.Nearest(r.URL.Path, paths); near != "" {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	s.fail(w, &api.Error{Code: api.ErrNoRoute, Message: fmt.Sprintf("nothing is served under %.200q", r.URL.Path), Hint: hint})
}

func (s *Server) getRoutes(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	answer := api.Routes{Schema: api.SchemaVersion}
	for _, rt := range routes() {
		answer.Routes = append(answer.Routes, api.Route{Method: rt.method, Path: rt.path, Changes: rt.changes, Doc: rt.doc})
	}
	return reply(w, http.StatusOK, answer)
}

// recorder remembers whether an answer has begun.
type recorder struct {
	http.ResponseWriter
	wrote bool
}

func (r *recorder) WriteHeader(status int) {
	r.wrote = true
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
