package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"vnetkit/mgmt/client"
	"vnetkit/mgmt/console"
	"vnetkit/mgmt/mgmttest"
)

// openConsole gives a switch its console, until the test ends.
func openConsole(t *testing.T, s *mgmttest.Switch) *console.Console {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(s.Dir, client.ConsoleName))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	c := console.New(s.Switch, console.Options{Version: "test", Dir: s.Dir, Mode: 0o600, Shutdown: func() {}})
	go func() { done <- c.Serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
