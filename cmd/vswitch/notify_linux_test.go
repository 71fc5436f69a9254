package main

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// systemd hears when the switch is up, and when it stops; also by an abstract
// socket, which some managers use.
func TestNotify(t *testing.T) {
	dir := tempDir(t)
	for _, name := range []string{filepath.Join(dir, "notify"), "@" + filepath.Base(dir)} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		t.Setenv("NOTIFY_SOCKET", name)
		d := start(t, filepath.Join(dir, "sw"))
		for _, want := range []string{"READY=1", "STOPPING=1"} {
			b := make([]byte, 100)
			_ = manager.SetReadDeadline(time.Now().Add(patience))
			n, err := manager.Read(b)
			if err != nil || string(b[:n]) != want {
				t.Fatalf("%s: heard %q, %v, want %q", name, b[:n], err, want)
			}
			d.signal(syscall.SIGTERM)
		}
		<-d.ended
	}
}
