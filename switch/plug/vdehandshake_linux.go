package plug

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

const (
	// vdePatience is what a client has for its request.
	vdePatience = 2 * time.Second
	// vdeRestTime is how long a request that came in pieces, and is complete,
	// may be followed by more of its description.
	vdeRestTime = 250 * time.Millisecond
)

// errJustLooking says that who connected left without a word, as programs do
// that want to know whether a switch is there.
var errJustLooking = errors.New("nothing was asked for")

// handshake is the first half: read the request, and connect to the client's
// socket, which has a name only until it is answered. The other half, giving it
// a port, is for the switch to begin (vdePlug.Welcome).
func (d *vdeDoor) handshake(g *guest) (*vdePlug, error) {
	req, err := readVDERequest(g.conn)
	if err != nil {
		return nil, err
	}
	control, err := takeFD(g.conn)
	if err != nil {
		return nil, err
	}
	data, err := connectVDE(req, g.peer)
	if err != nil {
		_ = unix.Close(control)
		return nil, err
	}
	peer := g.peer
	peer.Description = req.description
	return &vdePlug{
		dgramLink: newDgramLink(data, control, peer),
		door:      d.spec,
		claim:     link.Claim{Port: req.port, UID: peer.UID, GIDs: groupsOf(control)},
	}, nil
}

// readVDERequest collects a request, in however many pieces it comes.
func readVDERequest(conn net.Conn) (r vdeRequest, err error) {
	var buf [vdeMaxSize]byte
	have, pieces := 0, 0
	_ = conn.SetReadDeadline(time.Now().Add(vdePatience))
	for {
		n, err := conn.Read(buf[have:])
		have += n
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return r, fmt.Errorf("no request within %v, only %d bytes", vdePatience, have)
		case err != nil && have == 0:
			return r, errJustLooking
		case errors.Is(err, io.EOF):
			return r, fmt.Errorf("hung up after %d bytes of a request", have)
		case err != nil:
			return r, fmt.Errorf("read request: %w", err)
		}
		pieces++
		r, err = parseVDERequest(buf[:have])
		if err == nil {
			break
		}
		if !errors.Is(err, errShortRequest) {
			return r, fmt.Errorf("bad request: %w", err)
		}
	}
	for pieces > 1 && have < len(buf) {
		_ = conn.SetReadDeadline(time.Now().Add(vdeRestTime))
		n, err := conn.Read(buf[have:])
		if have += n; err != nil {
			break
		}
	}
	return parseVDERequest(buf[:have])
}

// connectVDE makes a socket that is connected to the client's. From then on the
// kernel lets nobody else send to it, and needs the client's name no more.
func connectVDE(r vdeRequest, peer link.Peer) (fd int, err error) {
	name := r.path
	if !r.abstract {
		f, err := findSocket(r.path)
		if err != nil {
			return -1, err
		}
		defer f.close()
		// Else a client could have us, who may be root, send frames to the
		// sockets of others.
		if peer.UID != 0 && f.uid != peer.UID {
			return -1, fmt.Errorf("the socket %s belongs to uid %d, the client is uid %d", r.path, f.uid, peer.UID)
		}
		name = f.name()
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("make socket for client: %w", err)
	}
	// Not unix.Connect: it refuses an abstract name of full length.
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: name}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to client's socket %q: %w%s", strings.TrimRight(r.path, "\x00"), err, connectHint(err))
	}
	return fd, nil
}

func connectHint(err error) string {
	switch {
	case errors.Is(err, unix.EACCES):
		return " (its mode lets only its owner in; run the switch as that user or as root, or give the client a mode)"
	case errors.Is(err, unix.EPROTOTYPE):
		return " (it is no datagram socket)"
	}
	return ""
}

// soPeerGroups is SO_PEERGROUPS (Linux 4.13).
const soPeerGroups = 59

