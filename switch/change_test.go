package vswitch

import (
	"errors"
	"testing"

	"vnetkit/switch/frame"
)

// state is all that a change could leave behind.
func (l *lab) state() (ports []PortConfig, doors []DoorInfo, fdb []FDBEntry, info Info) {
	l.t.Helper()
	for _, p := range l.sw.Ports() {
		ports = append(ports, p.Config)
	}
	info = l.sw.Info()
	fdb, err := l.sw.FDB(FDBFilter{})
	if err != nil {
		l.t.Fatal(err)
	}
	return ports, info.Doors, fdb, info
}

// sameState compares what l.state says now with what it said.
func sameState(t *testing.T, l *lab, ports []PortConfig, doors []DoorInfo, fdb []FDBEntry, info Info) {
	t.Helper()
	p, d, f, i := l.state()
	if len(p) != len(ports) || len(d) != len(doors) || len(f) != len(fdb) {
		t.Fatalf("%d ports, %d doors, %d addresses; want %d, %d, %d", len(p), len(d), len(f), len(ports), len(doors), len(fdb))
	}
	for n := range p {
		if describe(p[n]) != describe(ports[n]) || p[n].Name != ports[n].Name || p[n].ID != ports[n].ID {
			t.Errorf("port is %+v, want %+v", p[n], ports[n])
		}
	}
	if i.Hub != info.Hub || i.Ageing != info.Ageing || i.EventSeq != info.EventSeq {
		t.Errorf("switch is %+v, want %+v", i, info)
	}
}

func TestApplyAllOrNone(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("name=a"), l.plug("name=b")
	door := l.door("vlan=3")
	l.introduce(a, b)
	top := l.sw.top.Load()
	ports, doors, fdb, info := l.state()
	good := []Op{
		{FlushFDB: &FDBFilter{}},
		{SetPort: &SetPortOp{"a", PortChange{Name: ptr("c"), PVID: ptr(frame.VID(7)), Tagged: &frame.VIDSet{}}}},
		{SetPort: &SetPortOp{"b", PortChange{Name: ptr("a")}}}, // free only because of the one before
		{Add: ptr("pipe:new,single=on,name=b")},
		{Add: ptr("pipe:other,id=9")},
		{Remove: ptr("9")},
		{Remove: ptr("pipe:" + door + ",vlan=3")},
		{AddFDB: &FDBOp{7, mac(99), "c"}},
		{Set: &Change{Hub: ptr(true)}},
	}
	for _, bad := range []Op{
		{SetPort: &SetPortOp{"nobody", PortChange{}}},
		{SetPort: &SetPortOp{"c", PortChange{MTU: ptr(1)}}},
		{Add: ptr("pipe:third,single=on,name=c")},
		{Add: ptr("nokind:x")},
		{Remove: ptr("nobody")},
		{AddFDB: &FDBOp{0, mac(1), "c"}},
		{},
	} {
		_, err := l.sw.Apply(t.Context(), append(good[:len(good):len(good)], bad))
		var op *OpError
		if !errors.As(err, &op) || op.Index != len(good) {
			t.Fatalf("%+v: error is %v, want one about operation %d", bad, err, len(good))
		}
		sameState(t, l, ports, doors, fdb, info)
		if l.sw.top.Load() != top {
			t.Error("the data path has a new topology")
		}
	}
	l.expectSame(a, eth(b.mac, a.mac), b)

	results, err := l.sw.Apply(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if results[0].Flushed != 2 || results[3].Added.Port.Config.Name != "b" || results[1].Port.Config.PVID != 7 {
		t.Errorf("results are %+v", results)
	}
	if p := l.port("c"); p.Config.ID != a.id || p.Config.PVID != 7 {
		t.Errorf("port c is %+v", p)
	}
	if p := l.port("a"); p.Config.ID != b.id {
		t.Errorf("port a is %+v", p)
	}
	if i := l.sw.Info(); !i.Hub || len(i.Doors) != 0 || i.Ports != 3 {
		t.Errorf("switch is %+v", i)
	}
}

// Static addresses that do not all have room are not added at all, also when it
// is the change's own addresses that take each other's places.
func TestApplyFillsForwardingTable(t *testing.T) {
	l := newLab(t, Options{FDBSize: 8})
	a := l.plug("name=a")
	var ops []Op
	for n := range 100 { // more than four times eight places
		ops = append(ops, Op{AddFDB: &FDBOp{1, mac(100 + n), "a"}})
	}
	_, err := l.sw.Apply(t.Context(), ops)
	var op *OpError
	if !errors.As(err, &op) || !errors.Is(err, ErrFull) || op.Index < 8 {
		t.Fatalf("error is %v, want one about a full table", err)
	}
	if list, _ := l.sw.FDB(FDBFilter{}); len(list) != 0 {
		t.Errorf("%d addresses were added", len(list))
	}
	fit := append(ops[:op.Index:op.Index], ops[0]) // one twice takes one place
	if _, err := l.sw.Apply(t.Context(), fit); err != nil {
		t.Fatal(err)
	}
	if list, _ := l.sw.FDB(FDBFilter{Port: a.ref}); len(list) != op.Index {
		t.Errorf("%d addresses were added, want %d", len(list), op.Index)
	}
	if _, err := l.sw.Apply(t.Context(), ops[op.Index:op.Index+1]); !errors.Is(err, ErrFull) {
		t.Errorf("error is %v, want one about a full table", err)
	}
}

// A door whose ports are to have other settings stays open all the time.
func TestApplyResetsDoor(t *testing.T) {
	l := newLab(t, Options{})
	door := l.door("vlan=3")
	before := l.plugInto(door, 0)
	spec := "pipe:" + door + ",vlan="
	if _, err := l.sw.Apply(t.Context(), []Op{{Remove: ptr(spec + "3")}, {Add: ptr(spec + "4")}}); err != nil {
		t.Fatal(err)
	}
	after := l.plugInto(door, 0)
	if p := l.port(before.ref); p.Config.PVID != 3 || p.State != StateUp {
		t.Errorf("the port of before is %+v", p)
	}
	if p := l.port(after.ref); p.Config.PVID != 4 || p.Door != spec+"4" {
		t.Errorf("the port of after is %+v", p)
	}
	if i := l.sw.Info(); len(i.Doors) != 1 || i.Doors[0].Name != spec+"4" {
		t.Errorf("doors are %+v", i.Doors)
	}
	_, err := l.sw.Apply(t.Context(), []Op{{Remove: ptr(spec + "4")}, {Add: ptr(spec + "5")}, {Remove: ptr("nobody")}})
	if err == nil {
		t.Fatal("removed nobody")
	}
	if p := l.port(l.plugInto(door, 0).ref); p.Config.PVID != 4 {
		t.Errorf("after a change that failed, a new port has VLAN %d", p.Config.PVID)
	}
}

func TestSetDefault(t *testing.T) {
	l := newLab(t, Options{})
	if err := l.sw.Set(Change{Default: &PortConfig{PVID: 12}}); err != nil {
		t.Fatal(err)
	}
	if p := l.port(l.plug("").ref); p.Config.PVID != 12 || !p.Config.Tagged.Empty() {
		t.Errorf("port is %+v", p.Config)
	}
	if err := l.sw.Set(Change{Default: &PortConfig{MTU: 3}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("MTU 3: error is %v", err)
	}
}
