package vswitch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/switch/frame"
	"vnetkit/switch/link/linktest"
	sockets "vnetkit/switch/plug" // plug is a worker's word here
)

// vdeLab is a switch with a VDE door, in a directory of its own.
type vdeLab struct {
	*lab
	dir string
}

func newVDELab(t *testing.T, opt Options) *vdeLab {
	t.Helper()
	dir, err := os.MkdirTemp("", "seat")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	opt.Kinds = append(opt.Kinds, sockets.VDE(), sockets.Stream())
	l := &vdeLab{newLab(t, opt), dir}
	l.add("vde:" + dir + ",listen=on")
	return l
}

func (l *vdeLab) add(spec string) Added {
	l.t.Helper()
	a, err := l.sw.Add(l.t.Context(), spec)
	if err != nil {
		l.t.Fatal(err)
	}
	return a
}

// client is a VDE client and the number of the port that it was given.
type client struct {
	*linktest.Station
	wire *linktest.VDEClient
	port string
}

// any is for clients that ask for no number, one for those that want port 1.
const anyNumber = 0

// join plugs a client in that asks for a port.
func (l *vdeLab) join(number uint32) *client { return l.joinAt("ctl", number<<8) }

func (l *vdeLab) joinAt(door string, typ uint32) *client {
	l.t.Helper()
	w, err := linktest.PlugVDE(l.t, filepath.Join(l.dir, door), typ, "test user=me pid=1")
	if err != nil {
		l.t.Fatalf("plug in at %s for %#x: %v", door, typ, err)
	}
	number, _, _ := strings.Cut(filepath.Base(w.Path), ".")
	port := strings.TrimLeft(number[:len(number)-1], "0") + number[len(number)-1:]
	return &client{linktest.NewStation(l.t, w), w, port}
}

// refuse wants a client to be sent away at once.
func (l *vdeLab) refuse(door string, typ uint32) {
	l.t.Helper()
	if w, err := linktest.PlugVDE(l.t, filepath.Join(l.dir, door), typ, ""); !errors.Is(err, io.EOF) {
		l.t.Errorf("plug in at %s for %#x: %v, %v; want the end", door, typ, w, err)
	}
}

// awaitEndpoints waits until a port has n endpoints, or is no more (-1).
func (l *vdeLab) awaitEndpoints(ref string, n int) {
	l.t.Helper()
	l.waitFor(fmt.Sprintf("port %s has %d endpoints", ref, n), func() bool {
		p, err := l.sw.Port(ref)
		return err == nil && len(p.Endpoints) == n || errors.Is(err, ErrNoPort) && n < 0
	})
}

func (c *client) want(t *testing.T, port string) {
	t.Helper()
	if c.port != port {
		t.Fatalf("the client got port %s (%s), want %s", c.port, c.wire.Path, port)
	}
}

// hello is a broadcast from an address.
func hello(from int) []byte { return eth(frame.Broadcast, mac(from)) }

func TestSeatLowestFreeNumber(t *testing.T) {
	l := newVDELab(t, Options{})
	for _, want := range []string{"1", "2", "3"} {
		l.join(anyNumber).want(t, want)
	}
	l.add("pipe:x,id=4,single=on")
	five := l.join(anyNumber)
	five.want(t, "5")
	five.Close()
	l.awaitEndpoints("5", -1)
	l.join(9).want(t, "9")
	l.join(anyNumber).want(t, "5")
}

