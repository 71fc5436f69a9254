// Package mgmttest starts real switches for tests of what manages them: a
// vswitch.Switch with the stream kind, its api socket and a door, in a
// directory of their own.
//
// Nothing is faked but the guests, which are connections to the door, and
// nothing waits for a fixed time: Plug waits for the switch's own event, Until
// for a condition.
package mgmttest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	vswitch "vnetkit/switch"
	"vnetkit/switch/link"
	"vnetkit/switch/plug"
)

// Patience is how long a test waits before it gives up.
const Patience = 20 * time.Second

// Switch is a running switch.
type Switch struct {
	*vswitch.Switch
	Dir    string
	Server *mgmt.Server

	t    testing.TB
	stop context.CancelFunc
	done chan error
	once sync.Once // Stop
}

// Start runs a switch in a new directory until the test ends. tune may change
// the server before it serves.
func Start(t testing.TB, opt mgmt.Options, tune ...func(*mgmt.Server)) *Switch {
	t.Helper()
	return StartAt(t, Dir(t), opt, tune...)
}

// Dir is a new directory whose path is short enough for sockets, which
// t.TempDir's need not be, and that other users may enter.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// StartAt is Start in a given directory, whose old sockets it replaces.
func StartAt(t testing.TB, dir string, opt mgmt.Options, tune ...func(*mgmt.Server)) *Switch {
	t.Helper()
	sw, err := vswitch.New(vswitch.Options{Kinds: []link.Kind{plug.Stream()}, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if opt.Name == "" {
		opt.Name = "test"
	}
	opt.Dir, opt.Version, opt.Commit = dir, "1.2.3", "abcdef0"
	s := &Switch{Switch: sw, Dir: dir, Server: mgmt.New(sw, opt), t: t, done: make(chan error, 1)}
	for _, f := range tune {
		f(s.Server)
	}
	os.Remove(filepath.Join(dir, api.StreamName))
	if _, err := sw.Add(t.Context(), "stream:unix:"+filepath.Join(dir, api.StreamName)); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, api.SocketName)
	os.Remove(socket)
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go func() { s.done <- s.Server.Serve(ctx, ln) }()
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the switch in an orderly way and returns when it has. The test's
// end does it too.
func (s *Switch) Stop() {
	s.once.Do(func() {
		s.stop()
		if err := <-s.done; err != nil {
			s.t.Errorf("serve: %v", err)
		}
		if err := s.Switch.Close(); err != nil {
			s.t.Errorf("close switch: %v", err)
		}
	})
}

// Guest is somebody plugged into the door.
type Guest struct {
	net.Conn
	Port int
	t    testing.TB
}

// Plug connects a guest and waits until its port is up.
func (s *Switch) Plug() *Guest {
	s.t.Helper()
	seq := s.Info().EventSeq
	nc, err := net.Dial("unix", filepath.Join(s.Dir, api.StreamName))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return &Guest{Conn: nc, Port: s.Await(seq, vswitch.EventLinkUp).Port, t: s.t}
}

// Await waits for an event of a type after number seq.
func (s *Switch) Await(seq uint64, typ vswitch.EventType) vswitch.Event {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		events, err := s.Events(ctx, seq)
		if err != nil {
			s.t.Fatalf("wait for %s: %v", typ, err)
		}
		for _, e := range events {
			if seq = e.Seq; e.Type == typ {
				return e
			}
		}
	}
}

// Send sends a frame of n bytes from MAC 02:00:00:00:00:src to dst; 0xff is
// everybody.
func (g *Guest) Send(src, dst byte, n int) {
	g.t.Helper()
	b := make([]byte, 4+n)
	binary.BigEndian.PutUint32(b, uint32(n))
	copy(b[4:], []byte{2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 0x88, 0xb5})
	if dst == 0xff {
		copy(b[4:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}
	if _, err := g.Write(b); err != nil {
		g.t.Fatal(err)
	}
}

// Receive reads one frame.
func (g *Guest) Receive() []byte {
	g.t.Helper()
	var head [4]byte
	_ = g.SetReadDeadline(time.Now().Add(Patience))
	if _, err := io.ReadFull(g, head[:]); err != nil {
		g.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(g, b); err != nil {
		g.t.Fatal(err)
	}
	return b
}

// Until waits for cond, which must come true by itself.
func Until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); !cond(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Stale leaves a socket that nobody listens on, as kill -9 does.
func Stale(t testing.TB, socket string) {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
}
