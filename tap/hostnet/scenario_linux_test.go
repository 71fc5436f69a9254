package hostnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// scenarios are what a process of its own does in these tests.
var scenarios = map[string]func() error{
	"create":  func() error { return scenario(wishAll) },
	"cancel":  func() error { return scenario(cancelAll) },
	"macvtap": func() error { return scenario(wishMacvtap) },
	"recover": func() error {
		return withEngine(func(e *Engine) error { _, err := e.Recover(context.Background(), true); return err })
	},
	"confirm": func() error {
		return withEngine(func(e *Engine) error { _, err := e.Confirm(context.Background()); return err })
	},
	"guardian": func() error { return withEngine(func(e *Engine) error { return e.RunGuardian(context.Background()) }) },
}

func withEngine(f func(*Engine) error) error {
	h, err := Open()
	if err != nil {
		return err
	}
	defer h.Close()
	e := &Engine{Host: h, Dir: DefaultDir, Lib: testLib, Point: point, Guardian: []string{"/usr/bin/env", "-u", envDie, "-u", envBreak, "-u", envTrace, envScenario + "=guardian", exe()}}
	return f(e)
}

func exe() string {
	path, _ := os.Readlink("/proc/self/exe")
	return path
}

// point notes where the run is, and ends it where it shall end.
func point(name string) {
	if path := os.Getenv(envTrace); path != "" {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(f, name)
		f.Close()
	}
	if at, script, ok := strings.Cut(os.Getenv(envBreak), "="); ok && at == name {
		if out, err := exec.Command("/bin/sh", "-ec", script).CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%s: %v: %s", script, err, out))
		}
	}
	if os.Getenv(envDie) == name {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
}

// scenario plans and applies.
func scenario(wish func(*Engine, *State, *Plan) error) error {
	return withEngine(func(e *Engine) error {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // not to wait
		state, err := e.Begin(ctx)
		if err != nil {
			return err
		}
		defer e.End()
		plan := NewPlan("test")
		plan.Confirm, _ = time.ParseDuration(os.Getenv(envConfirm))
		if err := wish(e, state, plan); err != nil {
			return err
		}
		return e.Apply(context.Background(), state, plan)
	})
}

// wishAll is a bridge with the uplink, two TAPs in it and a switch.
func wishAll(e *Engine, s *State, p *Plan) error {
	if _, err := e.Host.PlanBridge(p, BridgeWish{Name: "br0", Uplink: "up0", UID: 65534, User: "nobody", Set: "a"}); err != nil {
		return err
	}
	for _, name := range []string{"", ""} {
		if _, _, err := e.Host.PlanTAP(p, s, TAPWish{Name: name, Bridge: "br0", UID: 65534, GID: -1, User: "nobody", Set: "a"}); err != nil {
			return err
		}
	}
	wish := switchWish("/run/vswitch/nobody", "tap0")
	if _, err := e.Host.PlanSwitch(p, s, wish); err != nil {
		return err
	}
	if !p.Keep(s, Wish{Kind: "switch", Name: wish.Dir, Switch: &wish}) {
		return errors.New("the switch does not count as ours")
	}
	return nil
}

// wishMacvtap is a macvtap on the uplink and a switch that has it.
func wishMacvtap(e *Engine, s *State, p *Plan) error {
	name, _, err := e.Host.PlanTAP(p, s, TAPWish{Parent: "up0", UID: 65534, GID: -1, User: "nobody", Set: "a"})
	if err != nil {
		return err
	}
	_, err = e.Host.PlanSwitch(p, s, switchWish("/run/vswitch/nobody", name))
	return err
}

// testLib is where the persistent is in tests: within what snapshot shows.
const testLib = "/run"

func switchWish(dir string, taps ...string) SwitchWish {
	return SwitchWish{
		Switch: Switch{
			Program: "/run/hostnet.test", Args: []string{"daemon", dir + "/api"}, Dir: dir, Ready: dir + "/api", TAPs: taps, UID: 65534, GID: 65534,
		},
		Mode: 0o700, Set: "a", State: DefaultDir,
	}
}

// cancelAll removes all that is ours.
func cancelAll(e *Engine, s *State, p *Plan) error {
	for i := len(s.Objects) - 1; i >= 0; i-- {
		if err := e.Host.PlanRemove(p, s, s.Objects[i], false); err != nil {
			return err
		}
	}
	return nil
}
