package plug

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// ListenUnix opens a listening Unix socket, in place of one whose listener has
// died. mode, if not -1, is that of the socket's file. Close removes the file if
// it is still the one that was made here.
func ListenUnix(ctx context.Context, path string, mode int) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if errors.Is(err, unix.EADDRINUSE) {
		if err := removeStale(ctx, path); err != nil {
			return nil, err
		}
		ln, err = lc.Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on unix:%s: %w", path, err)
	}
	u := &unixListener{UnixListener: ln.(*net.UnixListener), path: path}
	u.SetUnlinkOnClose(false)
	if u.inode, err = os.Lstat(path); err == nil && mode >= 0 {
		err = os.Chmod(path, fs.FileMode(mode))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on unix:%s: %w", path, err), u.Close())
	}
	return u, nil
}

// unixListener removes its file by itself, and no other.
type unixListener struct {
	*net.UnixListener
	path  string
	inode os.FileInfo
}

// Close stops listening and removes the socket's file.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if now, e := os.Lstat(l.path); e == nil && os.SameFile(now, l.inode) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}

// Holder finds the process that listens on a Unix socket, if there is one and
// this one may connect.
func Holder(path string) (pid int, ok bool) {
	pid, err := holder(context.Background(), path)
	return pid, err == nil
}

func holder(ctx context.Context, path string) (pid int, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return peerOf(conn).PID, nil
}

// listener yields a Link for each client.
type listener struct {
	addr address
	ln   net.Listener
}

func listen(ctx context.Context, addr address, mode int) (link.Source, error) {
	if addr.network == "unix" {
		ln, err := ListenUnix(ctx, addr.text, mode)
		if err != nil {
			return nil, err
		}
		return &listener{addr, ln}, nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, addr.network, addr.text)
	if err != nil {
		return nil, fmt.Errorf("listen on %v: %w", addr, err)
	}
	return &listener{addr, ln}, nil
}

// removeStale removes a socket whose listener has died. It touches nothing that
// is not a socket, and no socket that somebody serves.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("listen on unix:%s: %w", path, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen on unix:%s: there is something that is not a socket; remove it or choose another path", path)
	}
	pid, err := holder(ctx, path)
	if err == nil {
		return fmt.Errorf("listen on unix:%s: %w: process %d listens there", path, unix.EADDRINUSE, pid)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("listen on unix:%s: is somebody there? %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("listen on unix:%s: remove stale socket: %w", path, err)
	}
	return nil
}

// Accept implements link.Source.
func (l *listener) Accept(ctx context.Context) (link.Link, error) {
	for {
		conn, err := l.ln.Accept()
		switch {
		case err == nil: // a client that cannot be taken is no reason to shut the door
			if taken, err := takeSocket(conn); err == nil {
				return taken, nil
			}
		case errors.Is(err, net.ErrClosed):
			return nil, fmt.Errorf("accept on %v: %w", l.addr, err)
		}
		if !link.Recover(ctx.Done()) {
			return nil, ctx.Err()
		}
	}
}

// Listening implements link.Source.
func (l *listener) Listening() bool { return true }

// String implements link.Source.
func (l *listener) String() string { return "stream:" + l.addr.String() }

// Close implements link.Source.
func (l *listener) Close() error { return l.ln.Close() }
