package plug

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
)

// pathLink is a datagram socket with a name, connected to one with a name. To be
// connected has two uses: the kernel lets nobody else send to us, and it says
// when the other side takes more. The other side itself needs not be connected.
//
// A datagram socket never says that its peer has ended: writing to it does, and
// reading cannot. But the next one to use the peer's path has to remove the old
// socket there first, and of that inotify(7) tells.
type pathLink struct {
	*dgramLink
	watch int         // inotify on the peer's path
	local string      // our path
	made  os.FileInfo // our socket's file, to be removed
}

var (
	_ link.Peered     = (*pathLink)(nil)
	_ link.Controlled = (*pathLink)(nil)
)

// ControlFD implements link.Controlled.
func (l *pathLink) ControlFD() int { return l.watch }

// ReadBatch implements link.Link.
func (l *pathLink) ReadBatch(b *frame.Batch) error {
	err := l.dgramLink.ReadBatch(b)
	if err != nil || b.More || len(b.Refs)+b.Runts+b.Giants > 0 {
		return err
	}
	var news [4096]byte
	if n, err := unix.Read(l.watch, news[:]); err == nil && n > 0 {
		return io.EOF
	}
	return nil
}

// Close implements link.Link.
func (l *pathLink) Close() error {
	return errors.Join(l.dgramLink.Close(), unix.Close(l.watch), removeMade(l.local, l.made))
}

// removeMade removes a file if it is the one that was made.
func removeMade(path string, made os.FileInfo) error {
	if now, err := os.Lstat(path); err != nil || !os.SameFile(now, made) {
		return nil
	}
	return os.Remove(path)
}

// dgramSource yields a link for one peer after another.
type dgramSource struct {
	dialer
	spec dgramSpec

	mu     sync.Mutex
	conn   *net.UnixConn // bound to LOCAL and not yet a link's; nil: there is none
	made   os.FileInfo
	closed bool
}

func openDgram(_ context.Context, spec dgramSpec, opt link.Options) (link.Source, error) {
	s := &dgramSource{spec: spec}
	s.dialer = dialer{text: spec.text, dial: s.plug, opt: opt}
	_, err := s.bound()
	return s, err
}

// bound is the socket at LOCAL.
func (s *dgramSource) bound() (_ *net.UnixConn, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil && !s.closed {
		s.conn, s.made, err = s.spec.bind()
	}
	if s.closed {
		return nil, net.ErrClosed
	}
	return s.conn, err
}

// Close implements link.Source.
func (s *dgramSource) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.conn == nil {
		return nil
	}
	err := errors.Join(s.conn.Close(), removeMade(s.spec.local, s.made))
	s.conn = nil
	return err
}

// bind makes a socket at LOCAL, in place of one that nobody has any more.
func (s dgramSpec) bind() (*net.UnixConn, os.FileInfo, error) {
	addr := &net.UnixAddr{Name: s.local, Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", addr)
	if errors.Is(err, unix.EADDRINUSE) {
		if err := removeStaleDgram(s.local); err != nil {
			return nil, nil, err
		}
		conn, err = net.ListenUnixgram("unixgram", addr)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("bind unix:%s: %w", s.local, err)
	}
	made, err := os.Lstat(s.local)
	if err == nil && s.mode >= 0 {
		err = os.Chmod(s.local, fs.FileMode(s.mode))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("bind unix:%s: %w", s.local, err), conn.Close())
	}
	return conn, made, nil
}

// removeStaleDgram removes a datagram socket whose owner has died, and nothing
// else.
func removeStaleDgram(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("bind unix:%s: %w", path, err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("bind unix:%s: there is something that is not a socket; remove it or choose another path", path)
	}
	conn, err := net.Dial("unixgram", path)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("bind unix:%s: %w: another process has it", path, unix.EADDRINUSE)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("bind unix:%s: remove stale socket: %w", path, err)
	}
	return nil
}

// plug connects the socket to the peer.
func (s *dgramSource) plug(ctx context.Context) (link.Link, error) {
	conn, err := s.bound()
	if err != nil {
		return nil, err
	}
	remote, first := s.spec.remote, []byte(nil)
	if remote == "" {
		if remote, first, err = firstSender(ctx, conn); err != nil {
			return nil, err
		}
	}
	watch, err := watchPath(remote)
	if err != nil {
		return nil, fmt.Errorf("nobody has a socket at %s: %w", remote, err)
	}
	l, err := s.connect(conn, remote)
	if err != nil {
		unix.Close(watch)
		return nil, fmt.Errorf("connect to %s: %w", remote, err)
	}
	l.watch = watch
	if len(first) > 0 {
		l.late = append(l.late, first)
	}
	l.late = append(l.late, early(l.sock.fd, remote)...)
	return l, nil
}

// connect makes the link's socket of the one at LOCAL.
func (s *dgramSource) connect(conn *net.UnixConn, remote string) (*pathLink, error) {
	fd, err := takeFD(conn)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: remote}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != conn { // closed meanwhile
		unix.Close(fd)
		return nil, net.ErrClosed
	}
	_ = conn.Close() // fd goes on
	s.conn = nil
	in := newDgramLink(fd, -1, link.Peer{UID: -1, Addr: "unix:" + remote})
	return &pathLink{dgramLink: in, local: s.spec.local, made: s.made}, nil
}

// vfkitHello is what vfkit sends before its first frame.
const vfkitHello = "VFKT"

// firstSender waits for a datagram from a socket with a name, and returns both.
func firstSender(ctx context.Context, conn *net.UnixConn) (path string, first []byte, err error) {
	_ = conn.SetReadDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, frame.MaxLen+1)
	for {
		n, from, err := conn.ReadFromUnix(buf)
		switch {
		case err != nil:
			return "", nil, fmt.Errorf("wait for a peer: %w", err)
		case from == nil || from.Name == "" || strings.HasPrefix(from.Name, "@"):
			continue // could not be answered, nor told from others
		case string(buf[:n]) == vfkitHello:
			return from.Name, nil, nil
		case n >= frame.HeaderLen && n <= frame.MaxLen:
			return from.Name, buf[:n:n], nil
		}
	}
}

// early takes what has come in before fd was connected, and returns what was the
// peer's.
func early(fd int, remote string) (frames [][]byte) {
	buf := make([]byte, frame.MaxLen+1)
	for range maxMsgs {
		n, from, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err != nil {
			break
		}
		if sa, ok := from.(*unix.SockaddrUnix); ok && sa.Name == remote && n >= frame.HeaderLen && n <= frame.MaxLen {
			frames = append(frames, append([]byte(nil), buf[:n]...))
		}
	}
	return frames
}

// watchPath tells of the removal or replacement of a file.
func watchPath(path string) (int, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return -1, err
	}
	// A removed file that is still in use changes its number of names only.
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_ATTRIB|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
