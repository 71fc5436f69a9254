package vswitch

import (
	"slices"
	"testing"

	"vnetkit/switch/fdb"
	"vnetkit/switch/frame"
)

// A worker that was in the middle of a batch learns by the rules that held before.
// That is forgotten, and what the present rules allow is not.
func TestForgetWhatABatchStillLearns(t *testing.T) {
	spoofed := frame.MAC{0x52, 0x54, 9, 9, 9, 9}
	for _, c := range []struct {
		name string
		to   PortChange
		stay []frame.VID // of entries in VLANs 10, 20 and 30
	}{
		{"another VLAN", PortChange{PVID: ptr(frame.VID(20))}, []frame.VID{20, 30}},
		{"no native VLAN", PortChange{Native: ptr(NativeNone)}, []frame.VID{30}},
		{"fewer tagged", PortChange{Tagged: &frame.VIDSet{}}, []frame.VID{10}},
		{"transparent", PortChange{Transparent: ptr(true)}, []frame.VID{10}},
		{"another address", PortChange{Sources: &Sources{mac(7)}}, nil},
		{"down", PortChange{Down: ptr(true)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, Options{})
			s := l.plug("vlan=10,tagged=30")
			release := hold(l)
			l.set(s, c.to)
			for _, vid := range []frame.VID{10, 20, 30} { // as the batch would
				l.sw.fdb.Learn(fdb.MakeKey(vid, spoofed.Uint64()), s.id, l.sw.seconds())
			}
			release()
			l.settle()
			var stay []frame.VID
			for _, e := range l.sw.fdb.Entries(l.sw.seconds()) {
				stay = append(stay, e.VID)
			}
			if !slices.Equal(stay, c.stay) {
				t.Errorf("known in VLANs %v, want %v", stay, c.stay)
			}
		})
	}
	t.Run("removed", func(t *testing.T) {
		l := newLab(t, Options{})
		s, next := l.plug("vlan=10"), l.plug("vlan=10")
		release := hold(l)
		if err := l.sw.Remove(s.ref); err != nil {
			t.Error(err)
		}
		l.sw.fdb.Learn(fdb.MakeKey(10, spoofed.Uint64()), s.id, l.sw.seconds())
		l.sw.fdb.Learn(fdb.MakeKey(10, next.mac.Uint64()), next.id, l.sw.seconds())
		release()
		l.stations = []*station{next}
		l.settle()
		if list := l.sw.fdb.Entries(l.sw.seconds()); len(list) != 1 || list[0].Port != next.id {
			t.Errorf("known: %+v", list)
		}
	})
}

// hold keeps all workers from coming round until it is released.
func hold(l *lab) (release func()) {
	gate := make(chan struct{})
	for _, w := range l.sw.workers {
		held := make(chan struct{})
		w.do(func() { close(held); <-gate })
		<-held
	}
	return func() { close(gate) }
}
