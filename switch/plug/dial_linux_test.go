package plug

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// dialed is one Link that a dialer yielded.
type dialed struct {
	link link.Link
	err  error
}

// dialing opens a dialer and has it dial until the test ends. It reports the
// failures that it was told of in between.
func dialing(t *testing.T, spec string) (links <-chan dialed, next chan<- struct{}, retries <-chan error) {
	t.Helper()
	told, out, again := make(chan error), make(chan dialed), make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	src := open(t, spec, link.Options{Retrying: func(err error) {
		select {
		case told <- err:
		case <-ctx.Done():
		}
	}})
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for {
			select {
			case <-again:
			case <-ctx.Done():
				return
			}
			l, err := src.Accept(ctx)
			select {
			case out <- dialed{l, err}:
			case <-ctx.Done():
				if l != nil {
					_ = l.Close()
				}
			}
		}
	}()
	return out, again, told
}

// The other side comes up later, goes, and comes back.
func TestDialRetries(t *testing.T) {
	path := socketPath(t)
	links, next, told := dialing(t, "stream:unix:"+path+",connect=on")
	next <- struct{}{}
	for range 2 { // it keeps on trying
		if err := <-told; !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), path) {
			t.Fatalf("nobody is there, and it says: %v", err)
		}
	}
	for life := range 2 {
		ln, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		for err := range told {
			if err == nil {
				break
			}
		}
		d := <-links
		if d.err != nil {
			t.Fatal(d.err)
		}
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s := linktest.NewStation(t, newWire(conn))
		f := linktest.Sentinel()
		s.Send(f)
		r := &reader{link: d.link.(*streamLink)}
		for len(r.frames) == 0 {
			if err := r.read(); err != nil {
				t.Fatal(err)
			}
		}
		r.check(t, [][]byte{f}, 0)
		s.Close()
		_ = ln.Close()
		_ = d.link.Close()
		if life == 0 {
			next <- struct{}{}
			if err := <-told; err == nil {
				t.Fatal("it reached somebody who is not there")
			}
		}
	}
}

func TestDialStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	src := open(t, "stream:unix:"+socketPath(t)+",connect=on", link.Options{Retrying: func(error) {
		if tries++; tries == 2 {
			cancel()
		}
	}})
	if l, err := src.Accept(ctx); l != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Accept returned %v, %v", l, err)
	}
}

func TestDialTCP(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Logf("no TCP on %s here: %v", host, err)
			continue
		}
		src := open(t, "stream:tcp:"+ln.Addr().String()+",connect=on", link.Options{})
		l := accept(t, src)
		checkTuned(t, l)
		if p := l.(link.Peered).Peer(); p.Addr != ln.Addr().String() || p.PID != 0 || p.UID != -1 {
			t.Errorf("the peer is %+v, want %v", p, ln.Addr())
		}
		_ = l.Close()
		_ = ln.Close()
	}
}

func TestListenTCPPeer(t *testing.T) {
	src, addr := listenTCP(t, "127.0.0.1")
	conn := dial(t, "tcp", addr)
	defer conn.Close()
	l := accept(t, src)
	defer l.Close()
	checkTuned(t, l)
	if p := l.(link.Peered).Peer(); p.Addr != conn.LocalAddr().String() || p.PID != 0 || p.UID != -1 {
		t.Errorf("the peer is %+v, want %v", p, conn.LocalAddr())
	}
}

func TestUnixPeer(t *testing.T) {
	path := socketPath(t)
	src := open(t, "stream:unix:"+path, link.Options{})
	conn := dial(t, "unix", path)
	defer conn.Close()
	l := accept(t, src)
	defer l.Close()
	if p := l.(link.Peered).Peer(); p.PID != os.Getpid() || p.UID != os.Getuid() {
		t.Errorf("the peer is %+v, want pid %d, uid %d", p, os.Getpid(), os.Getuid())
	}
}

// checkTuned looks at what the kernel was told: a peer that vanishes without a
// word is given up within 35 seconds, and nothing waits to be sent.
func checkTuned(t *testing.T, l link.Link) {
	t.Helper()
	get := func(level, opt int) int {
		v, err := unix.GetsockoptInt(l.FD(), level, opt)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if get(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 || get(unix.IPPROTO_TCP, unix.TCP_NODELAY) == 0 {
		t.Error("keepalive or nodelay is off")
	}
	silent := get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE) + get(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)*get(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
	if unanswered := get(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); silent > 35 || unanswered == 0 || unanswered > 35_000 {
		t.Errorf("given up after %d s of silence, %d ms without an answer", silent, unanswered)
	}
}

// What the switch polls must be non-blocking, must not leak into children and
// must be gone after Close.
func TestLinkDescriptor(t *testing.T) {
	path := socketPath(t)
	src := open(t, "stream:unix:"+path, link.Options{})
	s := linktest.NewStation(t, newWire(dial(t, "unix", path)))
	l := accept(t, src)
	flags, err := unix.FcntlInt(uintptr(l.FD()), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("not closed on exec: %x, %v", flags, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	s.ExpectEnd()
}
