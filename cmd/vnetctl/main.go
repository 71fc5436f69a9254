// Command vnetctl shows and changes switches.
//
// Theory of operation: every verb is one small file that turns its arguments
// into calls of package mgmt/client and prints the answer, as an aligned table
// for people or, with --json, as the API's own types for programs. Nothing is
// computed here that the switch itself could say, so two tools never disagree.
// An error is a sentence about what could not be done (failure), the cause that
// the switch or the client found, and the command that cures it; report prints
// the three parts, and the error's code gives the exit code.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Set by the linker: -ldflags "-X main.version=... -X main.commit=...".
var (
	version = "dev"
	commit  = "unknown"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second one kills, whatever hangs
	return runContext(ctx, args, stdout, stderr)
}

func runContext(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &outWriter{w: stdout}
	a := &app{out: out, err: stderr, colour: wantsColour(stdout)}
	root := a.rootCommand()
	root.SetArgs(append([]string{}, helpLetter(actionFirst(args))...)) // never nil: cobra would take os.Args
	root.SetOut(out)
	root.SetErr(stderr)
	code := a.report(root.ExecuteContext(ctx))
	if code == 0 && out.err != nil { // whoever reads a file that is cut short must not take it for the answer
		return a.report(cannot(out.err, "print the answer"))
	}
	return code
}

// wantsColour tells whether w is a terminal whose user has nothing against it.
func wantsColour(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}
