package link_test

import (
	"reflect"
	"strings"
	"testing"

	"vnetkit/switch/link"
)

func TestParseSpec(t *testing.T) {
	opts := func(kv ...string) (list []link.Opt) {
		for i := 0; i < len(kv); i += 2 {
			list = append(list, link.Opt{Key: kv[i], Value: kv[i+1]})
		}
		return list
	}
	for _, c := range []struct {
		text string
		want link.Spec
	}{
		{"stream:unix:/run/a", link.Spec{Kind: "stream", Addr: "unix:/run/a"}},
		{"stream:unix:/run/a,connect=on", link.Spec{Kind: "stream", Addr: "unix:/run/a", Opts: opts("connect", "on")}},
		{"stream:tcp:[::1]:5558,id=3,name=up", link.Spec{Kind: "stream", Addr: "tcp:[::1]:5558", Opts: opts("id", "3", "name", "up")}},
		{"tap:", link.Spec{Kind: "tap"}},
		{"a:b,,c,k=v,,w", link.Spec{Kind: "a", Addr: "b,c", Opts: opts("k", "v,w")}},
		{"a:b,,,k=v", link.Spec{Kind: "a", Addr: "b,", Opts: opts("k", "v")}},
		{"a:b,k=", link.Spec{Kind: "a", Addr: "b", Opts: opts("k", "")}},
		{"a:b,k=x=y", link.Spec{Kind: "a", Addr: "b", Opts: opts("k", "x=y")}},
		{"a:b=c", link.Spec{Kind: "a", Addr: "b=c"}},
	} {
		got, err := link.ParseSpec(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("ParseSpec(%q) = %+v, %v, want %+v", c.text, got, err, c.want)
		}
		if back := got.String(); back != c.text {
			t.Errorf("ParseSpec(%q) is written as %q", c.text, back)
		}
	}
	for _, c := range []struct{ text, says string }{
		{"", "want kind:address"},
		{"stream", "want kind:address"},
		{":unix:/a", "want kind:address"},
		{"a:b,c", "not key=value"},
		{"a:b,", "not key=value"},
		{"a:b,=v", "not key=value"},
		{"a:b,k=1,k=2", "given twice"},
		{"a:b\x00c", "NUL"},
	} {
		if got, err := link.ParseSpec(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("ParseSpec(%q) = %+v, %v, want an error that says %q", c.text, got, err, c.says)
		}
	}
}

func TestSpecTake(t *testing.T) {
	spec, err := link.ParseSpec("a:b,x=1,y=on,z=maybe")
	if err != nil {
		t.Fatal(err)
	}
	whole := spec
	if v, ok := spec.Take("x"); v != "1" || !ok {
		t.Errorf("Take(x) = %q, %t", v, ok)
	}
	if v, ok := spec.Take("x"); v != "" || ok {
		t.Errorf("Take(x) again = %q, %t", v, ok)
	}
	if on, err := spec.TakeSwitch("y", false); !on || err != nil {
		t.Errorf("TakeSwitch(y) = %t, %v", on, err)
	}
	if on, err := spec.TakeSwitch("y", true); !on || err != nil {
		t.Errorf("TakeSwitch of a key that is not there = %t, %v, want its default", on, err)
	}
	if err := spec.Done("x", "y"); err == nil || !strings.Contains(err.Error(), `"z"`) || !strings.Contains(err.Error(), "x y") {
		t.Errorf("Done with z left = %v, want an error that names z and lists what is known", err)
	}
	if _, err := spec.TakeSwitch("z", false); err == nil || !strings.Contains(err.Error(), "on or off") {
		t.Errorf("TakeSwitch(z=maybe) = %v", err)
	}
	if err := spec.Done(); err != nil {
		t.Errorf("Done with nothing left = %v", err)
	}
	if whole.String() != "a:b,x=1,y=on,z=maybe" {
		t.Errorf("taking from a copy changed the original: %s", whole)
	}
}

func TestSpecTakeSwitchWords(t *testing.T) {
	for word, want := range map[string]bool{"on": true, "yes": true, "true": true, "1": true, "off": false, "no": false, "false": false, "0": false} {
		spec := link.Spec{Kind: "a", Opts: []link.Opt{{Key: "k", Value: word}}}
		if on, err := spec.TakeSwitch("k", !want); on != want || err != nil {
			t.Errorf("k=%s: %t, %v", word, on, err)
		}
	}
}

// FuzzSpec reads anything; what it accepts reads back the same.
func FuzzSpec(f *testing.F) {
	for _, s := range []string{
		"stream:unix:/run/a,connect=on", "stream:tcp:[::1]:5,id=3", "a:b,,c,k=v,,w", "a:b,,,k=v", "a:,,,,k=,,", "", ":", ",", "a,,b:c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := link.ParseSpec(text)
		if err != nil {
			return
		}
		back, err := link.ParseSpec(spec.String())
		if err != nil || !reflect.DeepEqual(back, spec) {
			t.Errorf("%q is %+v, written %q, read back %+v, %v", text, spec, spec, back, err)
		}
		keys := map[string]bool{}
		for _, o := range spec.Opts {
			if o.Key == "" || keys[o.Key] {
				t.Errorf("%q gave key %q, empty or twice", text, o.Key)
			}
			keys[o.Key] = true
		}
	})
}
