package vswitch

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/switch/link"
	sockets "vnetkit/switch/plug"
)

// cableLab is a switch whose ports are cables on sockets, which lead nowhere.
func cableLab(t *testing.T, opt Options) *Switch {
	t.Helper()
	opt.Kinds = []link.Kind{sockets.VDE(), sockets.Stream(), sockets.Mcast(), sockets.Dgram()}
	return newLab(t, opt).sw
}

// The same cable twice is a loop, however it is written.
func TestSameCableTwiceIsRefused(t *testing.T) {
	dir := cableDir(t)
	t.Chdir(dir)
	for _, c := range []struct {
		name, first, second string
		refused             bool
	}{
		{"a switch", "vde:" + dir, "vde:" + dir, true},
		{"another name and VLAN", "vde:" + dir + ",name=a", "vde:" + dir + ",name=b,vlan=10", true},
		{"keys in another order", "vde:" + dir + ",port=3,descr=x", "vde:" + dir + ",descr=x,port=3", true},
		{"a relative path", "vde:" + dir + "/a", "vde:a", true},
		{"what it is called there", "vde:" + dir, "vde:" + dir + ",descr=second", true},
		{"another mode", "vde:" + dir, "vde:" + dir + ",mode=0666", true},
		{"other numbers there", "vde:" + dir, "vde:" + dir + ",port=3", false},
		{"how far a group's frames go", "mcast:239.192.0.1:5000,if=lo", "mcast:239.192.0.1:5000,if=lo,ttl=3", true},
		{"a group", "mcast:239.192.0.1:5000,if=lo", "mcast:239.192.0.1:5000,if=lo", true},
		{"a stream", "stream:unix:" + dir + "/a,connect=on", "stream:unix:" + dir + "/a,connect=on", true},
		{"two switches", "vde:" + dir + "/a", "vde:" + dir + "/b", false},
		{"two ports of a switch", "vde:" + dir + ",port=3", "vde:" + dir + ",port=4", false},
		{"two groups", "mcast:239.192.0.1:5000,if=lo", "mcast:239.192.0.2:5000,if=lo", false},
		{"seats", "vde:,id=5", "vde:,id=6", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sw := cableLab(t, Options{})
			if _, err := sw.Add(t.Context(), c.first); err != nil {
				t.Fatal(err)
			}
			_, err := sw.Add(t.Context(), c.second)
			if errors.Is(err, ErrLoop) != c.refused || !c.refused && err != nil {
				t.Fatalf("second: %v", err)
			}
			if c.refused && len(sw.Ports()) != 1 {
				t.Errorf("ports %+v are left", sw.Ports())
			}
		})
	}
}

// Two cables are what a spanning tree is for: with one they may be there, and it
// may not go while they are. One of them can take the other's place.
func TestTwoCablesWithSpanningTree(t *testing.T) {
	dir := cableDir(t)
	sw := cableLab(t, Options{STP: STPConfig{Mode: STPRapid}})
	for _, name := range []string{"a", "b"} {
		if _, err := sw.Add(t.Context(), "vde:"+dir+",name="+name); err != nil {
			t.Fatal(err)
		}
	}
	off := Change{STP: &STPChange{Mode: ptr(STPOff)}}
	if err := sw.Set(off); !errors.Is(err, ErrLoop) || !strings.Contains(err.Error(), "port a ") || !strings.Contains(err.Error(), "port b ") {
		t.Errorf("spanning tree off: %v", err)
	}
	if mode := sw.SpanningTree().Config.Mode; mode != STPRapid {
		t.Errorf("the mode is %q now", mode)
	}
	again := "vde:" + dir + ",name=c"
	ops := []Op{{Remove: ptr("a")}, {Remove: ptr("b")}, {Add: &again}, {Set: &off}}
	if _, err := sw.Apply(t.Context(), ops); err != nil {
		t.Errorf("one for two, and no spanning tree: %v", err)
	}
	two := "vde:" + dir + ",name=d"
	on := Change{STP: &STPChange{Mode: ptr(STPRapid)}}
	if _, err := sw.Apply(t.Context(), []Op{{Add: &two}}); !errors.Is(err, ErrLoop) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := sw.Apply(t.Context(), []Op{{Add: &two}, {Set: &on}}); err != nil {
		t.Errorf("a second one, and a spanning tree: %v", err)
	}
}

// A cable to a door of this very switch is a loop, whichever is there first.
func TestCableBackIsRefused(t *testing.T) {
	dir := cableDir(t)
	for _, c := range []struct{ door, cable string }{
		{"stream:unix:" + dir + "/s", "stream:unix:" + dir + "/../" + filepath.Base(dir) + "/s,connect=on"},
		{"vde:" + dir + ",listen=on", "vde:" + dir + ",port=4"},
		{"stream:tcp:127.0.0.1:47113", "stream:tcp:127.0.0.1:47113,connect=on"},
	} {
		for _, order := range [][2]string{{c.door, c.cable}, {c.cable, c.door}} {
			sw := cableLab(t, Options{})
			if _, err := sw.Add(t.Context(), order[0]); err != nil {
				t.Fatal(err)
			}
			_, err := sw.Add(t.Context(), order[1])
			if !errors.Is(err, ErrLoop) || !strings.Contains(err.Error(), "back into this switch") {
				t.Errorf("%v: %v", order, err)
			}
			if in := sw.Info(); in.Ports+len(in.Doors) != 1 {
				t.Errorf("%v: %+v is left", order, in)
			}
			if err := sw.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	sw := cableLab(t, Options{STP: STPConfig{Mode: STPRapid}})
	for _, spec := range []string{"stream:unix:" + dir + "/s", "stream:unix:" + dir + "/s,connect=on"} {
		if _, err := sw.Add(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	if err := sw.Set(Change{STP: &STPChange{Mode: ptr(STPOff)}}); !errors.Is(err, ErrLoop) {
		t.Errorf("spanning tree off: %v", err)
	}
}
