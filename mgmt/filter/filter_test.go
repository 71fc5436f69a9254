package filter_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"vnetkit/mgmt/filter"
	"vnetkit/switch/frame"
)

var update = flag.Bool("update", false, "write the golden file anew")

// What tcpdump does not do, or does differently.
func TestFilterSelects(t *testing.T) {
	frames := untagged()
	for _, c := range []struct {
		text string
		want []int
	}{
		{"tcp port 80", []int{5, 6, 15, 20}},           // 20: behind a hop-by-hop and a routing header
		{"udp port 53", []int{8, 9, 10, 16, 18}},       // 10, 18: first fragments; 11, 19: the others
		{"udp", []int{8, 9, 10, 11, 16, 18, 19}},       // all fragments
		{"port 4000-6000", []int{7, 8, 10, 16, 18}},    // a range without the word portrange
		{"sctp", []int{13}},                            //
		{"proto 17", []int{8, 9, 10, 11, 16, 18, 19}},  //
		{"proto icmp6", []int{17}},                     //
		{"ip6 proto tcp", []int{15, 20}},               //
		{"proto 44 or proto 0", []int{}},               // extension headers are no protocols
		{"proto 0x59", []int{3}},                       //
		{"arp and not net 10.0.0.0/8", []int{2}},       //
		{"multicast and not broadcast", []int{3, 4}},   //
		{"ether proto ip and greater 60", []int{7, 9}}, //
		{"icmp or tcp and port 22", []int{7}},          // from left to right
		{"icmp or (tcp and port 22)", []int{7, 12}},    //
		{"ether src host 52:54:00:00:00:02", []int{}},  //
		{"ether dst 52-54-00-00-00-02 and arp", []int{}},
	} {
		if got := matches(t, c.text, frames); !slices.Equal(got, c.want) {
			t.Errorf("%s selects %v, want %v", c.text, got, c.want)
		}
	}
}

// Up to two tags are looked through, of either kind, and frames that end
// anywhere are read to their end and no further.
func TestFilterTags(t *testing.T) {
	for _, c := range []struct {
		name     string
		tags     []uint32
		vlans    string // of 10, 20 and 0 those that it is in
		findsTCP bool
	}{
		{"none", nil, "", true},
		{"one", []uint32{tag10}, "10", true},
		{"priority in it", []uint32{tag20}, "20", true},
		{"priority only", []uint32{ptag}, "0", true},
		{"service and customer", []uint32{stag10, tag20}, "10 20", true},
		{"two customer tags", []uint32{tag20, tag10}, "10 20", true},
		{"three", []uint32{tag20, tag20, tag10}, "20", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := kinds(c.tags)[4] // TCP from port 1234 to port 80
			for _, vlan := range []string{"10", "20", "0"} {
				want := slices.Contains(strings.Fields(c.vlans), vlan)
				if got := parse(t, "vlan "+vlan).Match(f); got != want {
					t.Errorf("vlan %s: %t", vlan, got)
				}
			}
			if got := parse(t, "vlan").Match(f); got != (c.vlans != "") {
				t.Errorf("vlan: %t", got)
			}
			if got := parse(t, "tcp and src port 1234 and dst host 10.0.0.2").Match(f); got != c.findsTCP {
				t.Errorf("tcp: %t", got)
			}
			whole := parse(t, "dst port 80")
			for n := range len(f) {
				short := slices.Clip(slices.Clone(f[:n])) // reading behind it would panic
				if got, need := whole.Match(short), 14+4*len(c.tags)+20+4; got != (c.findsTCP && n >= need) {
					t.Errorf("cut to %d bytes, port 80: %t", n, got)
				}
			}
		})
	}
}

// Packets that lie about their lengths.
func TestFilterLiars(t *testing.T) {
	edit := func(n int, at int, b ...byte) frame.Frame {
		f := slices.Clone(untagged()[n-1])
		copy(f[at:], b)
		return f
	}
	for _, c := range []struct {
		name  string
		f     frame.Frame
		text  string
		match bool
	}{
		{"padding is no port", edit(5, 16, 0, 20), "port 80", false},
		{"length left to the hardware", edit(5, 16, 0, 0), "port 80", true},
		{"IPv6 length left to the hardware", edit(15, 18, 0, 0), "port 80", true},
		{"longer than the frame", edit(5, 16, 0xff, 0xff), "port 80", true},
		{"header shorter than a header", edit(5, 14, 0x44), "tcp port 80", false},
		{"header longer than the frame", edit(5, 14, 0x4f), "tcp port 80", false},
		{"not IPv4 at all", edit(5, 14, 0x65), "host 10.0.0.1", false},
		{"not IPv6 at all", edit(15, 14, 0x45), "host fd00::1", false},
		{"ARP about something else", edit(1, 16, 0x86, 0xdd), "host 10.0.0.1", false},
		{"extension header longer than the frame", edit(20, 55, 255), "tcp", false},
		{"extension headers without end", append(slices.Clone(untagged()[19][:54]), make([]byte, 400)...), "proto 0", false},
	} {
		if got := parse(t, c.text).Match(c.f); got != c.match {
			t.Errorf("%s: %s matches: %t", c.name, c.text, got)
		}
	}
}

