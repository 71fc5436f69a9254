package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

func listenOnly(t *testing.T, socket string) {
	t.Helper()
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
}

// monitor survives the end of its switch: it says so, waits, and what the new
// switch did before it was back is not lost.
func TestMonitorSurvivesRestart(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	outR, outW := io.Pipe()
	errR, errW := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- runContext(ctx, []string{"-s", s.Dir, "monitor", "--json", "--since", "2"}, outW, errW)
		outW.Close()
		errW.Close()
	}()
	lines, notes := json.NewDecoder(outR), bufio.NewReader(errR)
	next := func(typ string, seq uint64) {
		t.Helper()
		var e api.Event
		if err := lines.Decode(&e); err != nil || e.Type != typ || e.Seq != seq {
			t.Fatalf("got %+v, %v; want event %d, %s", e, err, seq, typ)
		}
	}
	next("link-up", 3)
	s.Plug()
	next("port-added", 4)
	next("link-up", 5)

	s.Stop()
	note, err := notes.ReadString('\n')
	if err != nil || !strings.Contains(note, "waiting for it") {
		t.Fatalf("note %q, %v", note, err)
	}
	go io.Copy(io.Discard, notes) // it may say so again
	// By the time monitor finds the new switch, that has had more events than
	// the old one.
	again := mgmttest.Start(t, mgmt.Options{})
	for range 3 {
		again.Plug()
	}
	if err := os.Rename(filepath.Join(again.Dir, "api"), filepath.Join(s.Dir, "api")); err != nil {
		t.Fatal(err)
	}
	next(api.EventMissed, 0)
	next("door-opened", 1)
	for i := range uint64(3) {
		next("port-added", 2+2*i)
		next("link-up", 3+2*i)
	}

	cancel()
	go io.Copy(io.Discard, outR)
	if c := <-code; c != 0 {
		t.Errorf("exit %d", c)
	}
}

// Without --since it begins with what happens next.
func TestMonitorFromNow(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- runContext(ctx, []string{"-s", s.Dir, "monitor"}, w, io.Discard)
		w.Close()
	}()
	first := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(r).ReadString('\n')
		first <- normalise(text, s.Dir)
		_, _ = io.Copy(io.Discard, r)
	}()
	var text string
	mgmttest.Until(t, "monitor shows something", func() bool {
		s.Plug().Close() // goes on until monitor is there to see it
		select {
		case text = <-first:
			return true
		default:
			return false
		}
	})
	// Event 3 was there before.
	var seq int
	if _, err := fmt.Sscanf(text, "TIME %d ", &seq); err != nil || seq < 4 {
		t.Errorf("begins with %q, %v", text, err)
	}
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("exit %d", c)
	}
}
