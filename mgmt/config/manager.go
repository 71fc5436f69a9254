package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
)

// Manager keeps a running switch and its file together. It is what mgmt serves
// as GET /v1/config and POST /v1/reload.
type Manager struct {
	Switch  *vswitch.Switch
	Started *Config                 // as the daemon was started
	Own     []link.Spec             // doors of the switch's directory; no part of the configuration
	Kinds   []link.Kind             // as the switch has them
	File    string                  // absolute; "": started without one
	Load    func() (*Config, error) // reads File anew and lays the command line over it
	Log     *slog.Logger

	mu sync.Mutex // one reload at a time
}

// Config is the running configuration.
func (m *Manager) Config() api.Config {
	return api.Config{File: m.File, TOML: Running(m.Switch, m.Started, m.Own).TOML()}
}

// Reload makes the switch what its file says, or leaves everything as it is and
// says why. Either stands in the log too, since SIGHUP has no other answer. A
// dry one says what it would do, to the caller only.
func (m *Manager) Reload(ctx context.Context, dry bool) (api.Reloaded, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	plan, over, err := m.plan()
	if err == nil && !dry {
		err = m.apply(ctx, plan)
	}
	if err != nil {
		if !dry {
			m.Log.Warn("reload changed nothing", "file", m.File, "reason", err)
		}
		return api.Reloaded{}, err
	}
	answer := api.Reloaded{
		File: m.File, DryRun: dry, Summary: plan.Summary(),
		Added: plan.Added, Changed: plan.Changed, Removed: plan.Removed, Unchanged: plan.Unchanged,
		Changes: []string{}, Restart: append([]string{}, plan.Restart...), Overridden: append([]string{}, over...),
	}
	for _, i := range plan.Items {
		answer.Changes = append(answer.Changes, i.String())
	}
	if dry {
		return answer, nil
	}
	m.Log.Info("reloaded", "file", m.File, "ports", plan.Summary())
	for _, text := range answer.Changes {
		m.Log.Info("reload", "change", text)
	}
	for _, text := range plan.Restart {
		m.Log.Warn("takes a restart", "setting", text)
	}
	return answer, nil
}

// plan finds out what a reload has to do, and what of the file the command line
// overrules.
func (m *Manager) plan() (*Plan, []string, error) {
	if m.File == "" {
		return nil, nil, &api.Error{Code: api.ErrFailed, Message: "this switch was started without a config file", Hint: "vnetctl config save FILE, then start it with: vswitch --config FILE"}
	}
	want, err := m.Load()
	var bad Mistakes
	switch {
	case errors.As(err, &bad):
		return nil, nil, &api.Error{Code: api.ErrInvalid, Message: bad.Sentence() + "; nothing was changed", Hint: "see them all: vswitch --config " + m.File + " --check"}
	case err != nil:
		return nil, nil, &api.Error{Code: api.ErrFailed, Message: fmt.Sprintf("%v; nothing was changed", err)}
	}
	m.complete(want)
	return Diff(Running(m.Switch, m.Started, m.Own), want), want.Overrides, nil
}

// apply carries a plan out.
func (m *Manager) apply(ctx context.Context, plan *Plan) error {
	ops := plan.ops()
	if len(ops) == 0 {
		return nil
	}
	if _, err := m.Switch.Apply(ctx, ops); err != nil {
		var op *vswitch.OpError
		if errors.As(err, &op) && op.Index < len(ops) {
			err = fmt.Errorf("%s: %w", opText(ops[op.Index]), op.Err)
		}
		return fmt.Errorf("%s: nothing was changed: %w", m.File, err)
	}
	return nil
}

// complete adds to what is wanted what only the daemon knows: which kinds
// listen, and its own doors, which follow the default settings.
func (m *Manager) complete(want *Config) {
	for _, own := range m.Own {
		want.Ports = append(want.Ports, Port{Link: own, Set: Settings{}, own: true})
	}
	for i := range want.Ports {
		p := &want.Ports[i]
		for _, k := range m.Kinds {
			if k.Name == p.Link.Kind && k.Check != nil {
				p.listen, _ = k.Check(p.Link)
			}
		}
	}
}

// opText says what an operation is about, as far as its error does not.
func opText(op vswitch.Op) string {
	switch {
	case op.Add != nil:
		return "add port " + *op.Add
	case op.Remove != nil:
		return "remove " + *op.Remove
	case op.SetPort != nil:
		return "change port " + op.SetPort.Port
	case op.AddFDB != nil:
		return fmt.Sprintf("add static address %v", op.AddFDB.MAC)
	case op.FlushFDB != nil:
		return "remove static address"
	}
	return "change the switch"
}

// Text is a plan for people: one difference a line.
func (p *Plan) Text() string {
	var b strings.Builder
	for _, i := range p.Items {
		b.WriteString(i.String() + "\n")
	}
	for _, text := range p.Restart {
		b.WriteString("~ " + text + " (takes a restart)\n")
	}
	return b.String()
}
