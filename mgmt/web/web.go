// Package web is the web page of a switch.
//
// Theory of operation: Site serves one page with its script and its styles,
// all embedded, and hands everything under /v1 and /metrics to the API's own
// handler: so the page shows the numbers of the API, and has no logic of its
// own about the switch. Its first view is rendered here, from the same
// answers, and is a plain page for those without JavaScript.
//
// A request goes through these stations, in this order:
//
//	meant for us   Host and Origin, see package loopback
//	who asks       a random token, made at the start and printed with the URL
//	what           reads only, unless Options.Write
//	answer         the page, or the API's handler
//
// There are no cookies: a browser would send them to every port of this host
// and on behalf of any page. The page keeps the token in sessionStorage, which
// belongs to its origin and tab, takes it out of the address line and sends it
// as "Authorization: Bearer". Its files hold no secret and need none.
package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/loopback"
)

//go:embed static
var static embed.FS

// policy lets the page load its own files, ask its own server and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Options says what a Site should be like. The zero value works.
type Options struct {
	Write bool         // let those with the token change the switch and capture
	Log   *slog.Logger // refusals and what goes wrong; nil: discard
}

// Site is the web page of one switch.
type Site struct {
	api    http.Handler
	write  bool
	log    *slog.Logger
	token  string
	digest [sha256.Size]byte // of token
	mux    *http.ServeMux
}

// New makes a Site with a new token. The handler api answers what the page
// asks; with Options.Write it is the one that lets the asker change things.
func New(api http.Handler, opt Options) (*Site, error) {
	s := &Site{api: api, write: opt.Write, log: opt.Log, token: rand.Text(), mux: http.NewServeMux()}
	s.digest = sha256.Sum256([]byte(s.token))
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(static, "static")
	if err != nil {
		return nil, err
	}
	view, err := newView(files)
	if err != nil {
		return nil, err
	}
	server := http.FileServerFS(files)
	for _, name := range []string{"app.js", "draw.js", "tables.js", "format.js", "capture.js", "style.css"} {
		s.mux.Handle("GET /"+name, server)
	}
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.page(w, r, view) })
	s.mux.HandleFunc("/v1/", s.proxy)
	s.mux.HandleFunc("/v1", s.proxy)
	s.mux.HandleFunc("/metrics", s.proxy)
	return s, nil
}

// URL is where the page is, with the token that opens it.
func (s *Site) URL(addr net.Addr) string {
	return fmt.Sprintf("http://%s/?token=%s", addr, s.token)
}

// Serve answers the callers of ln until ctx ends.
func (s *Site) Serve(ctx context.Context, ln net.Listener, limits loopback.Limits) error {
	return loopback.Serve(ctx, ln, s, limits, s.log)
}

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	why := loopback.Foreign(r)
	if why == "" {
		why = crossSite(r)
	}
	if why != "" {
		s.refuse(w, r, http.StatusForbidden, &api.Error{Code: api.ErrForbidden, Message: why, Hint: "open the address that vswitch printed"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// crossSite says why r comes from a page of another site, or "". Browsers send
// no Origin with a plain GET, but say this. A link to the page itself may
// stand anywhere.
func crossSite(r *http.Request) string {
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "" || site == "same-origin" || site == "none" {
		return ""
	}
	if r.Method == http.MethodGet && r.URL.Path == "/" && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" {
		return ""
	}
	return fmt.Sprintf("a page of another site asks (%.20q)", site)
}

// knows tells whether token is ours, in a time that does not depend on how
// much of it is right.
func (s *Site) knows(token string) bool {
	digest := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(digest[:], s.digest[:]) == 1
}

// proxy hands a request with the token to the API.
func (s *Site) proxy(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok || !s.knows(token):
		w.Header().Set("WWW-Authenticate", `Bearer realm="vswitch"`)
		s.refuse(w, r, http.StatusUnauthorized, &api.Error{Code: api.ErrForbidden, Message: "the token is missing or not that of this switch", Hint: "send \"Authorization: Bearer TOKEN\"; vswitch prints the token at its start"})
	case !s.write && r.Method != http.MethodGet && r.Method != http.MethodHead:
		s.refuse(w, r, http.StatusForbidden, &api.Error{Code: api.ErrForbidden, Message: "this page only shows the switch", Hint: "start vswitch with --web-write, or use vnetctl"})
	default:
		s.api.ServeHTTP(w, r)
	}
}

// refuse answers as the API does.
func (s *Site) refuse(w http.ResponseWriter, r *http.Request, status int, e *api.Error) {
	s.log.Warn("web request refused", "from", r.RemoteAddr, "method", r.Method, "path", r.URL.Path, "why", e.Message)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Failure{Error: e}) // a caller who has left needs no answer
}

// page answers with the page: with the switch in it for those who show the
// token, else empty, for a script that may have it.
func (s *Site) page(w http.ResponseWriter, r *http.Request, v *view) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		q = url.Values{}
	}
	status, data := http.StatusOK, viewData{Write: s.write}
	switch {
	case !q.Has("token"):
	case s.knows(q.Get("token")):
		if err := s.look(r.Context(), &data); err != nil {
			s.log.Error("web page failed", "err", err)
			status, data.Problem = http.StatusServiceUnavailable, err.Error()
		}
	default:
		s.log.Warn("web request refused", "from", r.RemoteAddr, "path", r.URL.Path, "why", "wrong token")
		status, data.Problem = http.StatusUnauthorized, "This is not the token of this switch. It makes a new one at each start, and prints it."
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := v.write(w, data); err != nil {
		s.log.Debug("web page not sent", "err", err)
	}
}
