package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// A code is the same error before and after its way over the socket, and has
// a status of its own kind and an exit code.
func TestCodes(t *testing.T) {
	seen := map[Code]bool{}
	for _, code := range Codes() {
		if seen[code] {
			t.Errorf("%s is listed twice", code)
		}
		seen[code] = true
		text, err := json.Marshal(Failure{&Error{Code: code, Message: "m", Hint: "h"}})
		if err != nil {
			t.Fatal(err)
		}
		var back Failure
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		wrapped := fmt.Errorf("add port: %w", back.Error)
		if !errors.Is(wrapped, code) || wrapped.Error() != "add port: m" || code.Error() != string(code) {
			t.Errorf("%s came back as %v", code, wrapped)
		}
		if s := code.Status(); s < 400 || s > 599 {
			t.Errorf("%s has status %d", code, s)
		}
		if x := ExitCode(wrapped); x < ExitFailed || x > ExitRolledBack || x == ExitUsage {
			t.Errorf("%s has exit code %d", code, x)
		}
	}
}

func TestExitCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{ErrNoPort, 1},
		{ErrInvalid, 1},
		{&Error{Code: ErrForbidden}, 3},
		{fmt.Errorf("x: %w", ErrUnreachable), 4},
		{ErrBadAnswer, 4},
		{ErrClosed, 4},
		{ErrBusy, 4},
	} {
		if got := ExitCode(tc.err); got != tc.want {
			t.Errorf("ExitCode(%v) = %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"ports", "port", "fdb", "stats", "list", "monitor", "info"}
	for _, tc := range []struct{ word, want string }{
		{"port", "ports"}, // a beginning
		{"prots", "ports"},
		{"fbd", "fdb"},
		{"STATS", "stats"},
		{"mon", "monitor"},
		{"lst", "list"},
		{"infos", "info"},
		{"xyzzy", ""},
		{"x", ""},
		{"", ""},
		{strings.Repeat("ports", 100000), ""},
	} {
		if got := Nearest(tc.word, names); got != tc.want {
			t.Errorf("Nearest(%.20q) = %q, want %q", tc.word, got, tc.want)
		}
	}
	if got := Nearest("ports", nil); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"abc", "abc", 0},
		{"abc", "acb", 1},
		{"abc", "abd", 1},
		{"abc", "ab", 1},
		{"abc", "xabc", 1},
		{"kitten", "sitting", 3},
	} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

// Every field has a JSON name, in snake case, and none is forgotten by a
// change request: what a Port shows and an admin sets can be written back.
func TestFieldNames(t *testing.T) {
	for _, v := range []any{
		Info{}, FDBSize{}, Door{}, SwitchChange{}, Count{}, Port{}, Traffic{}, Peer{}, Ports{}, PortAdd{}, Added{}, PortChange{}, FDBEntry{},
		FDB{}, FDBAdd{}, Removed{}, Stats{}, Totals{}, PortStats{}, Event{}, Route{}, Routes{}, Error{}, Failure{},
	} {
		typ := reflect.TypeOf(v)
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !f.Anonymous && (name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, "- ")) {
				t.Errorf("%v.%s is called %q", typ, f.Name, name)
			}
		}
	}
	port, change := reflect.TypeFor[Port](), reflect.TypeFor[PortChange]()
	for i := range change.NumField() {
		c := change.Field(i)
		p, ok := port.FieldByName(c.Name)
		if !ok || c.Type.Elem() != p.Type || c.Tag.Get("json") != p.Tag.Get("json")+",omitempty" {
			t.Errorf("PortChange.%s does not fit Port", c.Name)
		}
	}
}
