package plug

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
)

// QEMU reads a stream without regard to what its guest takes, and keeps what the
// guest has no room for in a queue that has no end. It does stop to read while
// frames wait there, but only until the guest has taken one of them, and then
// reads whatever the socket holds: a thousand small frames for every few that the
// guest took. In a flood of small frames its memory grows by 50 MiB a second, and
// the guest lives in the past.
//
// So the socket to a QEMU never holds more of them than a guest takes at once. A
// driver gives back the room that frames have left in steps of at least
// creditFrames (Linux's virtio_net of 32), so what is read for each of these steps
// is not more than it took. Long frames do not count: what QEMU reads at once has
// no more than 49 of them, and a bulk transfer needs the depth.
//
// Other readers are not limited. They take what they read, and would only be woken
// more often. Nor is who comes over TCP, be it a QEMU: to the kernel, what has
// arrived there is gone, so that nobody here can tell what waits.
const (
	creditFrames = 32
	longFrame    = 1400 // bytes; shorter ones count
)

// credit counts the small frames that a reader may not have read yet. The zero
// value is that of a reader without limit. It belongs to the writer.
type credit struct {
	limited bool
	least   int  // the smallest buffer of a socket, in bytes
	shrunk  bool // the socket's buffer is that small
	spent   int  // frames since the socket was seen empty
}

// newCredit limits what a socket holds for its reader.
func newCredit(s *socket) (c credit, err error) {
	c.limited = true
	if err := c.shrink(s, true); err != nil {
		return c, err
	}
	if c.least, err = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF); err != nil {
		return c, err
	}
	return c, c.shrink(s, false)
}

// take returns how many of refs, from the front, may be written now. If these are
// not all, exhausted is to be called when they are written.
func (c *credit) take(s *socket, refs []frame.Ref) (int, error) {
	if c.spent >= creditFrames {
		unread, err := unix.IoctlGetInt(s.fd, unix.SIOCOUTQ)
		switch {
		case err != nil:
			return 0, err
		case unread > c.least/4: // see shrink
			return 0, nil
		}
		c.spent = 0
	}
	for i, r := range refs {
		if r.Len >= longFrame {
			continue
		}
		if c.spent == creditFrames {
			return i, c.shrink(s, false)
		}
		c.spent++
	}
	return len(refs), c.shrink(s, false)
}

// exhausted has the socket be writable only when it is worth asking again.
func (c *credit) exhausted(s *socket) error { return c.shrink(s, true) }

// shrink makes the socket's buffer as small as can be, or as it was. The kernel
// says that a socket is writable when no more than a quarter of its buffer is
// taken; so a small one is not before all has been read but, perhaps, a lone
// small frame.
func (c *credit) shrink(s *socket, small bool) error {
	if c.shrunk == small {
		return nil
	}
	c.shrunk = small
	size := sendBuffer
	if small {
		size = 1
	}
	return unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
}

// isQEMU tells whether a process is a QEMU, by its names, which any user may read:
// the one that it has given itself, which "-name x,process=y" changes, and the one
// that it was started by, which may be a wrapper's, such as .qemu-wrapped.
func isQEMU(pid int) bool {
	if pid <= 0 {
		return false
	}
	for _, file := range []string{"comm", "cmdline"} {
		name, err := firstWord("/proc/" + strconv.Itoa(pid) + "/" + file)
		if err == nil && strings.Contains(filepath.Base(name), "qemu") {
			return true
		}
	}
	return false
}

// firstWord is what a file has before its first NUL byte, if that comes early.
func firstWord(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, err := f.Read(b)
	word, _, _ := strings.Cut(string(b[:n]), "\x00")
	return word, err
}
