package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/switch/plug"
	"vnetkit/tap/hostnet"
)

// asAsked refuses when the switch that runs already has another console or group
// than this call names: "unchanged" would be no answer to that. What a call does
// not name is as it was made.
func (r *hostRun) asAsked(f *createFlags, w hostnet.SwitchWish) error {
	o, ok := r.state.Find("switch", w.Dir)
	if !ok {
		return nil // somebody else started it
	}
	for _, step := range o.Steps {
		what := ""
		switch step := step.(type) {
		case *hostnet.MakeDir:
			if step.Path == w.Dir && (f.group != "" && step.Mode != w.Mode || r.who.group && step.GID != w.GID) {
				what = fmt.Sprintf("for group %d with mode %04o instead of group %d with mode %04o", step.GID, step.Mode, w.GID, w.Mode)
			}
		case *hostnet.Switch:
			has, wants := consoleOf(step.Args), consoleOf(w.Args)
			if f.console != "" && has != wants {
				what = fmt.Sprintf("with the console %s instead of %s", cmp.Or(has, "in its directory"), wants)
			}
		}
		if what != "" {
			return &hostnet.Error{Code: hostnet.ErrExists, Cause: fmt.Sprintf("switch %s runs already, %s", w.Dir, what), Cure: fmt.Sprintf("vnetctl cancel switch %s, then create it anew", w.Dir)}
		}
	}
	return nil
}

// consoleOf is what a daemon's command line says of its console.
func consoleOf(args []string) string {
	if i := slices.Index(args, "--mgmt"); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// mustAnswer fails if the switch in dir, whose process is there, answers nobody.
func (r *hostRun) mustAnswer(dir string) error {
	c, err := client.Dial(dir)
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = r.timeout
	_, err = c.Info(r.cmd.Context())
	if !errors.Is(err, api.ErrUnreachable) {
		return err
	}
	pid, known := plug.Holder(c.Socket())
	if !known {
		return err
	}
	text := fmt.Sprintf("switch %s is there and does not answer: process %d", dir, pid)
	if up, err := os.Stat(filepath.Join(dir, api.SocketName)); err == nil {
		text += ", up since " + up.ModTime().Format(time.DateTime)
	}
	if stopped(pid) {
		return &api.Error{Code: api.ErrUnreachable, Message: text + ", is stopped", Hint: fmt.Sprintf("kill -CONT %d", pid)}
	}
	return &api.Error{Code: api.ErrUnreachable, Message: text + ", hangs", Hint: fmt.Sprintf("kill -KILL %d, then repeat this", pid)}
}

var stoppedState = regexp.MustCompile(`(?m)^State:\s+[Tt] `)

// stopped tells whether a signal or a debugger has stopped a process.
func stopped(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && stoppedState.Match(status)
}
