package mgmt_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// sections cuts docs/api.md at its headings.
func sections(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(string(text), -1) {
		head, body, _ := strings.Cut(part, "\n")
		parts[strings.Trim(head, "`")] = body
	}
	return parts
}

// The document has the routes of the list and no others; its examples are
// requests that work and answers that are of the right type.
func TestDocumentedRoutes(t *testing.T) {
	doc := sections(t)
	answers := map[string]any{
		"GET /v1/config": api.Config{}, "POST /v1/reload": api.Reloaded{},
		"GET /v1": api.Routes{}, "GET /v1/info": api.Info{}, "GET /v1/ports": api.Ports{}, "POST /v1/ports": api.Added{}, "GET /v1/ports/{port}": api.Port{}, "POST /v1/batch": api.BatchResult{},
		"GET /v1/stp": api.SpanningTree{}, "GET /v1/fdb": api.FDB{}, "GET /v1/ips": api.IPs{}, "POST /v1/fdb": api.FDBEntry{}, "DELETE /v1/fdb": api.Removed{}, "GET /v1/stats": api.Stats{}, "GET /v1/events": api.Event{},
		"POST /v1/trace": api.Trace{}, "POST /v1/inject": api.Trace{},
		"Errors": api.Failure{},
	}
	var listed []string
	for _, r := range mgmt.Routes() {
		listed = append(listed, r.Method+" "+r.Path)
		if r.Doc == "" {
			t.Errorf("%s %s has no sentence", r.Method, r.Path)
		}
	}
	s := mgmttest.Start(t, mgmt.Options{Config: noFile{}})
	s.Plug()
	do(t, s, "PATCH", "/v1/ports/1", `{"name":"vm1"}`)
	for _, name := range listed {
		body, ok := doc[name]
		if !ok {
			t.Errorf("docs/api.md has no section %q", name)
			continue
		}
		example(t, s, name, body)
	}
	for head, body := range doc {
		if strings.Contains(head, " /v1") && !slices.Contains(listed, head) {
			t.Errorf("docs/api.md describes %q, which is not served", head)
		}
		for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(body, -1) {
			want := answers[head]
			if want == nil {
				t.Errorf("%s: an example that nobody checks", head)
				continue
			}
			v := reflect.New(reflect.TypeOf(want)).Interface()
			dec := json.NewDecoder(strings.NewReader(block[1]))
			dec.DisallowUnknownFields()
			if err := dec.Decode(v); err != nil {
				t.Errorf("%s: %v in %s", head, err, block[1])
			}
		}
	}
}

var curl = regexp.MustCompile(`(?m)^    curl --unix-socket \$DIR/api (?:-N )?(?:-X ([A-Z]+) )?(?:-d '(.*)' )?'?http://vswitch(/[^\s']*)'?(?: \| .*)?$`)

// example makes the request that a section shows.
func example(t *testing.T, s *mgmttest.Switch, name, body string) {
	t.Helper()
	m := curl.FindStringSubmatch(body)
	if m == nil {
		t.Errorf("%s has no example with curl", name)
		return
	}
	method, data, path := m[1], m[2], m[3]
	switch {
	case method == "" && data != "":
		method = http.MethodPost
	case method == "":
		method = http.MethodGet
	}
	wantMethod, wantPath, _ := strings.Cut(name, " ")
	shape := regexp.MustCompile(`^` + strings.ReplaceAll(regexp.QuoteMeta(wantPath), `\{port\}`, `[^/?]+`) + `(\?.*)?$`)
	if method != wantMethod || !shape.MatchString(path) {
		t.Errorf("%s: its example is %s %s", name, method, path)
	}
	if wantPath == "/v1/capture" {
		method = http.MethodHead // it has no end
	}
	data = strings.ReplaceAll(data, "/run/far.sock", filepath.Join(s.Dir, "far"))
	if status, answer := do(t, s, method, path, data); status >= 300 {
		t.Errorf("%s: its example yields %d %s", name, status, answer)
	}
}

func TestDocumentedCodes(t *testing.T) {
	doc := sections(t)
	for _, code := range api.Codes() {
		row := fmt.Sprintf("| `%s` | %d | ", code, code.Status())
		if clientOnly := code == api.ErrUnreachable || code == api.ErrBadAnswer; clientOnly {
			row = "`" + string(code) + "` ("
		}
		if !strings.Contains(doc["Errors"], row) {
			t.Errorf("docs/api.md does not have %q", row)
		}
	}
	if n := strings.Count(doc["Errors"], "\n| `"); n != len(api.Codes())-2 {
		t.Errorf("docs/api.md has %d codes", n)
	}
	exits := doc["Exit codes of vnetctl and vmrun"]
	for code := api.ExitOK; code <= api.ExitRolledBack; code++ {
		if !strings.Contains(exits, fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/api.md does not have exit code %d", code)
		}
	}
}
