package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"

	"golang.org/x/term"

	"vnetkit/mgmt/console"
	vswitch "vnetkit/switch"
	"vnetkit/switch/plug"
)

// vdeDoor is the console and its socket.
type vdeDoor struct {
	*console.Console
	ln net.Listener
}

// openConsole opens the console. stop ends the daemon.
func openConsole(ctx context.Context, sw *vswitch.Switch, opt options, log *slog.Logger, stop func()) (*vdeDoor, error) {
	ln, err := plug.ListenUnix(ctx, opt.vde.mgmt, int(opt.vde.mgmtMode))
	if err != nil {
		return nil, fmt.Errorf("open console: %w", err)
	}
	if err := giveToGroup(opt.vde.mgmt, opt.mgmtGroup); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	d := &vdeDoor{ln: ln, Console: console.New(sw, console.Options{
		Version:    version,
		Dir:        opt.dir,
		Mode:       opt.mode,
		Socket:     opt.vde.mgmt,
		SocketMode: opt.vde.mgmtMode,
		MAC:        opt.vde.mac,
		Priority:   opt.stp.priority,
		Tree:       console.SpanningTree(sw),
		Shutdown:   stop,
		Log:        log,
	})}
	d.loadScript(ctx, opt, log)
	return d, nil
}

// loadScript carries out the start-up script. As with vde_switch a switch without
// it is better than none.
func (d *vdeDoor) loadScript(ctx context.Context, opt options, log *slog.Logger) {
	if opt.vde.rcfile != "" {
		if err := d.LoadFile(ctx, opt.vde.rcfile); err != nil {
			log.Warn("the start-up script was not carried out", "error", err)
		}
		return
	}
	if !opt.vde.is {
		return
	}
	for _, path := range console.Scripts() {
		err := d.LoadFile(ctx, path)
		if !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				log.Warn("the start-up script was not carried out", "error", err)
			}
			return
		}
	}
}

// start answers until ctx ends, and returns a function that ends it.
func (d *vdeDoor) start(ctx context.Context, opt options, stop func()) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.serve(ctx, opt, stop)
	}()
	return func() {
		cancel()
		<-done
	}
}

// serve answers until ctx ends.
func (d *vdeDoor) serve(ctx context.Context, opt options, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := d.Serve(ctx, d.ln); err != nil {
			fmt.Fprintf(os.Stderr, "vswitch: %v\n", err)
		}
	}()
	defer func() {
		cancel()
		<-served
	}()
	if !readsStdin(opt) {
		<-ctx.Done()
		return
	}
	done := make(chan struct{})
	go func() { // may wait for a line for ever
		defer close(done)
		d.ServeStdio(ctx, os.Stdin, os.Stdout, term.IsTerminal(int(os.Stdin.Fd())))
	}()
	select {
	case <-done:
		if ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "%s: EOF on stdin, cleaning up and exiting\n", vdeName)
			stop()
		}
	case <-ctx.Done():
	}
}

// readsStdin tells whether commands come on standard input. The null device,
// which is also what a closed one becomes, is nobody who types.
func readsStdin(opt options) bool {
	if !opt.vde.is || opt.vde.daemon || opt.vde.noStdin {
		return false
	}
	in, err := os.Stdin.Stat()
	null, err2 := os.Stat(os.DevNull)
	return err == nil && err2 == nil && !os.SameFile(in, null)
}