// Port 0 is a port as any other, for who asks for it.
func TestSeatPortZero(t *testing.T) {
	l := newVDELab(t, Options{})
	a, zero := l.join(anyNumber), l.joinAt("ctl", 1)
	zero.want(t, "0")
	a.Send(hello(1))
	zero.Expect(hello(1))
	zero.Send(hello(2))
	a.Expect(hello(2))
	a.Send(eth(mac(2), mac(1)))
	zero.Expect(eth(mac(2), mac(1)))
	list, err := l.sw.FDB(FDBFilter{Port: "0"})
	if err != nil || len(list) != 1 || list[0].MAC != mac(2) || list[0].Port != 0 {
		t.Errorf("port 0 has learned %v, %v", list, err)
	}
	if p := l.port("0"); p.Config.ID != 0 || p.Config.Name != "port0" || p.State != StateUp || p.Peer.Description != "test user=me pid=1" {
		t.Errorf("port 0 is %+v", p)
	}
	zero.Close()
	l.awaitEndpoints("0", -1)
}

// What leaves by a port goes to each of its endpoints; what one sends does not
// come back to the others; the port lives as long as one of them.
func TestSeatSeveralEndpoints(t *testing.T) {
	l := newVDELab(t, Options{Workers: 2})
	a, b, c := l.join(5), l.join(5), l.join(anyNumber)
	a.want(t, "5")
	b.want(t, "5")
	l.awaitEndpoints("5", 2)

	c.Send(hello(1))
	a.Expect(hello(1))
	b.Expect(hello(1))
	for i, from := range []*client{a, b} {
		from.Send(hello(10 + i))
		c.Expect(hello(10 + i))
	}
	c.Send(eth(mac(10), mac(1))) // behind port 5: for both
	a.Expect(eth(mac(10), mac(1)))
	b.Expect(eth(mac(10), mac(1)))
	last := linktest.Sentinel()
	c.Send(last) // is next: nothing of b's came to a, nor of a's to b
	a.Expect(last)
	b.Expect(last)

	l.waitFor("port 5 has counted 2 frames in and 6 out", func() bool {
		p := l.port("5")
		return p.Rx.Frames == 2 && p.Tx.Frames == 6 && len(p.Endpoints) == 2
	})
	a.Close() // the first one
	l.awaitEndpoints("5", 1)
	c.Send(hello(2))
	b.Expect(hello(2))
	b.Send(hello(3))
	c.Expect(hello(3))
	if p := l.port("5"); p.State != StateUp || p.Reason != "" || p.Rx.Frames != 3 || p.Peer.UID < 0 {
		t.Errorf("with one endpoint left port 5 is %+v", p)
	}
	again := l.join(5)
	l.awaitEndpoints("5", 2)
	c.Send(hello(4))
	b.Expect(hello(4))
	again.Expect(hello(4))
	l.waitFor("port 5 has counted all", func() bool { return l.port("5").Tx.Frames == 9 })
	b.Close() // a later one
	l.awaitEndpoints("5", 1)
	if n := l.port("5").Tx.Frames; n != 9 {
		t.Errorf("port 5 has forgotten what an endpoint had counted: %d frames, had 9", n)
	}
	again.Close()
	l.awaitEndpoints("5", -1)
}

// A client is refused at once, and nothing is left of it.
func TestSeatRefused(t *testing.T) {
	l := newVDELab(t, Options{MaxPort: 3})
	l.add("pipe:x,id=2,single=on")
	l.refuse("ctl", 2<<8) // not a port of clients
	l.refuse("ctl", 4<<8) // too high
	l.refuse("ctl", 1<<24-1)
	a := l.join(anyNumber)
	l.join(anyNumber).want(t, "3")
	l.refuse("ctl", 0) // none left
	if n := len(l.sw.Ports()); n != 3 {
		t.Errorf("%d ports", n)
	}
	if list, err := filepath.Glob(l.dir + "/[^.]*"); err != nil || len(list) != 3 { // ctl, 001.N, 003.N
		t.Errorf("in the directory: %v, %v", list, err)
	}
	if err := l.sw.Set(Change{MaxPort: ptr(2)}); !errors.Is(err, ErrPortExists) {
		t.Errorf("fewer ports than there are: %v", err)
	}
	if err := l.sw.Set(Change{MaxPort: ptr(0)}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no ports at all: %v", err)
	}
	if err := l.sw.Set(Change{MaxPort: ptr(4)}); err != nil || l.sw.Info().MaxPort != 4 {
		t.Errorf("more ports: %v", err)
	}
	l.join(anyNumber).want(t, "4")
	a.Close()
	l.awaitEndpoints("1", -1)
	l.join(anyNumber).want(t, "1")
}

