package plug

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// oldSwitch does the switch's side of one plug as vde_switch does, in its order,
// independently of the code under test. It sends what it was asked for.
func oldSwitch(ln net.Listener, dir string) (*linktest.VDEClient, []byte, error) {
	conn, err := ln.Accept()
	if err != nil {
		return nil, nil, err
	}
	req := make([]byte, 256)
	n, err := conn.Read(req)
	if err != nil || n < 122 {
		return nil, nil, fmt.Errorf("a request of %d bytes: %w", n, err)
	}
	client, _, _ := bytes.Cut(req[14:122], []byte{0})
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: string(client)}); err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w", client, err)
	}
	path := filepath.Join(dir, "003.9")
	_ = os.Remove(path)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, nil, err
	}
	if _, err := conn.Write(linktest.VDERequest(3, 0, path, "")[12:]); err != nil {
		return nil, nil, err
	}
	return &linktest.VDEClient{Ctl: conn.(*net.UnixConn), Data: fd, Own: string(client)}, req[:n], nil
}

// plugged is what oldSwitch made of a dialer's request.
type plugged struct {
	wire *linktest.VDEClient
	req  []byte
	err  error
}

func dialOldSwitch(t testing.TB, keys string) (link.Link, plugged) {
	t.Helper()
	dir := filepath.Dir(socketPath(t))
	ln, err := net.Listen("unix", filepath.Join(dir, "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	made := make(chan plugged, 1)
	go func() {
		w, req, err := oldSwitch(ln, dir)
		made <- plugged{w, req, err}
	}()
	l := accept(t, openKind(t, VDE(), "vde:"+dir+keys, link.Options{}))
	p := <-made
	if p.err != nil {
		t.Fatal(p.err)
	}
	return l, p
}

func TestVDEDialer(t *testing.T) {
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		l, p := dialOldSwitch(t, "")
		return l, linktest.NewStation(t, p.wire)
	})
}

func TestVDEDialerRequest(t *testing.T) {
	for keys, typ := range map[string]uint32{"": 0, ",port=3": 3 << 8, ",port=300": 300 << 8} {
		l, p := dialOldSwitch(t, keys)
		want := linktest.VDERequest(3, typ, p.wire.Own, "vswitch user=")
		if !bytes.HasPrefix(p.req, want) || !bytes.HasSuffix(p.req, fmt.Appendf(nil, " pid=%d", os.Getpid())) || len(p.req) > 250 {
			t.Errorf("%q asks\n% x, want it to begin\n% x", keys, p.req, want)
		}
		if _, err := os.Lstat(p.wire.Own); err == nil {
			t.Errorf("%s is left", p.wire.Own)
		}
		if peer := l.(link.Peered).Peer(); peer.PID != os.Getpid() {
			t.Errorf("the peer is %+v", peer)
		}
		_ = l.Close()
		_ = p.wire.Close()
	}
}

// A switch that refuses, is not there or speaks something else: it says which,
// and tries again.
func TestVDEDialerFails(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	told := make(chan error, 100)
	src := openKind(t, VDE(), "vde:"+dir, link.Options{Retrying: func(err error) { told <- err }})
	got := make(chan link.Link, 1)
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		if l, err := src.Accept(t.Context()); err == nil {
			got <- l
		}
	}()
	expect := func(says string) {
		t.Helper()
		for err := range told {
			if err != nil && strings.Contains(err.Error(), says) && strings.Contains(err.Error(), dir) {
				return
			}
			if err == nil {
				t.Fatalf("it plugged in; want an error that says %q", says)
			}
		}
	}
	expect("no such file")
	ln, err := net.Listen("unix", filepath.Join(dir, "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	answer := func(b []byte) {
		conn, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 256))
		_, _ = conn.Write(b)
	}
	answer(nil)
	expect("refused")
	answer(make([]byte, 110))
	expect("no socket address")
	answer(linktest.VDERequest(3, 0, dir+"/nobody", "")[12:])
	expect("no such file")
	if list, err := filepath.Glob(dir + "/.[0-9]*"); err != nil || len(list) > 0 {
		t.Errorf("left in the directory: %v, %v", list, err)
	}
	w, _, err := oldSwitch(ln, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := (<-got).Close(); err != nil {
		t.Error(err)
	}
}
