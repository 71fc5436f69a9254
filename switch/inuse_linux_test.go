package vswitch

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vnetkit/switch/link"
	sockets "vnetkit/switch/plug"
)

// What a port or door of the switch has is in use by that, not by anybody.
func TestWhatIsInUseHasAName(t *testing.T) {
	dir := cableDir(t)
	path := filepath.Join(dir, "x")
	for _, c := range []struct {
		first, second, says string
		errno               syscall.Errno
	}{
		{"stream:unix:" + path, "stream:unix:" + path, "door stream:unix:" + path, syscall.EADDRINUSE},
		{"stream:unix:" + path + ",name=vm1", "stream:unix:" + dir + "/./x", "port vm1 ", syscall.EADDRINUSE},
		{"stream:unix:" + path, "vde:" + path + ",listen=on", "door stream:unix:" + path, syscall.ENOTDIR},
		{"dgram:unix:" + path + ",remote=" + path + "2,name=d", "stream:unix:" + path, "port d ", syscall.EPROTOTYPE},
		{"vde:" + dir + ",listen=on", "vde:" + dir + ",listen=on", "door vde:" + dir, syscall.EADDRINUSE},
	} {
		sw := cableLab(t, Options{})
		if _, err := sw.Add(t.Context(), c.first); err != nil {
			t.Fatal(err)
		}
		_, err := sw.Add(t.Context(), c.second)
		if !errors.Is(err, ErrPortExists) || !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s, then %s: %v", c.first, c.second, err)
		}
		if err := sw.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The same for a cable, which finds out when it dials.
func TestCableToADoorOfTheSwitch(t *testing.T) {
	path := filepath.Join(cableDir(t), "x")
	l := newLab(t, Options{Kinds: []link.Kind{sockets.VDE(), sockets.Stream()}})
	if _, err := l.sw.Add(t.Context(), "stream:unix:"+path); err != nil {
		t.Fatal(err)
	}
	added, err := l.sw.Add(t.Context(), "vde:"+path)
	if err != nil {
		t.Fatal(err)
	}
	l.waitFor("the reason names the door", func() bool {
		return strings.Contains(l.port(added.Port.Config.Name).Reason, "door stream:unix:"+path)
	})
}
