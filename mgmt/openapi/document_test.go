package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configurer is a daemon with a config file.
type configurer struct{}

func (configurer) Config() api.Config { return api.Config{File: "/etc/x.toml", TOML: "hub = true\n"} }
func (configurer) Reload(context.Context, bool) (api.Reloaded, error) {
	return api.Reloaded{File: "/etc/x.toml", Changes: []string{"+ port"}, Restart: []string{}, Overridden: []string{}}, nil
}

func start(t *testing.T) *mgmttest.Switch {
	t.Helper()
	return mgmttest.Start(t, mgmt.Options{Name: "lab", Config: configurer{}})
}

// answer is what came back.
type answer struct {
	status int
	media  string
	body   []byte
}

func ask(t *testing.T, s *mgmttest.Switch, method, path, body string) answer {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.Dir, api.SocketName))
	}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 1)
	if resp.Header.Get("Content-Type") != "application/x-pcapng" { // which has no end
		if b, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return answer{resp.StatusCode, media, b}
}

func routesOf(t *testing.T, s *mgmttest.Switch) []api.Route {
	t.Helper()
	var r api.Routes
	if err := json.Unmarshal(ask(t, s, "GET", "/v1", "").body, &r); err != nil {
		t.Fatal(err)
	}
	return r.Routes
}

// examples are the answers in docs/api.md.
func examples(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]json.RawMessage{}
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(string(text), -1) {
		head, body, _ := strings.Cut(part, "\n")
		if m := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(body); m != nil {
			var b bytes.Buffer
			if err := json.Compact(&b, []byte(m[1])); err != nil {
				t.Fatalf("%s: %v", head, err)
			}
			list[strings.Trim(head, "`")] = b.Bytes()
		}
	}
	return list
}

