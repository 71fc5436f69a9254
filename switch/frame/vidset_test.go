package frame_test

import (
	"testing"

	"pgregory.net/rapid"

	"vnetkit/switch/frame"
)

func TestParseVIDSet(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "none"},
		{"none", "none"},
		{"all", "all"},
		{"1-4094", "all"},
		{"10", "10"},
		{"4094", "4094"},
		{"10+20+30", "10+20+30"},
		{"30+10+20", "10+20+30"},
		{"10+11+12", "10-12"},
		{"10-12+13-20+40", "10-20+40"},
		{"63-65+127+128", "63-65+127-128"},
		{"7-7", "7"},
	} {
		s, err := frame.ParseVIDSet(c.text)
		if err != nil || s.String() != c.want {
			t.Errorf("ParseVIDSet(%q) = %v, %v, want %s", c.text, s, err, c.want)
		}
	}
	for _, text := range []string{"0", "4095", "4096", "65546", "-1", "1-", "-", "20-10", "10++20", "+10", "10,20", "x", "1-5-9", "0x10", "all+1"} {
		if s, err := frame.ParseVIDSet(text); err == nil {
			t.Errorf("ParseVIDSet(%q) = %v, want an error", text, s)
		} else if !s.Empty() {
			t.Errorf("ParseVIDSet(%q) failed and returned %v", text, s)
		}
	}
}

// Against a map, and there and back as text.
func TestVIDSetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s frame.VIDSet
		model := map[frame.VID]bool{}
		for _, v := range rapid.SliceOf(rapid.Uint16Range(1, 4094)).Draw(t, "members") {
			s.Add(frame.VID(v))
			model[frame.VID(v)] = true
		}
		for v := frame.VID(0); v < 4096; v++ {
			if s.Has(v) != model[v] {
				t.Fatalf("has %d: %t, want %t", v, s.Has(v), model[v])
			}
		}
		if s.Empty() != (len(model) == 0) {
			t.Fatalf("empty: %t with %d members", s.Empty(), len(model))
		}
		back, err := frame.ParseVIDSet(s.String())
		if err != nil || back != s {
			t.Fatalf("%s read back as %v, %v", s, back, err)
		}
	})
}

func TestAllVIDs(t *testing.T) {
	all := frame.AllVIDs()
	for v, want := range map[frame.VID]bool{0: false, 1: true, 2048: true, 4094: true, 4095: false} {
		if all.Has(v) != want || v.Valid() != want {
			t.Errorf("VLAN %d: in the set of all %t, valid %t, want %t", v, all.Has(v), v.Valid(), want)
		}
	}
	if frame.VID(4096).Valid() || frame.VID(0xffff).Valid() {
		t.Error("a VID has 12 bits")
	}
}
