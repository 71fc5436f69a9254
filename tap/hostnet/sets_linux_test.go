package hostnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// apply plans and carries out.
func apply(t *testing.T, e *Engine, wish func(*State, *Plan) error) *Plan {
	t.Helper()
	s, err := e.Begin(t.Context())
	must(t, err)
	defer e.End()
	p := NewPlan("test")
	must(t, wish(s, p))
	must(t, e.Apply(context.Background(), s, p))
	return p
}

// A hundred users' sets come and go without a trace.
func TestHundredSets(t *testing.T) {
	if !isolated(t) {
		return
	}
	sh(t, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
	farWorld(t)
	program(t)
	before := snapshot(t)
	e := engine(t)
	const sets = 100
	begin := time.Now()
	for i := range sets {
		apply(t, e, func(s *State, p *Plan) error {
			bridge := fmt.Sprintf("b%d", i)
			_, err1 := e.Host.PlanBridge(p, BridgeWish{Name: bridge, User: "nobody"})
			name, _, err2 := e.Host.PlanTAP(p, s, TAPWish{Bridge: bridge, UID: 65534, GID: 65534})
			_, err3 := e.Host.PlanSwitch(p, s, switchWish(fmt.Sprintf("/run/vswitch/u%d", i), name))
			return errors.Join(err1, err2, err3)
		})
	}
	made := time.Now()
	if s, err := ReadState(e.Dir); err != nil || len(s.Objects) != 3*sets {
		t.Fatalf("%v", err)
	}
	for i := range sets {
		apply(t, e, func(s *State, p *Plan) error {
			for n := range 3 {
				o := s.Objects[2-n]
				if err := e.Host.PlanRemove(p, s, o, false); err != nil {
					return fmt.Errorf("set %d: %w", i, err)
				}
			}
			return nil
		})
	}
	t.Logf("a set takes %v to make and %v to cancel", made.Sub(begin)/sets, time.Since(made)/sets)
	// The directory above all went with the first set that found it there.
	same(t, "100 sets", before, snapshot(t))
}

// What is there already is left as it is, ours or not, and nothing that we did
// not make is removed.
func TestOwnership(t *testing.T) {
	if !isolated(t) {
		return
	}
	sh(t, "ip link add foreign type bridge")
	e := engine(t)
	s, err := e.Begin(t.Context())
	must(t, err)
	p := NewPlan("test")
	if made, err := e.Host.PlanBridge(p, BridgeWish{Name: "foreign"}); made || err != nil || len(p.Steps) > 0 {
		t.Errorf("foreign bridge: %v, %v, %d steps", made, err, len(p.Steps))
	}
	if _, ok := s.Find("bridge", "foreign"); ok {
		t.Error("a foreign bridge counts as ours")
	}
	e.End()
	tap := TAPWish{Name: "t0", Bridge: "ours", UID: 65534, GID: -1, User: "nobody"}
	create := func(s *State, p *Plan) error {
		_, err1 := e.Host.PlanBridge(p, BridgeWish{Name: "ours", User: "nobody"})
		_, _, err2 := e.Host.PlanTAP(p, s, tap)
		return errors.Join(err1, err2)
	}
	apply(t, e, create)
	before := snapshot(t)
	if p := apply(t, e, create); len(p.Steps) != 0 {
		t.Errorf("created twice: %d steps", len(p.Steps))
	}
	same(t, "created twice", before, snapshot(t))

	remove := func(kind, name string, force bool) error {
		s, err := e.Begin(t.Context())
		must(t, err)
		defer e.End()
		o, ok := s.Find(kind, name)
		if !ok {
			t.Fatalf("no %s %s", kind, name)
		}
		p := NewPlan("test")
		if err := e.Host.PlanRemove(p, s, o, force); err != nil {
			return err
		}
		return e.Apply(context.Background(), s, p)
	}
	refused := func(what string, err error, cause string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), cause) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("bridge under a TAP", remove("bridge", "ours", true), "is needed by tap t0")
	f, err := e.Host.attachTAP("t0")
	must(t, err)
	refused("TAP in use", remove("tap", "t0", false), "t0 is in use by")
	if _, err := e.Host.attachTAP("t0"); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	f.Close()
	must(t, remove("tap", "t0", false))
	sh(t, "ip link add guest type veth peer name guest1; ip link set guest master ours")
	refused("bridge with a foreign port", remove("bridge", "ours", false), "ports that are not vnetctl's: guest")
	sh(t, "ip link set guest nomaster; ip link set ours alias mine")
	refused("bridge of which somebody took possession", remove("bridge", "ours", false), "not the one that vnetctl made")
	sh(t, "ip link delete ours; ip link add ours type bridge")
	must(t, remove("bridge", "ours", true))
	if _, err := e.Host.Link("ours"); err != nil {
		t.Errorf("a bridge that was not ours is gone: %v", err)
	}
}

// What the bridge was given after the move is not thrown away silently.
func TestLaterAddresses(t *testing.T) {
	if !isolated(t) {
		return
	}
	farWorld(t)
	before := snapshot(t)
	e := engine(t)
	apply(t, e, func(_ *State, p *Plan) error {
		_, err := e.Host.PlanBridge(p, BridgeWish{Name: "br0", Uplink: "up0"})
		return err
	})
	settled(t)
	// Renewed lifetimes are taken back, others are a reason to stop.
	sh(t, "ip address change 2001:db8::3/64 dev br0 valid_lft 70000 preferred_lft 60000; ip address add 10.1.1.1/24 dev br0")
	s, err := e.Begin(t.Context())
	must(t, err)
	o, _ := s.Find("bridge", "br0")
	if err := e.Host.PlanRemove(NewPlan("test"), s, o, false); err == nil || !strings.Contains(err.Error(), "10.1.1.1/24") {
		t.Errorf("%v", err)
	}
	e.End()
	sh(t, "ip address del 10.1.1.1/24 dev br0")
	apply(t, e, func(s *State, p *Plan) error {
		if p.Critical != "" {
			t.Error("critical before it is planned")
		}
		err := e.Host.PlanRemove(p, s, s.Objects[0], false)
		if !strings.Contains(p.Critical, "default route") {
			t.Errorf("critical: %q", p.Critical)
		}
		return err
	})
	if text := sh(t, "ip -6 address show dev up0"); !strings.Contains(text, "valid_lft 69") && !strings.Contains(text, "valid_lft 70000") {
		t.Errorf("the renewed lifetime is lost: %s", text)
	}
	same(t, "cancelled", before, snapshot(t))
}
