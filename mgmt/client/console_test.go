package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/client"
	"vnetkit/mgmt/mgmttest"
)

// script is a console that says what it is told to say.
func script(t *testing.T, greeting string, answers ...string) (socket string) {
	t.Helper()
	socket = filepath.Join(mgmttest.Dir(t), client.ConsoleName)
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, greeting)
		buf := make([]byte, 4096)
		for _, a := range answers {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			for _, piece := range strings.SplitAfter(a, "|") {
				_, _ = io.WriteString(conn, strings.TrimSuffix(piece, "|"))
			}
		}
		if len(answers) == 0 || !strings.Contains(answers[len(answers)-1], "9999") {
			_, _ = conn.Read(buf) // stay until the other side goes
		}
	}()
	return socket
}

const greeting = "VDE switch V.2.3.2\nwho\n\nvde$ "

func TestConsole(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), mgmttest.Patience)
	defer cancel()
	socket := script(t, greeting,
		"1000 Success\n\nvde$ ",
		"0000 DATA END WITH '.'\nVLAN| 0000\n1022 is data\n.\n10|06 No such device or address\n\nvd|e$ ",
		"3021 port/+ 01\n1038 Function not implemented\n\nvde$ ",
		"vde[f]: a\n1000 Success\nvde[f]: b\n1017 File exists\n1000 Success\n\nvde$ ",
		"\nvde$ ",
		"9999 END OF SESSION")
	c, err := client.DialConsole(ctx, filepath.Dir(socket))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Banner != "VDE switch V.2.3.2\nwho" || c.Prompt != "vde$" {
		t.Errorf("greeted with %q, %q", c.Banner, c.Prompt)
	}
	var news []string
	c.News = func(line string) { news = append(news, line) }
	for i, want := range []client.ConsoleAnswer{
		{Code: 1000, Status: "Success"},
		{Lines: []string{"VLAN 0000", "1022 is data"}, Code: 1006, Status: "No such device or address"},
		{Code: 1038, Status: "Function not implemented"},
		{Lines: []string{"vde[f]: a", "1000 Success", "vde[f]: b", "1017 File exists"}, Code: 1000, Status: "Success"},
		{Code: 1000, Status: "Success"},
		{Code: 9999, Status: "END OF SESSION"},
	} {
		got, err := c.Do(ctx, "x")
		if err != nil || !slices.Equal(got.Lines, want.Lines) || got.Code != want.Code || got.Status != want.Status {
			t.Errorf("answer %d: %+v, %v, want %+v", i, got, err, want)
		}
	}
	if !slices.Equal(news, []string{"3021 port/+ 01"}) {
		t.Errorf("news %q", news)
	}
	if _, err := c.Do(ctx, "a\nb"); !errors.Is(err, api.ErrInvalid) {
		t.Errorf("two lines: %v", err)
	}
	if _, err := c.Do(ctx, "a"); !errors.Is(err, api.ErrUnreachable) {
		t.Errorf("after the end: %v", err)
	}
}

func TestConsoleThatIsNone(t *testing.T) {
	dir := mgmttest.Dir(t)
	mgmttest.Stale(t, filepath.Join(dir, "stale"))
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "stale"), filepath.Join(dir, "file"), filepath.Join(dir, "absent")} {
		if _, err := client.DialConsole(t.Context(), path); !errors.Is(err, api.ErrUnreachable) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", path, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.DialConsole(ctx, script(t, "no prompt\n")); !errors.Is(err, api.ErrUnreachable) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("no prompt: %v", err)
	}
}
