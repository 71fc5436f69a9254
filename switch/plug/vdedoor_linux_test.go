package plug

import (
	"path/filepath"
	"testing"

	"vnetkit/switch/link"
	"vnetkit/switch/link/linktest"
)

// openVDE opens a door in a directory of its own.
func openVDE(t testing.TB, keys string, opt link.Options) (src link.Source, dir string) {
	t.Helper()
	dir = filepath.Dir(socketPath(t))
	return openKind(t, VDE(), "vde:"+dir+",listen=on"+keys, opt), dir
}

// openKind opens a Spec and closes it when the test ends.
func openKind(t testing.TB, kind link.Kind, text string, opt link.Options) link.Source {
	t.Helper()
	spec, err := link.ParseSpec(text)
	if err != nil {
		t.Fatal(err)
	}
	src, err := kind.Open(t.Context(), spec, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = src.Close() })
	return src
}

// receptionist accepts one client and gives it port 1, as the switch would.
func receptionist(t testing.TB, src link.Source) <-chan *vdePlug {
	out := make(chan *vdePlug, 1)
	done := make(chan struct{})
	t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		l, err := src.Accept(t.Context())
		if err != nil {
			return
		}
		p := l.(*vdePlug)
		if err := p.Welcome(max(p.Claim().Port, 1)); err != nil {
			t.Errorf("welcome: %v", err)
		}
		out <- p
	}()
	return out
}

func TestVDEDoor(t *testing.T) {
	linktest.Run(t, func(t testing.TB) (link.Link, *linktest.Station) {
		src, dir := openVDE(t, "", link.Options{})
		links := receptionist(t, src)
		c, err := linktest.PlugVDE(t, filepath.Join(dir, "ctl"), 0, "test user=tester pid=1")
		if err != nil {
			t.Fatal(err)
		}
		return <-links, linktest.NewStation(t, c)
	})
}