// groupsOf lists the groups of who is on the other end, the main one included.
func groupsOf(fd int) []int {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil
	}
	list := []int{int(cred.Gid)}
	for room := 64; room <= 1<<16; room *= 4 {
		gids := make([]uint32, room)
		size := uint32(4 * room)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, soPeerGroups,
			uintptr(unsafe.Pointer(&gids[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno == unix.ERANGE {
			continue
		}
		if errno == 0 {
			for _, g := range gids[:size/4] {
				list = append(list, int(g))
			}
		}
		break
	}
	return list
}

// vdePlug is the Link of a client that plugged in at our door.
type vdePlug struct {
	*dgramLink
	door  vdeSpec
	claim link.Claim

	mu     sync.Mutex // Welcome may come when the client has left already
	closed bool
	path   string // of our socket; "": it has no name yet
	dev    uint64
	ino    uint64
}

var (
	_ link.Claimant = (*vdePlug)(nil)
	_ link.Bounded  = (*vdePlug)(nil)
)

// Claim implements link.Claimant.
func (l *vdePlug) Claim() link.Claim { return l.claim }

// QueueLimit implements link.Bounded.
func (l *vdePlug) QueueLimit() int { return l.door.queue }

// Welcome implements link.Claimant. It is the second half of the handshake: our
// socket gets a name, and the client is told.
func (l *vdePlug) Welcome(id int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	if err := l.bind(id); err != nil {
		return err
	}
	reply := appendVDEAddr(nil, l.path)
	n, err := unix.SendmsgN(l.control, reply, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == nil && n < len(reply) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("answer client: %w", err)
	}
	return nil
}

// bind gives our socket its name, DIR/NNN.F as VDE has it: F only has to differ
// from those of the other clients on port NNN.
func (l *vdePlug) bind(id int) error {
	const tries, apart = 8, 100_000
	var path string
	var err error
	for i := range tries {
		path = filepath.Join(l.door.dir, fmt.Sprintf("%03d.%d", id, l.FD()+i*apart))
		if len(path) > maxPath {
			return fmt.Errorf("name socket %s: the path has %d bytes, a socket's may have %d", path, len(path), maxPath)
		}
		if err = unix.Bind(l.FD(), &unix.SockaddrUnix{Name: path}); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("name socket %s: %w", path, err)
	}
	if err := l.admitClient(path); err != nil {
		return fmt.Errorf("open socket %s to the client: %w", path, err)
	}
	return nil
}

// admitClient lets the client, and as few others as can be, connect to our
// socket. It may widen that itself, as libvdeplug does.
func (l *vdePlug) admitClient(path string) error {
	f, err := findOwnSocket(path)
	if err != nil {
		return err
	}
	defer f.close()
	l.path, l.dev, l.ino = path, f.dev, f.ino
	if os.Geteuid() == 0 {
		return f.admit(l.peer.UID, -1, l.door.mode&0o700)
	}
	return f.admit(-1, l.door.gid, l.door.mode)
}

// socketFile is a socket's name in the file system, looked up once: others may
// be able to put something else in its place.
type socketFile struct {
	fd       int // opened O_PATH
	uid      int
	dev, ino uint64
}

func findSocket(path string) (f socketFile, err error) {
	f.fd, err = unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return f, fmt.Errorf("find socket %s: %w", path, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(f.fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = errors.New("it is no socket")
	}
	if err != nil {
		f.close()
		return f, fmt.Errorf("look at socket %s: %w", path, err)
	}
	f.uid, f.dev, f.ino = int(st.Uid), st.Dev, st.Ino
	return f, nil
}

// findOwnSocket is findSocket for one that we have made this moment.
func findOwnSocket(path string) (socketFile, error) {
	f, err := findSocket(path)
	if err == nil && f.uid != os.Geteuid() {
		f.close()
		return f, fmt.Errorf("somebody has put something else in the place of %s", path)
	}
	return f, err
}

// name is a path by which the kernel finds the socket, whatever has become of
// its own path.
func (f socketFile) name() string { return "/proc/self/fd/" + strconv.Itoa(f.fd) }

// admit changes owner, group (-1: not) and mode.
func (f socketFile) admit(uid, gid, mode int) error {
	if err := unix.Fchownat(f.fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	return unix.Chmod(f.name(), uint32(mode))
}

func (f socketFile) close() { unix.Close(f.fd) }

// Close implements link.Link. It removes our socket's name, if it is still ours.
func (l *vdePlug) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var err error
	if l.path != "" {
		var now unix.Stat_t
		if unix.Lstat(l.path, &now) == nil && now.Dev == l.dev && now.Ino == l.ino {
			err = os.Remove(l.path)
		}
	}
	return errors.Join(l.dgramLink.Close(), err)
}
