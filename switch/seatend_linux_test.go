package vswitch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

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
