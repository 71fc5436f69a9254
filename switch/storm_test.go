package vswitch

import (
	"testing"
	"time"

	"vnetkit/switch/frame"
)

func TestStormGuard(t *testing.T) {
	l := newLab(t, Options{})
	from := l.plug("storm=broadcast:100")
	to := l.plug("")
	l.introduce(from, to)
	const n = 1000
	var list [][]byte
	for range n {
		list = append(list, eth(frame.Broadcast, from.mac))
	}
	start := time.Now()
	for _, f := range list {
		from.Send(f)
	}
	l.settle()
	took := time.Since(start)
	got := 0
	for _, ok := to.Poll(); ok; _, ok = to.Poll() {
		got++
	}
	// Ten at once, of which introduce took one, and a hundred in each second.
	if most := 11 + int(took.Seconds()*100); got < 9 || got > most {
		t.Errorf("%d of %d broadcasts got through in %v, want 9 to %d", got, n, took, most)
	}
	if d := l.port(from.ref).Drops[DropStorm]; d != uint64(n-got) {
		t.Errorf("%d drops are counted, %d frames are missing", d, n-got)
	}
	for range 50 { // no bound for these
		l.expectSame(from, eth(frame.MAC{1, 0, 0x5e, 0, 0, 1}, from.mac), to)
		l.expectSame(from, eth(mac(99), from.mac), to)
		l.expectSame(from, eth(to.mac, from.mac), to)
	}
	l.set(from, PortChange{Storm: &Storm{}})
	for range 200 {
		l.expectSame(from, eth(frame.Broadcast, from.mac), to)
	}
}

func TestParseStorm(t *testing.T) {
	for _, c := range []struct {
		text string
		want Storm
		out  string
	}{
		{"", Storm{}, "off"},
		{"off", Storm{}, "off"},
		{"1000", Storm{1000, 1000, 1000}, "1000"},
		{"broadcast:5", Storm{Broadcast: 5}, "broadcast:5"},
		{"unknown:7+multicast:6", Storm{0, 6, 7}, "multicast:6+unknown:7"},
		{"100+unknown:7", Storm{100, 100, 7}, "broadcast:100+multicast:100+unknown:7"},
	} {
		got, err := ParseStorm(c.text)
		if err != nil || got != c.want || got.String() != c.out {
			t.Errorf("%q: %+v (%v), %v; want %+v (%s)", c.text, got, got, err, c.want, c.out)
		}
	}
}
