package plug

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/link"
)

func TestParseAddress(t *testing.T) {
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"unix:/run/a":          "unix:/run/a",
		"unix:/run/../run//a":  "unix:/run/a",
		"unix:rel":             "unix:" + filepath.Join(wd, "rel"),
		"unix:/a:b":            "unix:/a:b",
		"tcp::5558":            "tcp:127.0.0.1:5558",
		"tcp:0.0.0.0:5558":     "tcp:0.0.0.0:5558",
		"tcp:host.example:1":   "tcp:host.example:1",
		"tcp:[::1]:5558":       "tcp:[::1]:5558",
		"tcp:[::]:65535":       "tcp:[::]:65535",
		"tcp:[fe80::1%eth0]:1": "tcp:[fe80::1%eth0]:1",
		"unix:/" + strings.Repeat("a", maxPath-1): "unix:/" + strings.Repeat("a", maxPath-1),
	} {
		if a, err := parseAddress(text); err != nil || a.String() != want {
			t.Errorf("%q is %v, %v, want %s", text, a, err, want)
		}
	}
	for text, says := range map[string]string{
		"":                                      "want unix:PATH or tcp:HOST:PORT",
		"/run/a":                                "want unix:PATH or tcp:HOST:PORT",
		"udp:1.2.3.4:5":                         "want unix:PATH or tcp:HOST:PORT",
		"unix:":                                 "path is missing",
		"tcp:":                                  "want tcp:HOST:PORT",
		"tcp:5558":                              "want tcp:HOST:PORT",
		"tcp:::1:5558":                          "brackets",
		"tcp:h:0":                               "1 to 65535",
		"tcp:h:65536":                           "1 to 65535",
		"tcp:h:http":                            "1 to 65535",
		"tcp:h:":                                "1 to 65535",
		"unix:/" + strings.Repeat("a", maxPath): "108 bytes",
	} {
		if a, err := parseAddress(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is %v, %v, want an error that says %q", text, a, err, says)
		}
	}
}

func TestOpenRefusesOptions(t *testing.T) {
	for spec, says := range map[string]string{
		"stream:unix:/tmp/x,colour=red":           `unknown key "colour"`,
		"stream:tcp:127.0.0.1:9,mode=0660":        `unknown key "mode"`,
		"stream:unix:/tmp/x,connect=on,mode=0660": `unknown key "mode"`,
		"stream:unix:/tmp/x,connect=maybe":        "on or off",
		"stream:unix:/tmp/x,mode=rw":              "octal",
		"stream:unix:/tmp/x,mode=01777":           "octal",
		"stream:unix:/tmp/x,mode=":                "octal",
		"stream:nowhere":                          "want unix:PATH",
		"stream:unix:/no/such/dir/x":              "no such file or directory",
		"stream:tcp:192.0.2.1:1":                  "cannot assign",
	} {
		src, err := tryOpen(t, spec, link.Options{})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, want an error that says %q", spec, src, err, says)
		}
	}
}

func TestListenMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
		path := socketPath(t)
		open(t, fmt.Sprintf("stream:unix:%s,mode=%o", path, mode), link.Options{})
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != mode || info.Mode().Type() != fs.ModeSocket {
			t.Errorf("mode=%o made %v, %v", mode, info.Mode(), err)
		}
	}
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := socketPath(t)
	stale(t, path)
	src := open(t, "stream:unix:"+path, link.Options{})
	conn := dial(t, "unix", path)
	defer conn.Close()
	if err := accept(t, src).Close(); err != nil {
		t.Error(err)
	}
}

// stale leaves a socket behind, as a process does that is killed.
func stale(t *testing.T, path string) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = ln.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
}

func TestListenLeavesLiveSocketAlone(t *testing.T) {
	path := socketPath(t)
	first := open(t, "stream:unix:"+path, link.Options{})
	_, err := tryOpen(t, "stream:unix:"+path, link.Options{})
	if !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("second one: %v, want an error that names process %d", err, os.Getpid())
	}
	_ = accept(t, first).Close() // the second one had to knock
	conn := dial(t, "unix", path)
	defer conn.Close()
	_ = accept(t, first).Close()
}

