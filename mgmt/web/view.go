package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"time"

	"vnetkit/mgmt/api"
)

// view is the page as a template.
type view struct{ page *template.Template }

// viewData is what the first view shows.
type viewData struct {
	Write   bool
	Problem string // why there is nothing to show
	Here    bool   // the rest is filled in
	Info    api.Info
	Ports   []api.Port
	Totals  api.Totals
	Drops   []drop
}

// drop is one line of the table of drops.
type drop struct {
	Reason, Sentence string
	Frames           uint64
}

func newView(files fs.FS) (*view, error) {
	page, err := template.New("page.html").Funcs(template.FuncMap{
		"count":  count,
		"bytes":  size,
		"uptime": func(s float64) string { return (time.Duration(s) * time.Second).String() },
		"sum":    sum,
	}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	return &view{page}, nil
}

func (v *view) write(w io.Writer, data viewData) error {
	return v.page.Execute(w, data)
}

// look fills data with what the API answers.
func (s *Site) look(ctx context.Context, data *viewData) error {
	var ports api.Ports
	var stats api.Stats
	for path, answer := range map[string]any{"/v1/info": &data.Info, "/v1/ports": &ports, "/v1/stats": &stats} {
		if err := s.ask(ctx, path, answer); err != nil {
			return err
		}
	}
	data.Here, data.Ports, data.Totals = true, ports.Ports, stats.Totals
	for reason, n := range stats.Totals.Drops {
		data.Drops = append(data.Drops, drop{reason, stats.Reasons[reason], n})
	}
	slices.SortFunc(data.Drops, func(a, b drop) int {
		return cmp.Or(cmp.Compare(b.Frames, a.Frames), cmp.Compare(a.Reason, b.Reason))
	})
	return nil
}

// ask makes a request to the API without a network in between.
func (s *Site) ask(ctx context.Context, path string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	w := &buffer{header: http.Header{}, status: http.StatusOK}
	s.api.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", path, w.status)
	}
	if err := json.Unmarshal(w.body.Bytes(), answer); err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	return nil
}

// buffer keeps an answer.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) WriteHeader(status int)      { b.status = status }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }

// count writes n in groups of three digits.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// size writes n bytes for humans.
func size(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 6 {
		v /= 1000
		unit++
	}
	return fmt.Sprintf("%.3g %cB", v, " kMGTPE"[unit])
}

func sum(drops map[string]uint64) (n uint64) {
	for _, d := range drops {
		n += d
	}
	return n
}