func document(t *testing.T, s *mgmttest.Switch) *Document {
	t.Helper()
	d, err := New(routesOf(t, s), examples(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// docs/openapi.json is what the routes and types say now.
func TestGeneratedDocument(t *testing.T) {
	got, err := Encode(document(t, start(t)))
	if err != nil {
		t.Fatal(err)
	}
	const path = "../../docs/openapi.json"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/openapi.json is out of date (%v): make gen", err)
	}
}

// What routes.go describes is served, and each reference leads somewhere.
func TestDescribedRoutes(t *testing.T) {
	s := start(t)
	d := document(t, s)
	var served []string
	ids := map[string]bool{}
	for _, r := range routesOf(t, s) {
		served = append(served, r.Method+" "+r.Path)
		op := d.Paths[r.Path][strings.ToLower(r.Method)]
		if op == nil || op.Summary == "" || ids[op.ID] {
			t.Errorf("%s %s: %+v", r.Method, r.Path, op)
			continue
		}
		ids[op.ID] = true
	}
	for _, name := range sortedKeys(bodies) {
		if !slices.Contains(served, name) {
			t.Errorf("%s is described and not served", name)
		}
	}
	text, err := Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/schemas/(\w+)"`).FindAllStringSubmatch(string(text), -1) {
		if d.Components.Schemas[m[1]] == nil {
			t.Errorf("%s is not there", m[1])
		}
	}
	for name, def := range d.Components.Schemas {
		if def.Description == "" {
			t.Errorf("%s has no comment", name)
		}
	}
}

// A line of the table below: a request that works.
type request struct{ method, path, body string }

// requests cover each route and query key, on a switch whose ports show all
// they can show.
func requests(dir string) []request {
	sock := filepath.Join(dir, "far")
	return []request{
		{"GET", "/v1", ""}, {"GET", "/v1/info", ""},
		{"PATCH", "/v1/switch", `{"ageing_seconds":60,"hub":false,"port_default":"mtu=1400"}`},
		{"POST", "/v1/ports", `{"spec":"stream:unix:` + sock + `,connect=on,name=far"}`},
		{"POST", "/v1/ports", `{"spec":"stream:unix:` + sock + `2"}`},
		{"PATCH", "/v1/ports/far", `{"name":"way","pvid":3,"native":"tagged","tagged":"4-5","transparent":false,"isolated":true,"down":true,"mtu":1500,"mac_limit":7,"allow_mac":"any","mirror":"1:in","allow_user":"root","allow_group":"any","edge":"on","stp_cost":5,"stp_priority":16,"bpdu_guard":true,"root_guard":true,"storm":"broadcast:9"}`},
		{"PATCH", "/v1/switch", `{"stp":{"mode":"rstp","mac":"02:00:00:00:00:99","priority":4096,"hello_seconds":1,"max_age_seconds":6,"forward_delay_seconds":4}}`},
		{"GET", "/v1/stp", ""},
		{"GET", "/v1/ports", ""}, {"GET", "/v1/ports/1", ""}, {"GET", "/v1/ports/way", ""},
		{"POST", "/v1/fdb", `{"mac":"02:00:00:00:00:aa","port":"1"}`},
		{"GET", "/v1/fdb?port=1&vlan=1&mac=02:00:00:00:00:aa&static=true", ""}, {"GET", "/v1/fdb", ""},
		{"GET", "/v1/ips?port=1&vlan=1&mac=02:00:00:00:00:aa", ""}, {"GET", "/v1/ips", ""},
		{"GET", "/v1/stats", ""},
		{"GET", "/v1/events?since=1&life=x&follow=0", ""},
		{"POST", "/v1/batch", `{"operations":[{"add_port":{"spec":"stream:unix:` + sock + `3,connect=on,name=b"}},{"set_port":{"port":"b","pvid":3,"name":"c"}},{"remove_port":{"port":"c"}},
			{"set_switch":{"hub":false}},{"add_fdb":{"mac":"02:00:00:00:00:ab","vlan":3,"port":"1"}},{"flush_fdb":{"port":"1","vlan":3,"mac":"02:00:00:00:00:ab","static":true}}]}`},
		{"POST", "/v1/trace", `{"port":"1","frame":"ffffffffffff02000000000188b5"}`},
		{"POST", "/v1/trace", `{"port":"1","frame":"02"}`},
		{"POST", "/v1/inject", `{"port":"1","frame":"02000000000202000000000188b5"}`},
		{"GET", "/v1/capture?ports=1&filter=arp&snap=64", ""},
		{"GET", "/v1/config", ""}, {"POST", "/v1/reload?dry-run=true", ""}, {"POST", "/v1/reload", ""}, {"GET", "/metrics", ""},
		{"DELETE", "/v1/fdb?port=1&vlan=1&mac=02:00:00:00:00:aa&static=true", ""},
		{"DELETE", "/v1/ports/way", ""},
	}
}

// find is the route that a path is of.
func find(d *Document, r request) (path string, op *Operation) {
	target, _, _ := strings.Cut(r.path, "?")
	for path, methods := range d.Paths {
		shape := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(path), `\{port\}`, "[^/]+") + "$")
		if op := methods[strings.ToLower(r.method)]; op != nil && shape.MatchString(target) {
			return path, op
		}
	}
	return "", nil
}

