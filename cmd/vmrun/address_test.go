package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"vnetkit/switch/frame"
)

// The traps: a link-local address, a bridge whose name begins like
// another's, other guests, old leases.
func TestFindAddress(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := sources{
		neighbours: func() (list []neighbour) {
			for _, n := range []struct {
				addr   string
				last   byte
				device string
			}{
				{"192.0.2.1", 0x98, "eth0"}, {"fe80::1", 1, "br1"}, {"fd00::6", 1, "br1"}, {"10.0.0.5", 1, "br10"}, {"10.0.0.6", 1, "br1"},
				{"10.0.0.7", 2, "br1"}, {"fe80::6", 6, "br1"}, {"fe80::7", 7, "br1"}, {"fd00::7", 7, "br1"},
			} {
				list = append(list, neighbour{netip.MustParseAddr(n.addr), frame.MAC{0x52, 0x54, 0, 0, 0, n.last}, n.device})
			}
			return list
		},
		leases: []string{write("leases", "1700000000 52:54:00:00:00:03 10.0.0.53 web 01:52:54:00:00:00:03\n1700000000 52:54:00:00:00:33 10.0.0.54 * *\nx\n")},
		status: []string{write("status", `[{"ip-address":"192.168.122.4","mac-address":"52:54:00:00:00:04"}]`), write("broken", "[{")},
	}
	for _, c := range []struct {
		last         byte
		bridge, want string
	}{
		{1, "br1", "10.0.0.6"}, {1, "br10", "10.0.0.5"}, {1, "", "10.0.0.5"}, {2, "br1", "10.0.0.7"}, {2, "br2", ""},
		{3, "br1", "10.0.0.53"}, {4, "", "192.168.122.4"}, {5, "", ""}, {6, "br1", ""}, {7, "br1", "fd00::7"}, {0x99, "", ""},
	} {
		a, ok := s.find(frame.MAC{0x52, 0x54, 0, 0, 0, c.last}, c.bridge)
		if ok != (c.want != "") || ok && a.String() != c.want {
			t.Errorf("%d on %q: %v, want %q", c.last, c.bridge, a, c.want)
		}
	}
}
