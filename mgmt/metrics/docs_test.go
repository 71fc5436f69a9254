package metrics_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

func stats(t *testing.T, h http.Handler) (st api.Stats) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/v1/stats", nil))
	if err := json.Unmarshal(rec.Body.Bytes(), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// families are the metrics that a switch with a port has: type by name.
func families(t *testing.T) (types map[string]string, text string) {
	t.Helper()
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	mode := vswitch.STPRapid
	if err := s.Set(vswitch.Change{STP: &vswitch.STPChange{Mode: &mode}}); err != nil {
		t.Fatal(err)
	}
	text, _ = scrape(t, s.Server)
	types = map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		types[m[1]] = m[2]
	}
	return types, text
}

// docs/metrics.md has a line for each metric and each reason, and no others.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	types, text := families(t)
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(vswitch_\\w+)` \\| (\\w+) \\| (.*?) \\|").FindAllStringSubmatch(string(doc), -1) {
		documented[m[1]] = m[2]
		labels := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(m[3], -1)
		sample := regexp.MustCompile(`(?m)^` + m[1] + `(\{.*\})? `).FindString(text)
		if n := strings.Count(sample, `="`); n != len(labels) {
			t.Errorf("docs/metrics.md: %s has %d labels, but the sample is %s", m[1], len(labels), sample)
		}
		for _, l := range labels {
			if !strings.Contains(sample, l[1]+`="`) {
				t.Errorf("docs/metrics.md: %s has no label %s", m[1], l[1])
			}
		}
	}
	for name, typ := range types {
		if strings.HasPrefix(name, "vswitch_") && documented[name] != typ {
			t.Errorf("docs/metrics.md: %s is %q, want %q", name, documented[name], typ)
		}
	}
	for name := range documented {
		if types[name] == "" {
			t.Errorf("docs/metrics.md: there is no %s", name)
		}
	}
	for _, r := range vswitch.DropReasons() {
		if row := fmt.Sprintf("\n| `%s` | %s |\n", r, r.Sentence()); !strings.Contains(string(doc), row) {
			t.Errorf("docs/metrics.md does not have %q", row)
		}
	}
	wantKnown(t, "docs/metrics.md", string(doc), types)
}

// wantKnown checks that all metrics that text speaks of exist.
func wantKnown(t *testing.T, where, text string, types map[string]string) {
	t.Helper()
	for _, name := range regexp.MustCompile(`\b(vswitch|go|process)_\w*[a-z]\b`).FindAllString(text, -1) {
		if types[name] == "" {
			t.Errorf("%s: there is no metric %s", where, name)
		}
	}
}

type dashboard struct {
	Title      string `json:"title"`
	UID        string `json:"uid"`
	Schema     int    `json:"schemaVersion"`
	Templating struct {
		List []struct {
			Name       string
			Type       string
			Definition string
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int                            `json:"id"`
		Type    string                         `json:"type"`
		Title   string                         `json:"title"`
		GridPos struct{ X, Y, W, H int }       `json:"gridPos"`
		Source  struct{ Type, UID string }     `json:"datasource"`
		Targets []struct{ RefID, Expr string } `json:"targets"`
	} `json:"panels"`
}

// The dashboard is whole: what it asks for exists, every panel asks the data
// source that was chosen, and no two panels overlap.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	types, scraped := families(t)
	labels := []string{"instance", "job"} // which Prometheus adds
	for _, m := range regexp.MustCompile(`[{,](\w+)="`).FindAllStringSubmatch(scraped, -1) {
		labels = append(labels, m[1])
	}
	if d.Title == "" || d.UID == "" || d.Schema < 36 || len(d.Panels) == 0 {
		t.Errorf("title %q, uid %q, schema %d, %d panels", d.Title, d.UID, d.Schema, len(d.Panels))
	}
	variables := []string{"__rate_interval", "__interval", "__all"}
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
		wantKnown(t, "variable "+v.Name, v.Definition, types)
	}
	for _, m := range regexp.MustCompile(`\$\{?(\w+)`).FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(variables, m[1]) {
			t.Errorf("there is no variable %s", m[1])
		}
	}
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Source.Type != "prometheus" || p.Source.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q: id %d, source %v, %d targets", p.Title, p.ID, p.Source, len(p.Targets))
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q is off the grid or on %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			wantKnown(t, "panel "+p.Title, target.Expr, types)
			wantCounters(t, p.Title, target.Expr, types)
			for _, m := range regexp.MustCompile(`(?:by|on|without|group_left) \(([^)]*)\)|[{,](\w+)=~?"`).FindAllStringSubmatch(target.Expr, -1) {
				for _, label := range strings.FieldsFunc(m[1]+","+m[2], func(r rune) bool { return r == ',' || r == ' ' }) {
					if !slices.Contains(labels, label) {
						t.Errorf("panel %q: no metric has label %s", p.Title, label)
					}
				}
			}
		}
	}
}

// wantCounters checks that rates are of counters, and only they.
func wantCounters(t *testing.T, panel, expr string, types map[string]string) {
	t.Helper()
	if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		t.Errorf("panel %q: brackets in %s", panel, expr)
	}
	for _, m := range regexp.MustCompile(`(rate\()?((?:vswitch|go|process)_\w+)`).FindAllStringSubmatch(expr, -1) {
		if (types[m[2]] == "counter") != (m[1] != "") {
			t.Errorf("panel %q: %s is a %s: %s", panel, m[2], types[m[2]], expr)
		}
	}
}
