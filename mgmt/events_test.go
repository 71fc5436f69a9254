package mgmt_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
	vswitch "vnetkit/switch"
)

func dial(t *testing.T, s *mgmttest.Switch) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", filepath.Join(s.Dir, api.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(mgmttest.Patience))
	return nc
}

func line(t *testing.T, r io.Reader) string {
	t.Helper()
	text, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// events reads an event stream that ends by itself.
func events(t *testing.T, s *mgmttest.Switch, query string) []api.Event {
	t.Helper()
	status, answer := do(t, s, "GET", "/v1/events"+query, "")
	if status != 200 {
		t.Fatalf("events: %d %s", status, answer)
	}
	var list []api.Event
	for text := range strings.Lines(answer) {
		list = append(list, decode[api.Event](t, text))
	}
	return list
}

func TestEvents(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	all := events(t, s, "")
	if len(all) != 3 || all[0].Type != "door-opened" || all[1].Type != "port-added" || all[2].Type != "link-up" || all[2].Port != 1 || all[2].Name != "port1" {
		t.Fatalf("events: %+v", all)
	}
	for i, e := range all {
		if e.Seq != uint64(i+1) || e.Time.IsZero() {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if rest := events(t, s, "?since=2"); len(rest) != 1 || rest[0] != all[2] {
		t.Errorf("since 2: %+v", rest)
	}
	if rest := events(t, s, "?since=3"); len(rest) != 0 {
		t.Errorf("since the last: %+v", rest)
	}
	life := get[api.Info](t, s, "/v1/info").Life
	if rest := events(t, s, "?since=2&life="+life); len(rest) != 1 {
		t.Errorf("same life: %+v", rest)
	}
	for _, query := range []string{"?since=99", "?since=2&life=another"} {
		rest := events(t, s, query)
		if len(rest) != 4 || rest[0].Type != api.EventMissed || rest[0].Seq != 0 || rest[1] != all[0] {
			t.Errorf("%s: %+v", query, rest)
		}
	}
}

// The switch keeps its latest events; a reader that asks for older ones is
// told so and gets all there still are.
func TestEventsMissed(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	hub := false
	for s.Info().EventSeq < 10000 {
		if err := s.Set(vswitch.Change{Hub: &hub}); err != nil {
			t.Fatal(err)
		}
	}
	list := events(t, s, "?since=5")
	if list[0].Type != api.EventMissed || list[0].Seq == 0 {
		t.Fatalf("first line: %+v", list[0])
	}
	for i, e := range list[1:] {
		if e.Seq != list[0].Seq+uint64(i)+1 {
			t.Fatalf("after %d comes %d", list[0].Seq+uint64(i), e.Seq)
		}
	}
	if last := list[len(list)-1].Seq; last != 10000 || len(list) < 2000 {
		t.Errorf("%d lines, the last is %d", len(list), last)
	}
}

// Following outlives the time that a request may take to come in and an answer
// to be read.
func TestEventsFollow(t *testing.T) {
	const in, out = 20 * time.Millisecond, 500 * time.Millisecond
	s := mgmttest.Start(t, mgmt.Options{}, func(s *mgmt.Server) { s.SetLimits(in, in, out, 0, 0) })
	follower, start := dial(t, s), time.Now()
	fmt.Fprint(follower, "GET /v1/events?since=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(follower), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		follower.Close() // first, or Body.Close waits for a stream that has no end
		resp.Body.Close()
	}()
	if kind := resp.Header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("content type %q", kind)
	}
	// Half requests that are cut off tell the time.
	for time.Since(start) <= 2*in+out {
		half := dial(t, s)
		fmt.Fprint(half, "GET /v1/info HTTP/1.1\r\n")
		if _, err := io.ReadAll(half); err != nil {
			t.Fatalf("half a request: %v", err)
		}
	}
	dec := json.NewDecoder(resp.Body)
	for range 3 {
		g := s.Plug()
		for _, want := range []string{"port-added", "link-up"} {
			var e api.Event
			if err := dec.Decode(&e); err != nil || e.Type != want || e.Port != g.Port {
				t.Fatalf("%+v, %v; want %s of port %d", e, err, want, g.Port)
			}
		}
	}
}

// A reader that does not read is cut off, and nobody waits for it.
func TestEventsSlowReader(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{}, func(s *mgmt.Server) { s.SetLimits(0, 0, 20*time.Millisecond, 0, 0) })
	slow := dial(t, s)
	fmt.Fprint(slow, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
	line(t, slow) // it is being served
	hub := false
	mgmttest.Until(t, "the slow reader is cut off", func() bool {
		for range 1000 {
			if err := s.Set(vswitch.Change{Hub: &hub}); err != nil {
				t.Fatal(err)
			}
		}
		return s.Server.Connections() == 0
	})
	text, _ := io.ReadAll(slow)
	if len(text) == 0 || strings.HasSuffix(string(text), "0\r\n\r\n") {
		t.Errorf("%d bytes, as if the stream had ended well", len(text))
	}
}
