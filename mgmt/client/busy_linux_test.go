package client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"vnetkit/mgmt/api"
	"vnetkit/mgmt/mgmttest"
)

// Where the listener's queue is full Linux fails a non-blocking connect at
// once. The client waits instead, as long as it may.
func TestFullQueue(t *testing.T) {
	dir := mgmttest.Dir(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "api")
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), socket)
	defer f.Close()
	first, err := net.Dial("unix", socket) // fills a queue of one
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	c, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Timeout = 10 * time.Millisecond
	if _, err = c.Info(t.Context()); !errors.Is(err, api.ErrBusy) {
		t.Errorf("as long as the queue is full: %v", err)
	}

	c.Timeout = mgmttest.Patience
	c.queueFull.Store(false)
	answered := make(chan error, 1)
	go func() {
		_, err := c.Info(t.Context())
		answered <- err
	}()
	mgmttest.Until(t, "it has found the queue full", c.queueFull.Load)
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for range 2 { // the one that filled the queue, then the client
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		go func() {
			_, _ = nc.Read(make([]byte, 4096))
			fmt.Fprint(nc, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"schema\":1}")
			nc.Close()
		}()
	}
	if err := <-answered; err != nil {
		t.Errorf("when the queue had room: %v", err)
	}
}
