package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"vnetkit/mgmt/config"
	vswitch "vnetkit/switch"
)

// newManager keeps the switch and its config file together.
func newManager(sw *vswitch.Switch, opt options, log *slog.Logger) *config.Manager {
	for _, text := range opt.config.wanted.Overrides {
		log.Warn("the command line overrules the config file", "setting", text)
	}
	return &config.Manager{
		Switch:  sw,
		Started: opt.config.wanted,
		Own:     ownDoors(opt),
		Kinds:   kinds,
		File:    opt.config.file,
		Load:    opt.config.load,
		Log:     log,
	}
}

// surviveSignals keeps signals from ending the process that should not: a SIGHUP
// that comes too early to be answered if there is a config file, SIGPIPE, and all
// that vde_switch survives if we are called so or are a daemon.
func surviveSignals(opt options) {
	signal.Ignore(syscall.SIGPIPE) // who read the log is gone: the network stays
	if opt.vde.is || opt.vde.daemon {
		signal.Ignore(harmless...)
	}
	if opt.config.file != "" {
		signal.Ignore(syscall.SIGHUP)
	}
}

// reloadOnHangup reloads at each SIGHUP until the function that it returns is
// called. Without a config file SIGHUP ends the process, as it always does.
func reloadOnHangup(ctx context.Context, m *config.Manager) (stop func()) {
	if m.File == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		defer close(done)
		for {
			select {
			case <-hangups:
				_, _ = m.Reload(ctx, false) // it logs what came of it
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Ignore(syscall.SIGHUP) // the default would leave sockets behind
		cancel()
		<-done
	}
}
