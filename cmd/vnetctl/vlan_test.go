package main

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/switch/frame"
)

// A trunk, access ports and all ways to say it, with the mistakes.
func TestVLANVerbs(t *testing.T) {
	s := busySwitch(t)
	s.Plug()
	transcript(t, s, "vlan",
		"vlan",
		"vlan set port1 10",
		"vlan set port2 access 20 tagged 30,31-33",
		"vlan",
		"vlan show 20 31 4000",
		"vlan show 20 --json",
		"vlan show -o name",
		"vlan show -o wide --no-headers",
		"vlan add 40+41 port1 port2",
		"vlan add 40 port1",
		"vlan add 9-11 port1", // 10 is its own already
		"vlan del 9+11 port1",
		"vlan add 50 port1 port2 --untagged",
		"vlan del 41+30-32 port1 port2",
		"vlan del 20 port3",
		"vlan add 7 port3",
		"vlan set port3 trunk 1-9 untagged 2",
		"vlan set port3 transparent",
		"vlan",
		"vlan add 7 port3 port2",
		"vlan set port3 trunk",
		"vlan set port3 trunk untagged=3 --json",
		"vlan set port3 pvid=4 tagged=none",
		"vlan set port3 tagged all pvid 4 transparent off",
		"vlan show",
		"vlan set port3 trunk 10+20 untagged none",
		"vlan set port2 native=tagged",
		"vlan",
		"vlan del 20 port3",
		"vlan add 4+30 port3",
		"vlan add 7 port3 --untagged",
		"vlan set port3 native none",
		"vlan set port3 untagged 8",
		"vlan set port2 10 --json",
		// Mistakes.
		"vlan set port3 native", "vlan set port3 native=both",
		"vlan set port3", "vlan set port3 acess 10", "vlan set port3 access", "vlan set port3 access x", "vlan set port3 tagged=9-3",
		"vlan set port3 transparent maybe", "vlan set port33 10", "vlan set port3 5000", "vlan shw", "vlan show x", "vlan show 5000",
		"vlan add 20", "vlan add x port1", "vlan add 20 port11", "vlan add 20-30 port1 --untagged", "vlan del 50 port1", "vlan -o wied",
		"vlan show 10 --josn")
}

