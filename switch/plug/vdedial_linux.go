package plug

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

// newVDEDialer yields plugs into another VDE switch.
func newVDEDialer(spec vdeSpec, opt link.Options) link.Source {
	to := "vde:" + spec.door()
	if spec.port != link.AnyPort {
		to += fmt.Sprintf(",port=%d", spec.port) // which may be in a VLAN of its own there
	}
	return &dialer{text: "vde:" + spec.dir, to: to, opt: opt, dial: spec.dial}
}

// dial plugs in, in the order that VDE switches want: our socket has its name
// until the answer is there, and theirs is connected to it by then.
func (s vdeSpec) dial(ctx context.Context) (link.Link, error) {
	// With links resolved: the switch is to find our socket by this path.
	dir, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return nil, fmt.Errorf("plug into VDE switch: %w", err)
	}
	s.dir = dir
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.door())
	if err != nil {
		return nil, fmt.Errorf("plug into VDE switch: %w", err)
	}
	defer conn.Close()
	own, err := s.bindOwn()
	if err != nil {
		return nil, err
	}
	defer os.Remove(own.path)
	theirs, err := s.ask(ctx, conn, own.path)
	if err == nil {
		err = unix.Connect(own.fd, &unix.SockaddrUnix{Name: theirs})
	}
	if err != nil {
		unix.Close(own.fd)
		return nil, fmt.Errorf("plug into VDE switch %s: %w", s.dir, err)
	}
	control, err := takeFD(conn)
	if err != nil {
		unix.Close(own.fd)
		return nil, err
	}
	return newDgramLink(own.fd, control, peerOf(conn)), nil
}

// ask sends the request and returns the path of the switch's socket.
func (s vdeSpec) ask(ctx context.Context, conn net.Conn, own string) (theirs string, err error) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	req := appendVDERequest(nil, vdeRequest{port: s.port, path: own, description: s.description()})
	if _, err := conn.Write(req); err != nil {
		return "", fmt.Errorf("send request: %w", err)
	}
	var reply [vdeAddrSize]byte
	switch _, err := io.ReadFull(conn, reply[:]); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "", errors.New("no answer (old switches never answer when they refuse a plug: is the port free, and may we use it?)")
	case errors.Is(err, io.EOF):
		return "", errors.New("refused (is the port free, and may we use it?)")
	case err != nil:
		return "", fmt.Errorf("read answer: %w", err)
	}
	return parseVDEReply(reply[:])
}

// description says who we are, in the form of libvdeplug's.
func (s vdeSpec) description() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return fmt.Sprintf("%s user=%s pid=%d", cmp.Or(s.descr, "vswitch"), name, os.Getpid())
}

// ownSocket is our end of a plug in the making.
type ownSocket struct {
	fd   int
	path string
}

var ownSockets atomic.Uint32 // tells those of one process apart

// bindOwn makes our datagram socket, in the switch's directory if we may write
// there, else where everybody may.
func (s vdeSpec) bindOwn() (o ownSocket, err error) {
	o.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return o, fmt.Errorf("make socket: %w", err)
	}
	n := ownSockets.Add(1)
	places := []string{filepath.Join(s.dir, fmt.Sprintf(".%05d-%05d", os.Getpid(), n))}
	for _, dir := range []string{"/var/run", "/var/tmp", "/tmp"} {
		places = append(places, fmt.Sprintf("%s/vde.%05d-%05d", dir, os.Getpid(), n))
	}
	for _, o.path = range places {
		err = unix.Bind(o.fd, &unix.SockaddrUnix{Name: o.path})
		if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EROFS) {
			break
		}
	}
	if err == nil {
		err = s.letSwitchIn(o.path)
	}
	if err != nil {
		unix.Close(o.fd)
		return o, fmt.Errorf("make socket %s: %w", o.path, err)
	}
	return o, nil
}

// letSwitchIn gives our socket a mode by which the switch can connect to it. A
// switch that runs as somebody else gets in by its group, or as anybody.
func (s vdeSpec) letSwitchIn(path string) error {
	f, err := findOwnSocket(path)
	if err != nil {
		return err
	}
	defer f.close()
	if s.gid >= 0 {
		return f.admit(-1, s.gid, s.mode)
	}
	var door unix.Stat_t
	if err := unix.Stat(s.door(), &door); err != nil {
		return err
	}
	if s.mode&0o077 != 0 || door.Uid == 0 || int(door.Uid) == os.Geteuid() {
		return f.admit(-1, -1, s.mode)
	}
	if f.admit(-1, int(door.Gid), s.mode|0o070) == nil {
		return nil
	}
	return f.admit(-1, -1, s.mode|0o077)
}