// An admin can keep a number for clients: with settings, and for whom.
func TestSeatVacancy(t *testing.T) {
	l := newVDELab(t, Options{})
	l.add("vde:,id=1,name=bob,vlan=10")
	l.join(anyNumber).want(t, "2") // it is not for everybody
	bob := l.join(1)
	bob.want(t, "1")
	if p := l.port("bob"); p.State != StateUp || p.Config.PVID != 10 || p.Door != "" {
		t.Errorf("bob's port is %+v", p)
	}
	bob.Close()
	l.awaitEndpoints("1", 0)
	if p := l.port("bob"); p.State != StateWaiting || p.Reason == "" {
		t.Errorf("bob has left, and his port is %+v", p)
	}
	l.set(&station{ref: "bob"}, PortChange{Pool: ptr(true)})
	l.join(anyNumber).want(t, "1") // now it is
	if err := l.sw.Remove("bob"); err != nil {
		t.Fatal(err)
	}
	l.awaitEndpoints("1", -1)
	l.join(anyNumber).want(t, "1")
	if p := l.port("1"); p.Config.PVID != 1 {
		t.Errorf("a new port has inherited VLAN %d", p.Config.PVID)
	}
}

// A port whose settings are to last stays when its client leaves.
func TestSeatKeep(t *testing.T) {
	l := newVDELab(t, Options{})
	c := l.join(6)
	l.set(&station{ref: "6"}, PortChange{PVID: ptr(frame.VID(20)), Keep: ptr(true)})
	c.Close()
	l.awaitEndpoints("6", 0)
	l.join(6).want(t, "6")
	if p := l.port("6"); p.Config.PVID != 20 {
		t.Errorf("it was in VLAN 20, and is in %d", p.Config.PVID)
	}
}

// A port group is a door with ports of its own.
func TestSeatPortGroup(t *testing.T) {
	l := newVDELab(t, Options{Default: PortConfig{PVID: 1}})
	l.add("vde:" + l.dir + ",listen=on,portgroup=lab,vlan=10")
	l.add("vde:" + l.dir + ",listen=on,portgroup=7,id=7")
	l.add("vde:,id=9")
	out, in, in2 := l.join(anyNumber), l.joinAt("lab", 0), l.joinAt("lab", 8<<8)
	if p := l.port(in.port); p.Config.PVID != 10 {
		t.Errorf("the group's port is in VLAN %d", p.Config.PVID)
	}
	in2.want(t, "8")
	in.Send(hello(1))
	in2.Expect(hello(1))
	out.ExpectNone(l.join(anyNumber).Station)
	l.refuse("ctl", 8<<8) // the group's
	l.refuse("lab", 9<<8) // for those at ctl
	l.refuse("ctl", 7<<8)
	l.joinAt("7", 0).want(t, "7")
	l.joinAt("7", 7<<8).want(t, "7")
	l.refuse("7", 6<<8)
	l.join(9).want(t, "9")
}

func TestCloseEndpoint(t *testing.T) {
	l := newVDELab(t, Options{})
	a, b := l.join(5), l.join(5)
	list := l.port("5").Endpoints
	if err := l.sw.CloseEndpoint("5", list[1].ID); err != nil {
		t.Fatal(err)
	}
	b.ExpectEnd()
	l.awaitEndpoints("5", 1)
	if err := l.sw.CloseEndpoint("5", list[1].ID); !errors.Is(err, ErrNoPort) {
		t.Errorf("close it again: %v", err)
	}
	if err := l.sw.Remove("5"); err != nil { // all of it
		t.Fatal(err)
	}
	a.ExpectEnd()
	l.awaitEndpoints("5", -1)
}