// Answers of a real switch are what the document says, down to each field; and
// requests that the document allows are understood.
func TestRealAnswers(t *testing.T) {
	s := start(t)
	a, b := s.Plug(), s.Plug()
	a.Send(1, 0xff, 60)
	b.Receive()
	b.Send(2, 2, 60)
	mgmttest.Until(t, "a drop", func() bool { p := s.Ports(); return p[1].Rx.Frames == 1 })
	d := document(t, s)
	asked := map[string]bool{}
	for _, r := range requests(s.Dir) {
		path, op := find(d, r)
		if op == nil {
			t.Errorf("%s %s is not described", r.method, r.path)
			continue
		}
		name := r.method + " " + path
		note(asked, name, r.path)
		if op.RequestBody != nil {
			for _, f := range d.schemas.Check(op.RequestBody.Content["application/json"].Schema, []byte(r.body)) {
				t.Errorf("%s: request %s", name, f)
			}
		}
		got := ask(t, s, r.method, r.path, r.body)
		want := op.Responses[strconv.Itoa(got.status)]
		if want == nil {
			t.Errorf("%s: %d is not described: %s", name, got.status, got.body)
			continue
		}
		media, ok := want.Content[got.media]
		if !ok && (len(want.Content) > 0 || len(got.body) > 0) {
			t.Errorf("%s: %q is not described: %s", name, got.media, got.body)
		}
		if media.Schema == nil {
			continue
		}
		for line := range strings.Lines(string(got.body)) {
			for _, f := range d.schemas.Check(media.Schema, []byte(line)) {
				t.Errorf("%s: answer %s in %s", name, f, line)
			}
		}
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			name := strings.ToUpper(method) + " " + path
			if !asked[name] {
				t.Errorf("%s was not asked", name)
			}
			for _, p := range op.Parameters {
				if p.In == "query" && !asked[name+"?"+p.Name] {
					t.Errorf("%s: %s was not asked", name, p.Name)
				}
			}
		}
	}
}

// note remembers that a route was asked, and with which query keys.
func note(asked map[string]bool, name, path string) {
	asked[name] = true
	_, query, _ := strings.Cut(path, "?")
	for part := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(part, "=")
		asked[name+"?"+key] = true
	}
}

// Each route fails as described, and names the same fields and query keys as
// the document does.
func TestRealFailures(t *testing.T) {
	s := start(t)
	s.Plug()
	d := document(t, s)
	for path, methods := range d.Paths {
		for method, op := range methods {
			name := strings.ToUpper(method) + " " + path
			target := strings.ReplaceAll(path, "{port}", "1")
			fail := op.Responses["default"].Content["application/json"].Schema
			complain := func(target, body string) string {
				got := ask(t, s, strings.ToUpper(method), target, body)
				if faults := d.schemas.Check(fail, got.body); got.status < 400 || faults != nil {
					t.Errorf("%s: %d %s: %v", name, got.status, got.body, faults)
				}
				var f api.Failure
				_ = json.Unmarshal(got.body, &f)
				if f.Error == nil {
					return ""
				}
				return f.Error.Hint
			}
			var query []string
			for _, p := range op.Parameters {
				if p.In == "query" {
					query = append(query, p.Name)
				}
			}
			sameNames(t, name, complain(target+"?zzzzzzzzzzzz=1", "{}"), "the keys are: ", query)
			if op.RequestBody != nil {
				def := d.schemas.Resolve(op.RequestBody.Content["application/json"].Schema)
				sameNames(t, name, complain(target, `{"zzzzzzzzzzzz":1}`), "the fields are: ", slices.Collect(maps.Keys(def.Properties)))
			}
		}
	}
}

func sameNames(t *testing.T, name, hint, before string, want []string) {
	t.Helper()
	var got []string
	if _, list, ok := strings.Cut(hint, before); ok {
		got = strings.Split(list, ", ")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: the server knows %q, the document %q", name, got, want)
	}
}

// The examples in docs/api.md are what the document says.
func TestExamples(t *testing.T) {
	d := document(t, start(t))
	n := 0
	for path, methods := range d.Paths {
		for method, op := range methods {
			for status, r := range op.Responses {
				for _, m := range r.Content {
					if m.Example == nil {
						continue
					}
					n++
					for _, f := range d.schemas.Check(m.Schema, m.Example) {
						t.Errorf("%s %s %s: example %s", method, path, status, f)
					}
				}
			}
		}
	}
	if n < 8 {
		t.Errorf("only %d examples", n)
	}
	fail := d.Paths["/v1/info"]["get"].Responses["default"].Content["application/json"].Schema
	if faults := d.schemas.Check(fail, examples(t)["Errors"]); faults != nil {
		t.Error(faults)
	}
}
