//go:build linux

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// TCP one way between a kernel behind a TAP and a stream client that knows no offload: the switch cuts what the one
// sends, and merges what the other sends. Beside it frames of the same length from stream to stream, which nobody touches.

const (
	bulkBase     = "stream to stream"
	bulkOut      = "tap to stream"
	bulkOutPlain = "tap,offload=off to stream"
	bulkIn       = "stream to tap"
	bulkInPlain  = "stream to tap,offload=off"
)

func bulkScenarios(vswitch string, s settings) []*scenario {
	var list []*scenario
	p := &peer{name: self, start: func(b *bed, p *plan) (*running, error) { return startVswitch(b, vswitch, p) }}
	for _, mtu := range []int{1500, 9000} {
		sc := &scenario{name: fmt.Sprintf("host/bulk/%d", mtu), table: tableHost}
		sc.cells = append(sc.cells, cell{name: bulkBase, peer: p, plan: &plan{jobs: pairJobs(1, mtu+14, 64), dur: s.dur}})
		for _, m := range []bulk{{name: bulkOut, out: true}, {name: bulkOutPlain, out: true, keys: ",offload=off"}, {name: bulkIn}, {name: bulkInPlain, keys: ",offload=off"}} {
			m.mtu, m.dur = mtu, s.dur
			sc.cells = append(sc.cells, cell{name: m.name, peer: p, direct: func(b *bed) (values, error) { return m.measure(b, vswitch) }})
		}
		list = append(list, sc)
	}
	return list
}

// bulk is one such way.
type bulk struct {
	name, keys string // of the TAP
	out        bool   // from the TAP to the stream
	mtu        int
	dur        time.Duration
}

func (m bulk) measure(b *bed, vswitch string) (values, error) {
	s, err := newSite(b, m.mtu)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	dir := filepath.Join(b.dir, "sw")
	s.daemon(s.mid.in(vswitch, "-q", "-s", dir, "--port", fmt.Sprintf("tap:p1,mac=%s,mtu=%d,netns=%s%s", macText(hostMAC), m.mtu, s.ends[0].path(), m.keys)))
	s.awaitDevice(0)
	s.ip(s.ends[0], "neigh add 10.77.0.9 dev p1 lladdr "+macText(tinyMAC))
	if s.failed != nil {
		return nil, s.failed
	}
	c, err := newTinyTCP(filepath.Join(dir, "stream"), m.mtu)
	if err != nil {
		return nil, err
	}
	defer unix.Close(c.fd)
	k, err := newKernelEnd(s.ends[0].proc.pid(), m.out)
	if err != nil {
		return nil, err
	}
	defer k.stop()
	run, count := c.sink, func() int64 { return c.received }
	for end := time.Now().Add(5 * time.Second); m.out && c.received == 0 && time.Now().Before(end); {
		if err := c.sink(time.Now().Add(10 * time.Millisecond)); err != nil { // the kernel asks again if the port was not there yet
			return nil, err
		}
	}
	if !m.out {
		run, count = c.source, k.received.Load
		if err := c.connect(); err != nil {
			return nil, err
		}
	}
	if err := run(time.Now().Add(300 * time.Millisecond)); err != nil { // until TCP has found its speed
		return nil, err
	}
	from, begun := count(), time.Now()
	if err := run(begun.Add(m.dur)); err != nil {
		return nil, err
	}
	n, took := count()-from, time.Since(begun)
	if n == 0 {
		return nil, errors.Join(fmt.Errorf("%s: nothing arrived", m.name), k.failed())
	}
	return values{mGbps: float64(n) * 8 / 1e9 / took.Seconds()}, nil
}

func macText(m [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// kernelEnd is a socket of a namespace's TCP that only sends, or only receives.
type kernelEnd struct {
	fd       int
	conn     atomic.Int64 // the descriptor that was accepted; 0: none
	received atomic.Int64
	err      error // when done is closed
	done     chan struct{}
}

// newKernelEnd makes the socket in the namespace of a process. It lives on a thread of its own, which ends with it.
func newKernelEnd(pid int, sends bool) (*kernelEnd, error) {
	k := &kernelEnd{done: make(chan struct{})}
	ready := make(chan error, 1)
	go func() {
		defer close(k.done)
		runtime.LockOSThread()
		err := k.open(pid, sends)
		ready <- err
		if err != nil {
			return
		}
		if sends {
			k.err = k.send()
		} else {
			k.err = k.receive()
		}
	}()
	return k, <-ready
}

func (k *kernelEnd) open(pid int, sends bool) (err error) {
	if err = enterNetns(pid); err != nil {
		return err
	}
	if k.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	err = unix.SetsockoptString(k.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, linuxCongestion)
	if !sends && err == nil {
		if err = unix.Bind(k.fd, &unix.SockaddrInet4{Port: tinyPort, Addr: hostIP}); err == nil {
			err = unix.Listen(k.fd, 1)
		}
	}
	if err != nil {
		unix.Close(k.fd)
	}
	return err
}

func (k *kernelEnd) send() error {
	if err := unix.Connect(k.fd, &unix.SockaddrInet4{Port: tinyPort, Addr: tinyIP}); err != nil {
		return err
	}
	for b := make([]byte, 128<<10); ; {
		if _, err := unix.SendmsgN(k.fd, b, nil, nil, unix.MSG_NOSIGNAL); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (k *kernelEnd) receive() error {
	fd, _, err := unix.Accept4(k.fd, unix.SOCK_CLOEXEC)
	if err != nil {
		return err
	}
	k.conn.Store(int64(fd))
	for b := make([]byte, 128<<10); ; {
		n, err := unix.Read(fd, b)
		if n == 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		k.received.Add(int64(max(n, 0)))
	}
}

// failed is why the socket ended, if it has.
func (k *kernelEnd) failed() error {
	select {
	case <-k.done:
		return k.err
	default:
		return nil
	}
}

// stop ends the calls that wait, and gives the sockets back.
func (k *kernelEnd) stop() {
	_ = unix.Shutdown(k.fd, unix.SHUT_RDWR)
	if fd := int(k.conn.Load()); fd > 0 {
		_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		defer unix.Close(fd)
	}
	<-k.done
	unix.Close(k.fd)
}
