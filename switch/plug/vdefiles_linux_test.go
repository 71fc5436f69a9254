package plug

import (
	"errors"
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

// The socket that a client names must be its own: else it could have a switch
// that is root send to anybody's.
func TestVDEForeignSocket(t *testing.T) {
	path := deadSocket(t)
	if _, err := connectVDE(vdeRequest{path: path}, link.Peer{UID: os.Getuid() + 1}); err == nil || !strings.Contains(err.Error(), "belongs to uid") {
		t.Errorf("a socket of another user: %v", err)
	}
}

// Nobody but the client can send to the switch's socket for it.
func TestVDEStrangersAreRefused(t *testing.T) {
	l := newVDELab(t, "")
	c, err := linktest.PlugVDE(t, l.door, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.next()
	stranger, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(stranger)
	if err := unix.Sendto(stranger, make([]byte, 60), 0, &unix.SockaddrUnix{Name: c.Path}); !errors.Is(err, unix.EPERM) {
		t.Errorf("a stranger's frame: %v", err)
	}
}

// The files: as many as there are plugs, with these modes, and none afterwards
// but those that are not ours.
func TestVDEFiles(t *testing.T) {
	l := newVDELab(t, ",mode=0660,group=0")
	if info, err := os.Stat(l.door); err != nil || info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("the door is %v, %v", info.Mode(), err)
	}
	c, err := linktest.PlugVDE(t, l.door, 12<<8, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := l.next()
	if want := fmt.Sprintf("%s/012.%d", l.dir, p.FD()); c.Path != want {
		t.Errorf("the switch's socket is %s, want %s", c.Path, want)
	}
	if info, err := os.Stat(c.Path); err != nil || info.Mode() != os.ModeSocket|0o600 && os.Getuid() == 0 {
		t.Errorf("it is %v, %v", info.Mode(), err)
	}
	if err := os.Remove(c.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Path, []byte("somebody's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.Path); err != nil {
		t.Errorf("a file that is not ours: %v", err)
	}
}

// A plug whose client has left before the answer leaves nothing.
func TestVDEClientLeavesBeforeAnswer(t *testing.T) {
	src, dir := openVDE(t, "", link.Options{})
	c := linktest.NewVDEClient(t, filepath.Join(dir, "ctl"))
	write(t, c.Ctl, linktest.VDERequest(3, 0, c.Own, ""))
	p := accept(t, src).(*vdePlug)
	_ = c.Close()
	if err := p.Welcome(1); !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("welcome of one who has left: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Welcome(2); !errors.Is(err, net.ErrClosed) {
		t.Errorf("welcome after the end: %v", err)
	}
	if list, _ := filepath.Glob(dir + "/[0-9]*"); len(list) > 0 {
		t.Errorf("left in the directory: %v", list)
	}
}

// What a switch left that was killed is removed; what lives, or is something
// else, stays.
func TestVDEStalePorts(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	place := func(name string, open bool) string {
		path := filepath.Join(dir, name)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}
		if err != nil {
			t.Fatal(err)
		}
		if open {
			t.Cleanup(func() { unix.Close(fd) })
		} else {
			unix.Close(fd)
		}
		return path
	}
	gone := []string{place("001.7", false), place("12345.678", false)}
	stay := []string{place("002.8", true), place("other", false), place(".00001-00000", false), filepath.Join(dir, "003.9")}
	if err := os.WriteFile(stay[3], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	openKind(t, VDE(), "vde:"+dir+",listen=on", link.Options{})
	for _, path := range gone {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	for _, path := range stay {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestVDEOpenFails(t *testing.T) {
	dir := filepath.Dir(socketPath(t))
	deep := filepath.Join(dir, strings.Repeat("d", vdeMaxDir))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(dir, "short")
	if err := os.Symlink(deep, short); err != nil {
		t.Fatal(err)
	}
	openKind(t, VDE(), "vde:"+dir+",listen=on", link.Options{})
	for text, says := range map[string]string{
		"vde:/no/such/dir,listen=on":  "no such file",
		"vde:" + short + ",listen=on": "choose a shorter one", // clients would be told the long path
		"vde:" + dir + ",listen=on":   fmt.Sprint("process ", os.Getpid()),
	} {
		spec, _ := link.ParseSpec(text)
		if src, err := VDE().Open(t.Context(), spec, link.Options{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v; want an error that says %q", text, src, err, says)
		}
	}
}
