package vswitch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestEventsTellWhatHappened(t *testing.T) {
	l := newLab(t, Options{})
	door := l.door("")
	a := l.plugInto(door, 0)
	l.set(a, PortChange{MTU: ptr(1500), Name: ptr("a")})
	if err := l.sw.AddFDB(1, nobody, "a"); err != nil {
		t.Fatal(err)
	}
	if err := l.sw.Set(Change{Hub: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	a.Close()
	l.awaitGone(a)
	l.waitFor("the port is gone", func() bool { return l.sw.Info().Ports == 0 })
	if err := l.sw.Remove(l.sw.Info().Doors[0].Name); err != nil {
		t.Fatal(err)
	}
	list, err := l.sw.Events(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"door-opened 0", "port-added 1", "link-up 1", "port-changed 1", "fdb-changed 1", "switch-changed 0",
		"link-down 1", "port-removed 1", "door-closed 0",
	}
	for i, e := range list {
		if e.Seq != uint64(i+1) || e.Time.IsZero() {
			t.Errorf("event %d has number %d, time %v", i+1, e.Seq, e.Time)
		}
		if i < len(want) && fmt.Sprint(e.Type, " ", e.Port) != want[i] {
			t.Errorf("event %d is %s of port %d, want %s", i+1, e.Type, e.Port, want[i])
		}
	}
	if len(list) != len(want) {
		t.Errorf("%d events, want %d", len(list), len(want))
	}
	if e := list[3]; e.Name != "a" || !strings.Contains(e.Text, "mtu=1500") {
		t.Errorf("port-changed says %+v", e)
	}
	if e := list[6]; e.Text != "closed by the other side" {
		t.Errorf("link-down says %+v", e)
	}
}

func TestEventsMissed(t *testing.T) {
	l := newLab(t, Options{})
	a := l.plug("")
	if _, err := l.sw.Events(t.Context(), 1000); !errors.Is(err, ErrMissed) {
		t.Errorf("events after one that has not happened: %v", err)
	}
	start := l.sw.Info().EventSeq
	for i := range keptEvents {
		l.set(a, PortChange{MTU: ptr(100 + i%2)})
	}
	list, err := l.sw.Events(t.Context(), start)
	if err != nil || len(list) != keptEvents || list[0].Seq != start+1 || list[keptEvents-1].Seq != start+keptEvents {
		t.Fatalf("%d events, %v, want the latest %d", len(list), err, keptEvents)
	}
	if _, err := l.sw.Events(t.Context(), start-1); !errors.Is(err, ErrMissed) {
		t.Errorf("one more than is kept: %v", err)
	}
}

func TestEventsWaitEndsWithContext(t *testing.T) {
	l := newLab(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := l.sw.Events(ctx, 0)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with: %v", err)
	}
}

func TestDropReasons(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range DropReasons() {
		if r.String() == "" || r.Sentence() == "" || seen[r.String()] {
			t.Errorf("reason %d is called %q: %q", r, r, r.Sentence())
		}
		seen[r.String()] = true
	}
	if len(seen) != int(numDropReasons) {
		t.Errorf("%d reasons, want %d", len(seen), numDropReasons)
	}
	if s := DropReason(200).String(); s != "drop-reason-200" || DropReason(200).Sentence() != s {
		t.Errorf("an unknown reason is called %q", s)
	}
}

func TestParseMirror(t *testing.T) {
	for text, want := range map[string]string{
		"": "[]", "none": "[]", "a": "[a:both]", "a:in+2:out+all": "[a:in 2:out all:both]", "a:both": "[a:both]",
	} {
		list, err := ParseMirror(text)
		if err != nil || fmt.Sprint(list) != want {
			t.Errorf("%q is %v, %v, want %s", text, list, err, want)
		}
	}
	for _, text := range []string{"+", "a+", ":in", "a:up", "a:in:out"} {
		if list, err := ParseMirror(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is %v, %v", text, list, err)
		}
	}
}
