// Command vswitch is a learning Ethernet switch for virtual machines, as an
// ordinary process.
//
// A switch is a directory. vswitch makes it and puts its doors into it, the
// sockets stream (QEMU's -netdev stream and -netdev socket), ctl (VDE clients) and
// api (HTTP and JSON: vnetctl, curl). Who may open a door may plug in. It runs until SIGINT
// or SIGTERM and then removes what it made.
//
// The parts: flags.go reads the command line, dir.go makes and guards the
// directory, run.go puts the switch together, kinds.go lists what can be
// plugged in. vswitch plug is a program of its own, in package cable.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"vnetkit/cmd/vswitch/cable"
	"vnetkit/cmd/vswitch/detach"
	"vnetkit/mgmt/api"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
)

func main() { os.Exit(run()) }

func run() int {
	if len(os.Args) > 1 && os.Args[1] == "plug" {
		return cable.Run(os.Args[2:], kinds)
	}
	caller := detach.FindCaller()
	vde := filepath.Base(os.Args[0]) == vdeName
	opt, err := parseArgs(os.Args[1:], vde)
	switch {
	case err != nil:
		complain(err, filepath.Base(os.Args[0])+" --help")
		return 2
	case opt.help != "":
		fmt.Print(opt.help)
		if vde {
			return 1 // as vde_switch does
		}
		return 0
	case opt.version:
		fmt.Printf("vswitch %s (commit %s)\n", version, commit)
		return 0
	case opt.config.check:
		opt.config.reportCheck(os.Stdout)
		return 0
	}
	if opt.vde.daemon && !caller.Waits() {
		code, err := detach.Start()
		if err != nil {
			complain(err, "")
		}
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	if err := serve(ctx, opt, caller); err != nil {
		complain(err, "")
		return exitCode(err)
	}
	if vde && len(interrupted) > 0 { // scripts can tell, as they could with vde_switch
		signal.Reset(os.Interrupt)
		_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
		time.Sleep(time.Second) // it may come to another thread than this; if not to any, it is ignored
		return 128 + int(syscall.SIGINT)
	}
	return 0
}

// complain says what failed and what to do about it.
func complain(err error, cure string) {
	if listMistakes(err) {
		return
	}
	fmt.Fprintf(os.Stderr, "vswitch: %v\n", err)
	var e *api.Error
	if errors.As(err, &e) && e.Hint != "" {
		cure = e.Hint
	}
	if cure != "" {
		fmt.Fprintf(os.Stderr, "  cure:  %s\n", cure)
	}
}
