package plug

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vnetkit/switch/frame"
	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// limit makes a Link what it is to a QEMU.
func limit(t testing.TB, l *streamLink) {
	t.Helper()
	var err error
	if l.credit, err = newCredit(&l.sock); err != nil {
		t.Fatal(err)
	}
}

func TestStreamToQEMU(t *testing.T) {
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		path := socketPath(t)
		src := open(t, "stream:unix:"+path, link.Options{})
		station := linktest.NewStation(t, newWire(dial(t, "unix", path)))
		l := accept(t, src)
		limit(t, l.(*streamLink))
		return l, station
	})
}

// The socket to a QEMU holds few small frames, however they are written, and is
// writable when these are read; long ones are not counted.
func TestCredit(t *testing.T) {
	l, far := pair(t)
	limit(t, l)
	writable := func() bool {
		p := []unix.PollFd{{Fd: int32(l.FD()), Events: unix.POLLOUT}}
		n, err := unix.Poll(p, 0)
		return err == nil && n == 1
	}
	read := func(n int) {
		t.Helper()
		if _, err := io.ReadFull(far, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(b *frame.Batch, want int, full bool) {
		t.Helper()
		if n, err := l.WriteBatch(b); n != want || errors.Is(err, link.ErrFull) != full {
			t.Fatalf("%d of %d frames taken, %v; want %d", n, len(b.Refs), err, want)
		}
	}
	const small, long = 60, 1514
	frames := func(n, size int) *frame.Batch {
		b := &frame.Batch{Buf: make([]byte, size)}
		for range n {
			b.Refs = append(b.Refs, frame.Ref{Len: uint32(size)})
		}
		return b
	}
	for range 3 {
		write(frames(100, small), creditFrames, true)
		if writable() {
			t.Fatal("writable, and nothing is read")
		}
		write(frames(1, small), 0, true)
		write(frames(1, long), 0, true) // nothing overtakes
		read(creditFrames * (frame.PrefixLen + small))
		if !writable() {
			t.Fatal("not writable, and all is read")
		}
	}
	for range creditFrames {
		write(frames(1, small), 1, false)
	}
	write(frames(1, small), 0, true)
	read(creditFrames * (frame.PrefixLen + small))
	write(frames(100, long), 100, false)
	write(frames(1, small), 1, false)
	read(100*(frame.PrefixLen+long) + frame.PrefixLen + small)
}

// A QEMU is known by one of its names.
func TestIsQEMU(t *testing.T) {
	for _, tc := range []struct {
		program, argv0 string
		want           bool
	}{
		{"qemu-system-x86_64", "/usr/bin/qemu-system-x86_64", true},
		{"renamed", "/usr/bin/qemu-system-x86_64", true},
		{"qemu-kvm", "vm1", true},
		{".qemu-wrapped", "vm1", true},
		{"other", "/home/qemu/other", false},
		{"other", "", false},
	} {
		if got := isQEMU(namedCat(t, tc.program, tc.argv0)); got != tc.want {
			t.Errorf("%s, called %q: %v", tc.program, tc.argv0, got)
		}
	}
	if isQEMU(0) || isQEMU(-1) {
		t.Error("nobody is a QEMU")
	}
}

// namedCat runs cat under other names until the test ends.
func namedCat(t *testing.T, program, argv0 string) (pid int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), program)
	text, err := os.ReadFile("/bin/cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Args = []string{argv0}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pipe.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return cmd.Process.Pid
}
