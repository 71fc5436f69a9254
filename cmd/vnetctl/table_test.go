package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
)

func print(t *table, headers, colour bool) string {
	var b bytes.Buffer
	t.print(&b, headers, colour)
	return b.String()
}

// Columns line up, whatever is in them.
func TestTableAligns(t *testing.T) {
	ports := []api.Port{
		{
			ID: 1, Name: "vm1", Kind: "stream", State: "up", PVID: 1, Tagged: "all", MTU: 65535, Since: time.Now(),
			Peer: &api.Peer{PID: 4711, UID: 0, User: "root", Command: "qemu-system-x86"}, Spec: "stream:unix:/run/s",
			Traffic: api.Traffic{Rx: api.Count{Frames: 12345678, Bytes: 987654321012}, Tx: api.Count{Frames: 1, Bytes: 60}, Drops: map[string]uint64{"ring-full": 10, "mtu": 2}, MACs: 3,
				Offload: &api.Offload{Takes: "none", Cut: 3, Segments: 120, Completed: 4567}},
		},
		{
			ID: 1000, Name: "a-long-name-for-a-port", Kind: "stream", State: "waiting", Reason: "connection\nrefused\x1b[31m", PVID: 10, Tagged: "none", MTU: 1500,
			Since: time.Now().Add(-90 * time.Second), Mirror: "vm1:in", Isolated: true, MACLimit: 5,
		},
		{ID: 7, Name: "tcp", Kind: "stream", State: "down", PVID: 4094, Tagged: "10+20-30", Peer: &api.Peer{UID: -1, Address: "192.0.2.1:40000"}, Transparent: false, Since: time.Now()},
		{ID: 8, Name: "Größe", Kind: "stream", State: "up", PVID: 1, Transparent: true, Tagged: "all", Peer: &api.Peer{PID: 12, UID: 1000}, Since: time.Now(),
			Traffic: api.Traffic{Offload: &api.Offload{Takes: "csum,tso4", Merged: 98765}}},
		{ID: 9, Name: "trunk", Kind: "stream", State: "up", PVID: 1, Native: "none", Tagged: "10+20", Since: time.Now()},
		{ID: 10, Name: "ovs", Kind: "stream", State: "up", PVID: 10, Native: "tagged", Tagged: "20", Since: time.Now()},
	}
	compare(t, "ports", print(portTable(ports, false), true, false)+"\n"+print(portTable(ports, true), true, false))
	for line := range strings.Lines(print(portTable(ports, true), true, true)) {
		if strings.Contains(line, "\x1b[31mrefused") {
			t.Errorf("what a peer said reached the terminal: %q", line)
		}
	}
}

func TestTrafficTable(t *testing.T) {
	st := api.Stats{
		Ports: []api.PortStats{
			{ID: 1, Name: "vm1", State: "up", Traffic: api.Traffic{Rx: api.Count{Frames: 1e6, Bytes: 1e9}, Drops: map[string]uint64{"mtu": 3, "ring-full": 1}, Queue: 12,
				Offload: &api.Offload{Takes: "none", Cut: 3, Segments: 120, Completed: 4567}}},
			{ID: 2, Name: "vm2", State: "waiting", Traffic: api.Traffic{Drops: map[string]uint64{"ring-full": 40},
				Offload: &api.Offload{Takes: "csum,tso4", Merged: 98765}}},
			{ID: 3, Name: "idle", State: "up", Traffic: api.Traffic{Offload: &api.Offload{Takes: "csum"}}},
		},
		Totals:  api.Totals{Ports: 2, PortsUp: 1, Rx: api.Count{Frames: 1e6, Bytes: 1e9}, Drops: map[string]uint64{"mtu": 3, "ring-full": 41}, Queue: 12},
		Reasons: map[string]string{"mtu": "too large", "ring-full": "too slow"},
	}
	rates := client.Rates{Totals: client.Rate{RxFrames: 1234.5, RxBits: 8e6}, Ports: map[int]client.Rate{1: {RxFrames: 1234.5, RxBits: 8e6, Drops: 0.4}}}
	compare(t, "stats", print(trafficTable(statsAnswer{Stats: st, Rates: &rates}), true, false)+"\n"+print(offloadTable(st), true, false)+"\n"+print(dropTable(st), true, false))
}

func TestColour(t *testing.T) {
	tab := func() *table {
		return &table{columns: []column{{head: "STATE", paint: paintState}, {head: "N", right: true}}, rows: [][]string{{"up", "1"}, {"waiting", "2"}, {"down", "3"}, {"odd", "4"}}}
	}
	plain, painted := print(tab(), true, false), print(tab(), true, true)
	if strings.Contains(plain, "\x1b") {
		t.Errorf("coloured: %q", plain)
	}
	for _, want := range []string{"\x1b[32mup\x1b[0m       1\n", "\x1b[33mwaiting\x1b[0m  2\n", "\x1b[31mdown\x1b[0m     3\n", "\nodd      4\n"} {
		if !strings.Contains(painted, want) {
			t.Errorf("%q is not in %q", want, painted)
		}
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if wantsColour(file) || wantsColour(&bytes.Buffer{}) {
		t.Error("colour for what is no terminal")
	}
	null, err := os.Open(os.DevNull) // a character device, as terminals are
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if !wantsColour(null) {
		t.Error("no colour for a terminal")
	}
	t.Setenv("NO_COLOR", "1")
	if wantsColour(null) {
		t.Error("NO_COLOR is not heard")
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	if wantsColour(null) {
		t.Error("a dumb terminal has no colours")
	}
}

func TestHuman(t *testing.T) {
	for _, tc := range []struct {
		n    float64
		want string
	}{
		{0, "0"}, {0.4, "0"}, {999, "999"}, {9999, "9999"}, {10000, "10.0k"}, {12345, "12.3k"}, {99949, "99.9k"}, {99950, "100k"}, {999499, "999k"},
		{999500, "1.00M"}, {1234567, "1.23M"}, {9994999, "9.99M"}, {9995000, "10.0M"}, {1e9, "1.00G"}, {1.5e12, "1.50T"}, {1.8446744e19, "18.4E"},
	} {
		if got := human(tc.n); got != tc.want {
			t.Errorf("human(%g) = %s, want %s", tc.n, got, tc.want)
		}
	}
}

func TestAge(t *testing.T) {
	for _, tc := range []struct {
		d    time.Duration
		want string
	}{
		{-time.Second, "0s"}, {0, "0s"}, {59 * time.Second, "59s"}, {time.Minute, "1m0s"}, {61*time.Minute + 5*time.Second, "1h1m"}, {49 * time.Hour, "2d1h"},
	} {
		if got := age(tc.d); got != tc.want {
			t.Errorf("age(%v) = %s, want %s", tc.d, got, tc.want)
		}
	}
}
