package console

import (
	"context"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	vswitch "vnetkit/switch"
)

// starved is a net.Listener that has no descriptor for its first client.
type starved struct {
	net.Listener
	tried bool
}

func (l *starved) Accept() (net.Conn, error) {
	if !l.tried {
		l.tried = true
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// A console that cannot take a client for lack of descriptors takes the next one.
func TestConsoleOutlivesLackOfDescriptors(t *testing.T) {
	l := newLab(t, vswitch.Options{})
	path := filepath.Join(l.dir, "starved")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.c.Serve(ctx, &starved{Listener: ln}) }()
	c := dialConsole(t, path)
	c.Close()
	stop()
	if err := <-done; err != nil {
		t.Errorf("end: %v", err)
	}
}
