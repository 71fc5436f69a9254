package config

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	vswitch "vnetkit/switch"
)

// client plugs somebody in at the own door so that the port gets a number.
func client(t *testing.T, l *lab, id int) {
	t.Helper()
	var fill []string
	for n := 1; n < id; n++ { // the lowest number that is free is taken
		if _, err := l.Switch.Port(fmt.Sprint(n)); err == nil {
			continue
		}
		name := fmt.Sprintf("filler%d", n)
		if _, err := l.Switch.Add(t.Context(), fmt.Sprintf("stream:unix:%s/%s,connect=on,id=%d,name=%s", l.dir, name, n, name)); err != nil {
			t.Fatal(err)
		}
		fill = append(fill, name)
	}
	plugIn(t, l, l.dir+"/stream")
	if p, err := l.Switch.Port(fmt.Sprint(id)); err != nil || p.Door == "" {
		t.Fatalf("port %d: %+v, %v", id, p, err)
	}
	for _, name := range fill {
		if err := l.Switch.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// plugIn connects to a door and waits until the port is up.
func plugIn(t *testing.T, l *lab, path string) net.Conn {
	t.Helper()
	seq := l.Switch.Info().EventSeq
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		events, err := l.Switch.Events(ctx, seq)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if seq = e.Seq; e.Type == vswitch.EventLinkUp {
				return nc
			}
		}
	}
}

// Clients of doors are no part of the configuration, whatever becomes of the
// door; what is added by hand is.
func TestClientsAreNoPart(t *testing.T) {
	l := newLab(t, base)
	before := Running(l.Switch, l.Started, l.Own).TOML()
	plugIn(t, l, l.dir+"/stream")
	plugIn(t, l, l.dir+"/door")
	if after := Running(l.Switch, l.Started, l.Own).TOML(); after != before {
		t.Errorf("with clients:\n%s", after)
	}
	if _, err := l.Reload(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	l.write("")
	r, err := l.Reload(t.Context(), false)
	if err != nil || r.Removed != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	if n := len(l.Switch.Ports()); n != 2 {
		t.Errorf("%d ports are left, want the two clients", n)
	}
	if _, err := l.Switch.Add(t.Context(), "stream:unix:"+l.dir+"/hand,connect=on"); err != nil {
		t.Fatal(err)
	}
	if r, err = l.Reload(t.Context(), false); err != nil || r.Removed != 1 {
		t.Errorf("added by hand: %+v, %v", r, err)
	}
}