// One port that cannot be changed keeps all from being changed, and the switch
// sees one change.
func TestVLANAtOnce(t *testing.T) {
	s := busySwitch(t)
	vnetctl(t, s, "vlan", "set", "port2", "transparent")
	seq := s.Info().EventSeq
	if _, stderr, code := vnetctl(t, s, "vlan", "add", "9", "port1", "port2"); code != 1 || !strings.Contains(stderr, "transparent") || s.Info().EventSeq != seq {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestVLANRows(t *testing.T) {
	for _, tc := range []struct {
		name  string
		ports []api.Port
		want  []string
	}{
		{"nobody", nil, nil},
		{"plain", []api.Port{{Name: "a", PVID: 1, Tagged: "none"}}, []string{"1 [a] []"}},
		{"trunk", []api.Port{{Name: "a", PVID: 1, Tagged: "all"}}, []string{"1 [a] []", "2-4094 [] [a] others"}},
		{"a trunk is tagged in another's VLAN", []api.Port{{Name: "a", PVID: 1, Tagged: "all"}, {Name: "b", PVID: 5, Tagged: "none"}}, []string{"1 [a] []", "5 [b] [a]", "2-4+6-4094 [] [a] others"}},
		{"neighbours join", []api.Port{{Name: "a", PVID: 1, Tagged: "3-5+7"}, {Name: "b", PVID: 1, Tagged: "5-7"}}, []string{"1 [a b] []", "3-4 [] [a]", "5 [] [a b]", "6 [] [b]", "7 [] [a b]"}},
		{"its own VLAN among the tagged", []api.Port{{Name: "a", PVID: 2, Tagged: "2-3"}}, []string{"2 [a] []", "3 [] [a]"}},
		{"transparent", []api.Port{{Name: "a", PVID: 2, Tagged: "all", Transparent: true}}, []string{"2 [a] []"}},
		{"no native VLAN", []api.Port{{Name: "a", PVID: 2, Tagged: "3-4", Native: "none"}, {Name: "b", PVID: 5, Native: "none", Tagged: "all"}}, []string{"3-4 [] [a b]", "1-2+5-4094 [] [b] others"}},
		{"native VLAN with its tag", []api.Port{{Name: "a", PVID: 2, Tagged: "3", Native: "tagged"}}, []string{"2-3 [] [a]"}},
		{"transparent without a native VLAN", []api.Port{{Name: "a", PVID: 2, Tagged: "3", Native: "none", Transparent: true}}, []string{"2 [a] []"}},
		{"mirror", []api.Port{{Name: "a", PVID: 2, Tagged: "all", Mirror: "all:both"}}, nil},
		{"every VLAN is named", []api.Port{{Name: "a", PVID: 1, Tagged: "all"}, {Name: "b", PVID: 1, Tagged: "2-4094"}}, []string{"1 [a b] []", "2-4094 [] [a b]"}},
	} {
		rows, err := vlanRows(tc.ports)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			text := r.VLANs + " [" + strings.Join(r.Untagged, " ") + "] [" + strings.Join(r.Tagged, " ") + "]"
			if r.Others {
				text += " others"
			}
			got = append(got, text)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// The rows are what the data path does: every frame goes where they say.
func TestVLANRowsAreTrue(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	from := s.Plug()
	var others []*mgmttest.Guest
	for range 3 {
		others = append(others, s.Plug())
	}
	vnetctl(t, s, "vlan", "set", "port2", "trunk", "10+20")
	vnetctl(t, s, "vlan", "set", "port3", "20")
	for _, vid := range []int{1, 10, 20, 30} {
		vnetctl(t, s, "vlan", "set", "port1", "access", strconv.Itoa(vid))
		ports, err := listPorts(t, s)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := vlanRows(ports)
		if err != nil {
			t.Fatal(err)
		}
		rows = selectVLANs(rows, vidSet(vid))
		want := slices.Concat(rows[0].Untagged, rows[0].Tagged)
		before := txOf(t, s)
		from.Send(1, 0xff, 60)
		mgmttest.Until(t, "the frame has arrived", func() bool { return sumOf(txOf(t, s))-sumOf(before) >= len(want)-1 })
		for i, p := range ports[1:] {
			got := txOf(t, s)[i+1] > before[i+1]
			if got != slices.Contains(want, p.Name) {
				t.Errorf("VLAN %d: %s got it: %t; rows say %v", vid, p.Name, got, want)
			}
			if got {
				n := 60
				if slices.Contains(rows[0].Tagged, p.Name) {
					n = 64
				}
				if b := others[i].Receive(); len(b) != n {
					t.Errorf("VLAN %d: %s got %d bytes, want %d", vid, p.Name, len(b), n)
				}
			}
		}
	}
}

func vidSet(v int) (set frame.VIDSet) {
	set.Add(frame.VID(v))
	return set
}

func sumOf(n []int) (total int) {
	for _, v := range n {
		total += v
	}
	return total
}

func txOf(t *testing.T, s *mgmttest.Switch) (n []int) {
	t.Helper()
	for _, p := range s.Ports() {
		n = append(n, int(p.Tx.Frames))
	}
	return n
}

func TestMirrorVerbs(t *testing.T) {
	s := busySwitch(t)
	s.Plug()
	transcript(t, s, "mirror",
		"mirror",
		"mirror show --json",
		"mirror set port3 port1:in port2",
		"mirror",
		"mirror set port3 port1:in,2:out nosuch --later",
		"mirror show -o wide",
		"mirror show -o name",
		"mirror show --json",
		"vlan",
		"mirror set port3 all",
		"mirror --no-headers",
		"mirror clear port3",
		"mirror clear port3",
		"mirror set port3 port11", "mirror set port3 port1:sideways", "mirror set port33 port1", "port set port3 mirror=nosuch", "mirror set port3", "mirror clear", "mirror clear port33", "mirror sho")
}
