package vswitch

import (
	"testing"
	"time"
)

// Who hears from a station that has just plugged in can answer at once: the
// station is not heard before it can be reached.
func TestNewPortIsReachableWhenItIsHeard(t *testing.T) {
	l := newLab(t, Options{Workers: 1, Spin: time.Millisecond})
	door := l.door("")
	a := l.plugInto(door, 0)
	l.introduce(a)
	for i := range 300 {
		b := l.pipes.Plug(t, door)
		addr := mac(1000 + i)
		hello, answer := eth(a.mac, addr), eth(addr, a.mac)
		b.Send(hello)
		a.Expect(hello)
		a.Station.Send(answer)
		b.Expect(answer)
	}
	if d := l.port(a.ref).Drops; d[DropReceiverDown] != 0 {
		t.Errorf("%d answers were dropped", d[DropReceiverDown])
	}
}
