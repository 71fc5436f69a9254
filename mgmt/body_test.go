package mgmt_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

func TestBodies(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	huge := `{"name":"` + strings.Repeat("x", api.MaxBody) + `"}`
	for _, tc := range []struct {
		name, body string
		code       api.Code
		says       string
	}{
		{"empty", "", api.ErrBadRequest, "empty"},
		{"garbage", "\x00\xff\xfe", api.ErrBadRequest, "not JSON"},
		{"text", "mtu=1500", api.ErrBadRequest, "not JSON"},
		{"cut off", `{"mtu":15`, api.ErrBadRequest, "ends in the middle"},
		{"array", `[1,2]`, api.ErrBadRequest, "array"},
		{"string", `"mtu"`, api.ErrBadRequest, "string"},
		{"wrong type", `{"mtu":"big"}`, api.ErrBadRequest, `field "mtu" is a string`},
		{"fraction", `{"mtu":1500.5}`, api.ErrBadRequest, `field "mtu"`},
		{"overflow", `{"mtu":99999999999999999999}`, api.ErrBadRequest, `field "mtu"`},
		{"unknown field", `{"muta":1500}`, api.ErrBadRequest, `unknown field "muta"`},
		{"two values", `{"mtu":1500}{"mtu":1400}`, api.ErrBadRequest, "goes on"},
		{"trailing garbage", `{"mtu":1500} x`, api.ErrBadRequest, "goes on"},
		{"deep", strings.Repeat(`{"mtu":`, 9000), api.ErrBadRequest, ""},
		{"huge", huge, api.ErrTooLarge, "65536"},
		{"huge after a good one", `{"mtu":1500}` + strings.Repeat(" ", api.MaxBody), api.ErrTooLarge, "65536"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, answer := do(t, s, "PATCH", "/v1/ports/1", tc.body)
			if e := failed(t, status, answer, tc.code); !strings.Contains(e.Message, tc.says) {
				t.Errorf("message %q, want %q in it", e.Message, tc.says)
			}
			if len(answer) > 2000 {
				t.Errorf("an answer of %d bytes", len(answer))
			}
		})
	}
	if mtu := get[api.Port](t, s, "/v1/ports/1").MTU; mtu != 65535 {
		t.Errorf("one of them changed the MTU to %d", mtu)
	}
	status, answer := do(t, s, "PATCH", "/v1/ports/1", `{"mtuu":1500}`)
	if e := failed(t, status, answer, api.ErrBadRequest); !strings.Contains(e.Hint, `did you mean "mtu"?`) || !strings.Contains(e.Hint, "tagged") {
		t.Errorf("hint %q", e.Hint)
	}
	if status, answer := do(t, s, "PATCH", "/v1/ports/1", " \n{\"mtu\":1500}\n\n"); status != 200 {
		t.Errorf("white space around it: %d %s", status, answer)
	}
}

// Whatever the body, the answer is either a success or a typed error that is
// the caller's fault, and the switch still works.
func FuzzAPIBody(f *testing.F) {
	sw, err := vswitch.New(vswitch.Options{Workers: 1}) // without kinds: nothing is opened
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { sw.Close() })
	server := mgmt.New(sw, mgmt.Options{})
	var changes []api.Route
	for _, r := range mgmt.Routes() {
		if r.Changes && r.Method != http.MethodGet { // GET /v1/capture has no end, and no body
			changes = append(changes, r)
		}
	}
	for i, body := range []string{
		`{"spec":"stream:unix:/x,name=y"}`, `{"pvid":1,"native":"none","tagged":"1-3+4094","mirror":"a:in+b"}`, `{"mac":"02:00:00:00:00:01","vlan":1,"port":"1"}`,
		`{"ageing_seconds":1e999,"hub":true}`, `null`, `{"tagged":null}`, `{"name":"\ud800"}`, "{", "",
	} {
		f.Add(uint8(i), body)
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		r := changes[int(which)%len(changes)]
		req := httptest.NewRequest(r.Method, strings.ReplaceAll(r.Path, "{port}", "1"), strings.NewReader(body))
		rec := httptest.NewRecorder()
		server.ServeHTTP(rec, req.WithContext(mgmt.AsAdmin(req.Context())))
		if rec.Code >= 500 {
			t.Fatalf("%s %s %q: %d %s", r.Method, r.Path, body, rec.Code, rec.Body)
		}
		if rec.Code >= 300 {
			failed(t, rec.Code, rec.Body.String(), decode[api.Failure](t, rec.Body.String()).Error.Code)
		}
		rec = httptest.NewRecorder()
		server.ServeHTTP(rec, httptest.NewRequest("GET", "/v1/info", nil))
		if rec.Code != http.StatusOK {
			t.Fatalf("afterwards: %d %s", rec.Code, rec.Body)
		}
	})
}