// Every mistake is shown with the place it is at.
func TestFilterErrors(t *testing.T) {
	var b strings.Builder
	for _, text := range []string{
		"", "  ", "tpc", "tcp prot 80", "prot 80", "tcp port", "tcp port http", "port 65536", "port 90-80", "port 1-2-3", "host", "host example.org", "host 10.0.0.256",
		"host 52:54:00:00:00:01", "src 52:54:00:00:00:01", "ether host 10.0.0.1", "ether hots 52:54:00:00:00:01", "ether", "ether proto", "ether proto 5", "ether proto lldp", "ether proto 0xzz",
		"10.0.0.1", "10.0.0.0/8", "52:54:00:00:00:01", "80", "port 80 or 443", "net 10.0.0.1/8", "net 10.0.0.0", "net fd00::1/64", "vlan 4096", "vlan ten",
		"tcp host 10.0.0.1", "tcp src 10.0.0.1", "ip src port 80", "arp host fd00::1", "ip host fd00::1", "ip6 net 10.0.0.0/8", "host fe80::1%eth0", "ip proto 256", "proto tpc",
		"tcp udp", "tcp an udp", "tcp and", "and tcp", "not", "(tcp", "(tcp or (udp)", "tcp)", "()", "tcp & udp", "tcp | udp", "less", "less many", "greater -1",
		"tcp port 80 and\n\x1b[31mred", "höst 1 and 2", strings.Repeat("(", 70) + "tcp", strings.Repeat("not ", 70) + "tcp", "tcp" + strings.Repeat(" or tcp", 600), strings.Repeat("tcp ", 1100),
	} {
		f, err := filter.Parse(text)
		var bad *filter.SyntaxError
		if f != nil || !errors.As(err, &bad) {
			t.Errorf("%q: %v, %v", text, f, err)
			continue
		}
		fmt.Fprintf(&b, "%s\n", err)
		if len(text) < 100 {
			fmt.Fprintf(&b, "%s\n", bad.Caret())
		}
		if bad.Hint != "" {
			fmt.Fprintf(&b, "%s\n", bad.Hint)
		}
		b.WriteByte('\n')
	}
	const golden = "testdata/errors.golden"
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, []byte(b.String()), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs; got:\n%s", golden, &b)
	}
}

const longText = "(tcp port 80 or udp port 53) and (net 10.0.0.0/8 or net fd00::/8) and not ether broadcast and not vlan 20"

func TestFilterAllocatesNothing(t *testing.T) {
	f, frames := parse(t, longText), untagged()
	if n := testing.AllocsPerRun(100, func() {
		for _, fr := range frames {
			f.Match(fr)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, text := range []string{"vlan 10", "tcp port 80", longText} {
		b.Run(text, func(b *testing.B) {
			f, fr := parse(b, text), untagged()[4]
			b.ReportAllocs()
			for b.Loop() {
				f.Match(fr)
			}
		})
	}
}

// FuzzFilter reads any text, and what is a filter then meets any bytes: neither
// may panic, a filter and its opposite disagree, and what cannot be read is
// pointed at.
func FuzzFilter(f *testing.F) {
	frames := append(untagged(), kinds([]uint32{stag10, tag20})...)
	for i, text := range []string{
		longText, "ether host 52:54:00:00:00:01 or ether proto 0x88cc", "vlan 10 && !(less 60)", "ip6 proto 58 and src host fe80::1", "arp host 10.0.0.1",
		"tcp src portrange 1-1024 or sctp", "port 80 or 443", "((tcp)", "not not not icmp6",
	} {
		f.Add(text, []byte(frames[i%len(frames)]))
	}
	for _, fr := range frames {
		f.Add("port 80 or host 10.0.0.1 or net fd00::/8 or arp", []byte(fr))
	}
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		x, err := filter.Parse(text)
		var bad *filter.SyntaxError
		if err != nil {
			if !errors.As(err, &bad) || bad.Pos < 0 || bad.Pos+bad.Len > len(text) || bad.Error() == "" || strings.Count(bad.Caret(), "\n") != 1 {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		fr := frame.Frame(slices.Clip(slices.Clone(data)))
		got := x.Match(fr)
		opposite, err := filter.Parse("not (" + text + ")")
		if errors.As(err, &bad) {
			return // too long or too deep now
		}
		if opposite.Match(fr) == got {
			t.Errorf("%q and its opposite agree on % x", text, data)
		}
	})
}
