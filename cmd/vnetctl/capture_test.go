package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"vnetkit/mgmt"
	"vnetkit/mgmt/capture"
	"vnetkit/mgmt/mgmttest"
)

// capturing is a capture that runs while the test makes traffic.
type capturing struct {
	t        *testing.T
	out, err lockedBuffer
	stop     context.CancelFunc
	done     chan int
}

// startCapture runs vnetctl capture and returns when it captures.
func startCapture(t *testing.T, s *mgmttest.Switch, args ...string) *capturing {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mgmttest.Patience)
	c := &capturing{t: t, stop: cancel, done: make(chan int, 1)}
	t.Cleanup(cancel)
	go func() { c.done <- runContext(ctx, append([]string{"-s", s.Dir, "capture"}, args...), &c.out, &c.err) }()
	file := ""
	if i := slices.Index(args, "-w"); i >= 0 {
		file = args[i+1]
	}
	mgmttest.Until(t, "the capture runs", func() bool {
		if file == "" {
			return len(c.out.Bytes()) > 0
		}
		fi, err := os.Stat(file)
		return err == nil && fi.Size() > 0
	})
	return c
}

// lockedBuffer can be looked at while it is written to.
type lockedBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	return len(b), nil
}

// Bytes is what is there now.
func (l *lockedBuffer) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b[:len(l.b):len(l.b)]
}

func (l *lockedBuffer) String() string { return string(l.Bytes()) }

// end waits for its end and compares what it said.
func (c *capturing) end(code int, says string) {
	c.t.Helper()
	if got := <-c.done; got != code || !strings.Contains(c.err.String(), says) {
		c.t.Errorf("exit %d, want %d: %s", got, code, &c.err)
	}
}

// frames counts the frames of a capture, which must be whole.
func frames(t *testing.T, file []byte) (n int) {
	t.Helper()
	r, err := capture.NewReader(bytes.NewReader(file))
	for ; err == nil; n++ {
		_, err = r.Next()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("after %d frames: %v", n, err)
	}
	return n - 1
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// To a pipe, with a filter, for a number of frames.
func TestCaptureCount(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	c := startCapture(t, s, "port2", "-c", "3", "ether", "src", "02:00:00:00:00:01", "and", "greater 100")
	for i := range 5 {
		a.Send(1, 0xff, 98+i)
		b.Receive()
	}
	c.end(0, "vnetctl: 3 frames captured, 0 lost\n")
	if n := frames(t, c.out.Bytes()); n != 3 {
		t.Errorf("%d frames", n)
	}
}

// Interrupted, it sums up and leaves a whole file that is its owner's alone.
func TestCaptureInterrupted(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a := s.Plug()
	s.Plug()
	file := filepath.Join(s.Dir, "cap.pcapng")
	c := startCapture(t, s, "all", "-w", file, "--json")
	for range 10 {
		a.Send(1, 0xff, 1000)
	}
	mgmttest.Until(t, "all is written", func() bool {
		b, _ := os.ReadFile(file)
		return len(b) > 20000
	})
	c.stop()
	c.end(0, "")
	var sum captured
	if err := json.Unmarshal(c.out.Bytes(), &sum); err != nil || sum.Frames != 20 || sum.Lost != 0 || len(sum.Files) != 1 || sum.Files[0] != file {
		t.Errorf("%s, %v", &c.out, err)
	}
	schemas, schema := schemaOf(t, captured{})
	if faults := schemas.Check(schema, c.out.Bytes()); faults != nil {
		t.Errorf("%q in %s", faults, &c.out)
	}
	if n := frames(t, readFile(t, file)); n != 20 {
		t.Errorf("%d frames", n)
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// Files keep to their size, the latest have their names, and each is whole.
func TestCaptureRotates(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	file := filepath.Join(s.Dir, "cap.pcapng")
	c := startCapture(t, s, "port1", "-w", file, "--rotate", "5kB,3", "-c", "30")
	for range 30 {
		a.Send(1, 0xff, 1000)
		b.Receive()
	}
	c.end(0, fmt.Sprintf("30 frames captured, 0 lost in %s, %s, %s\n", file, filepath.Join(s.Dir, "cap.1.pcapng"), filepath.Join(s.Dir, "cap.2.pcapng")))
	for i, want := range []int{2, 4, 4} {
		name := file
		if i > 0 {
			name = filepath.Join(s.Dir, fmt.Sprintf("cap.%d.pcapng", i))
		}
		if b := readFile(t, name); len(b) > 5000 || frames(t, b) != want {
			t.Errorf("%s: %d bytes, %d frames", name, len(b), frames(t, b))
		}
	}
	if old, _ := filepath.Glob(filepath.Join(s.Dir, "cap.*")); len(old) != 3 {
		t.Errorf("files: %v", old)
	}
}

// The switch's end is the capture's, and no disaster.
func TestCaptureSwitchStops(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	c := startCapture(t, s, "all")
	s.Stop()
	c.end(4, "vnetctl: 0 frames captured, 0 lost\nvnetctl: cannot go on capturing\n  cause: the switch was stopped\n")
	frames(t, c.out.Bytes())
}

func TestCaptureMistakes(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	s.Plug()
	transcript(t, s, "capturemistakes",
		"capture", "capture tcp port 80", "capture port11", "capture port1 port11 tcp", "capture all tcp prot 80", "capture all host example.org", "capture all -- (tcp",
		"capture all --rotate 100MB", "capture all -w x --rotate 100", "capture all -w x --rotate 10PB", "capture all -w x --rotate 1MB,0", "capture all -w DIR/none/cap.pcapng",
		"capture all -w DIR", "capture all -c x", "capture all --snap -1", "capture all --snp 5", "capture tcp --", "capture all tcp prot 80 --json")
	if _, err := os.Stat("x"); err == nil {
		t.Error("a capture that cannot be has made a file")
	}
}

// A file that was there stays when there is no switch to capture from.
func TestCaptureKeepsOldFile(t *testing.T) {
	dir := mgmttest.Dir(t)
	file := filepath.Join(dir, "cap.pcapng")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, code := vnetctl(t, nil, "-s", dir, "capture", "all", "-w", file); code != 4 || string(readFile(t, file)) != "precious" {
		t.Errorf("exit %d, file %q", code, readFile(t, file))
	}
}

// The caret stands under the place, which golden files do not check.
func TestCaptureFilterCaret(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	_, stderr, _ := vnetctl(t, s, "capture", "all", "tcp  and", "prot", "80")
	if want := "\n    tcp  and prot 80\n             ^^^^\n  cause: "; !strings.Contains(stderr, want) {
		t.Errorf("got %q, want %q in it", stderr, want)
	}
}
