package vswitch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
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

// However a client ends, everything of it goes: by a word too many on ctl, by
// hanging up, by closing its socket (which is seen when it is sent something).
func TestClientEnds(t *testing.T) {
	l := newVDELab(t, Options{})
	other := l.join(anyNumber)
	for name, end := range map[string]func(*client){
		"garbage":     func(c *client) { _, _ = c.wire.Ctl.Write([]byte("garbage")) },
		"second plug": func(c *client) { _, _ = c.wire.Ctl.Write(linktest.VDERequest(3, 0, c.wire.Own, "")) },
		"hangs up":    func(c *client) { _ = c.wire.Ctl.CloseWrite() },
		"no socket":   func(c *client) { _ = unix.Shutdown(c.wire.Data, unix.SHUT_RDWR); other.Send(hello(9)) },
		"moved away": func(c *client) {
			elsewhere := linktest.NewVDEClient(t, filepath.Join(l.dir, "ctl"))
			t.Cleanup(func() { _ = elsewhere.Close() })
			if err := unix.Connect(c.wire.Data, &unix.SockaddrUnix{Name: elsewhere.Own}); err != nil {
				t.Error(err)
			}
			other.Send(hello(9))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := l.join(2)
			c.Send(hello(2))
			other.Expect(hello(2))
			end(c)
			l.awaitEndpoints("2", -1)
			if _, err := os.Lstat(c.wire.Path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its socket is left: %v", err)
			}
			if list, err := l.sw.FDB(FDBFilter{MAC: ptr(mac(2))}); err != nil || len(list) > 0 {
				t.Errorf("its address is still known: %v, %v", list, err)
			}
		})
	}
}

// The answer comes when the port is before the data path: who hears from a
// client that has just plugged in can answer at once.
func TestVDEClientIsReachableWhenItIsHeard(t *testing.T) {
	l := newVDELab(t, Options{Workers: 2, Spin: time.Millisecond})
	a := l.join(anyNumber)
	a.Send(hello(1))
	l.waitFor("a is known", func() bool { return l.port("1").Rx.Frames == 1 })
	for i := range 200 {
		b := l.join(anyNumber)
		b.Send(eth(mac(1), mac(1000+i)))
		a.Expect(eth(mac(1), mac(1000+i)))
		a.Send(eth(mac(1000+i), mac(1)))
		b.Expect(eth(mac(1000+i), mac(1)))
		b.Close()
	}
}

// What a client has sent is delivered, waits, or is counted as dropped: to the
// frame.
func TestVDEOverloadIsCounted(t *testing.T) {
	l := newVDELab(t, Options{})
	from, to := l.join(anyNumber), l.join(anyNumber)
	to.Send(hello(2))
	from.Expect(hello(2))
	const count = 30_000
	f := ethLen(1514, mac(2), mac(1))
	for range count {
		from.Send(f)
	}
	l.waitFor("all is read", func() bool { return l.port("1").Rx.Frames == count })
	got := 0
	for {
		p := l.port("2")
		if uint64(got) == p.Tx.Frames && p.Queue == 0 {
			if lost := p.Drops[DropRingFull]; lost == 0 || uint64(got)+lost != count {
				t.Errorf("%d frames were sent, %d received, %d counted as dropped", count, got, lost)
			}
			break
		}
		to.Expect(f)
		got++
	}
	if got < 1024 {
		t.Errorf("only %d frames were kept", got)
	}
}

// claimant is a Link that claims a port, for clients of other users.
type claimant struct {
	link.Link
	claim link.Claim
	got   chan int // has room for Welcome and Close
}

const refused = -1

func (c *claimant) Claim() link.Claim    { return c.claim }
func (c *claimant) Welcome(id int) error { c.got <- id; return nil }
func (c *claimant) Peer() link.Peer      { return link.Peer{UID: c.claim.UID} }
func (c *claimant) Close() error         { c.got <- refused; return c.Link.Close() }

// claims is a door that hands out what is put into it.
type claims struct{ links chan link.Link }

func (c claims) Accept(ctx context.Context) (link.Link, error) {
	select {
	case l := <-c.links:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func (c claims) Listening() bool { return true }
func (c claims) String() string  { return "claims:" }
func (c claims) Close() error    { return nil }
func (c claims) FrontDoor() bool { return true }

func (c claims) kind() link.Kind {
	return link.Kind{Name: "vde", Open: func(_ context.Context, s link.Spec, _ link.Options) (link.Source, error) {
		if s.Addr == "" {
			return link.Vacancy("vde:"), nil
		}
		return c, nil
	}}
}

// A port can be for a user or a group, and one that a user has is nobody else's.
func TestSeatUsers(t *testing.T) {
	c := claims{make(chan link.Link)}
	l := newLab(t, Options{Kinds: []link.Kind{c.kind()}})
	for _, spec := range []string{"vde:door", "vde:,id=1,allowuser=1001", "vde:,id=2,allowgroup=50", "vde:,id=3,allowuser=1001,allowgroup=50"} {
		if _, err := l.sw.Add(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	try := func(number, uid int, gids ...int) (id int, ok bool) {
		p, s := linktest.Pipe(t)
		k := &claimant{p, link.Claim{Port: number, UID: uid, GIDs: gids}, make(chan int, 2)}
		c.links <- k
		id = <-k.got
		if id != refused {
			t.Cleanup(s.Close)
		}
		return id, id != refused
	}
	for _, tt := range []struct {
		number, uid int
		gids        []int
		ok          bool
	}{
		{1, 1002, []int{50}, false},
		{1, 1001, nil, true},
		{1, 1001, nil, true},        // again: another endpoint
		{1, 0, nil, false},          // root may, but 1001 has it
		{2, 1001, []int{49}, false}, //
		{2, 1001, []int{49, 50}, true},
		{2, 1002, []int{50}, false}, // may, but 1001 has it
		{3, 1002, []int{50}, true},
		{4, 1002, nil, true},
		{4, 1001, nil, false},
	} {
		if id, ok := try(tt.number, tt.uid, tt.gids...); ok != tt.ok || ok && id != tt.number {
			t.Errorf("uid %d of %v asks for %d: got %d, %t; want %t", tt.uid, tt.gids, tt.number, id, ok, tt.ok)
		}
	}
	if id, ok := try(link.AnyPort, 1003); !ok || id != 5 {
		t.Errorf("who asks for none gets %d, %t", id, ok)
	}
	l.set(&station{ref: "3"}, PortChange{User: ptr(Anybody), Group: ptr(Anybody), Pool: ptr(true)})
	if p := l.port("3"); p.Config.User != nil || p.Config.Group != nil {
		t.Errorf("port 3 is still for %v and %v", p.Config.User, p.Config.Group)
	}
}

func TestParseAccounts(t *testing.T) {
	for text, want := range map[string]int{"root": 0, "0": 0, "4711": 4711} {
		if id, err := ParseUser(text); err != nil || *id != want {
			t.Errorf("user %q is %v, %v", text, id, err)
		}
	}
	for _, parse := range []func(string) (*int, error){ParseUser, ParseGroup} {
		if id, err := parse("any"); id != nil || err != nil {
			t.Errorf("any is %v, %v", id, err)
		}
		for _, bad := range []string{"", "-1", "no-such-name", "4294967296", "1.5"} {
			if id, err := parse(bad); err == nil {
				t.Errorf("%q is %v", bad, *id)
			}
		}
	}
}
