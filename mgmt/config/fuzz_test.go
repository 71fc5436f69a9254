package config

import (
	"os"
	"strings"
	"testing"
)

// FuzzConfig reads anything. What is good must survive being written and read
// again, and being edited; what is not must be told with a place in the file.
func FuzzConfig(f *testing.F) {
	if data, err := os.ReadFile("../../docs/vswitch.toml"); err == nil {
		f.Add(string(data))
	}
	for _, s := range []string{
		"", "hub = true", "[port-default]\nvlan=3", "port = [{spec='stream:unix:/x'}]", "port-default.vlan = 3\n", "[[port]]\nkind=''\naddress=\"\"\n",
		"[[port]]\n\"\" = 1\nspec='a:b'", "[[port]]\nspec='a:b,c=d'\ntagged=[1,\n2 # x\n]", "[[fdb]]\nmac='2:0:0:0:0:1'\nport='a'\n[[port]]\nspec='a:b,name=a'\n",
		"a.b.c = [[1,[2]]]\n[a.b.d]\n", "\xef\xbb\xbfhub=true", "hub=true\r\n[[port]]\r\nspec='x:y'\r\n",
	} {
		f.Add(s)
	}
	other := New("")
	other.Put("ageing", "77s")
	other.Ports = []Port{{Link: mustPort("x:y,name=only").Link, Name: "only", Set: Settings{"vlan": "9"}}}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f", []byte(text), Known{})
		if err == nil {
			err = c.Check()
		}
		if err != nil {
			lines := strings.Count(text, "\n") + 2
			for _, m := range err.(Mistakes) { //nolint:errorlint // nothing else may come
				if m.Line < 1 || m.Line > lines || m.Col < 1 || m.Text == "" {
					t.Errorf("mistake without a place: %+v", m)
				}
			}
			return
		}
		again, err := Parse("g", []byte(c.TOML()), Known{})
		if err == nil {
			err = again.Check()
		}
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, c.TOML())
		}
		if plan := Diff(c, again); !plan.Empty() {
			t.Fatalf("differs:\n%s%s", plan.Text(), c.TOML())
		}
		same, lost, err := Edit("f", []byte(text), c)
		if err != nil || string(same) != text || len(lost) > 0 {
			t.Errorf("an edit without a difference: %v, lost %q,\n%s", err, lost, same)
		}
		if _, _, err := Edit("f", []byte(text), other); err != nil {
			t.Errorf("edit: %v", err)
		}
	})
}

func mustPort(spec string) Port {
	p, err := ParsePort(spec)
	if err != nil {
		panic(err)
	}
	return p
}