// A listener that is alive but overrun does not answer at once.
func TestListenLeavesBusySocketAlone(t *testing.T) {
	path := socketPath(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for full := false; !full; {
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		full = errors.Is(unix.Connect(c, &unix.SockaddrUnix{Name: path}), unix.EAGAIN)
	}
	if _, err := tryOpen(t, "stream:unix:"+path, link.Options{}); err == nil {
		t.Error("took the place of a live listener")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("its socket is gone: %v", err)
	}
}

func TestListenTouchesNothingElse(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"file":            func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) },
		"directory":       func(p string) error { return os.Mkdir(p, 0o700) },
		"fifo":            func(p string) error { return unix.Mkfifo(p, 0o600) },
		"symbolic link":   func(p string) error { return os.Symlink("/etc/passwd", p) },
		"dangling link":   func(p string) error { return os.Symlink(p+"2", p) },
		"link to a stale": func(p string) error { return os.Symlink(p+"3", p) },
	} {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			stale(t, path+"3")
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = tryOpen(t, "stream:unix:"+path, link.Options{})
			if err == nil || !strings.Contains(err.Error(), "not a socket") || !strings.Contains(err.Error(), path) {
				t.Errorf("listen there: %v", err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("it is gone: %v", err)
			}
		})
	}
}

// Close removes the socket it made, but not one that took its place.
func TestListenCloseRemovesOwnSocket(t *testing.T) {
	path := socketPath(t)
	ln, err := ListenUnix(t.Context(), path, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close the socket is still there: %v", err)
	}
	if ln, err = ListenUnix(t.Context(), path, -1); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	other, err := ListenUnix(t.Context(), path, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("Close removed the socket of another listener: %v", err)
	} else {
		_ = conn.Close()
	}
}

func TestListenGoneFileIsNoError(t *testing.T) {
	path := socketPath(t)
	ln, err := ListenUnix(t.Context(), path, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), ln.Close()); err != nil {
		t.Error(err)
	}
}

func TestListenTCPTaken(t *testing.T) {
	_, addr := listenTCP(t, "127.0.0.1")
	if _, err := tryOpen(t, "stream:tcp:"+addr, link.Options{}); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), addr) {
		t.Errorf("second one: %v", err)
	}
}

func TestAcceptEndsWhenClosed(t *testing.T) {
	src := open(t, "stream:unix:"+socketPath(t), link.Options{})
	ended := make(chan error)
	go func() {
		l, err := src.Accept(t.Context())
		if l != nil {
			_ = l.Close()
		}
		ended <- err
	}()
	_ = src.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept says: %v", err)
	}
}

// deadFirst is a net.Listener whose first connection cannot be used.
type deadFirst struct {
	net.Listener
	done bool
}

func (l *deadFirst) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil && !l.done {
		l.done = true
		err = conn.Close()
	}
	return conn, err
}

// A client that cannot be taken, because it has left or there are no descriptors
// just then, does not shut the door for those that come later.
func TestAcceptGoesOnAfterClientItCannotTake(t *testing.T) {
	path := socketPath(t)
	ln, err := ListenUnix(t.Context(), path, -1)
	if err != nil {
		t.Fatal(err)
	}
	src := &listener{address{"unix", path}, &deadFirst{Listener: ln}}
	defer src.Close()
	for range 2 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	l, err := src.Accept(t.Context())
	if err != nil {
		t.Fatalf("the second client: %v", err)
	}
	_ = l.Close()
}

func TestSourceNames(t *testing.T) {
	path := socketPath(t)
	if src := open(t, "stream:unix:"+path, link.Options{}); src.String() != "stream:unix:"+path || !src.Listening() {
		t.Errorf("%v, listening %t", src, src.Listening())
	}
	if src := open(t, "stream:tcp:h:1,connect=on", link.Options{}); src.String() != "stream:tcp:h:1,connect=on" || src.Listening() {
		t.Errorf("%v, listening %t", src, src.Listening())
	}
}
