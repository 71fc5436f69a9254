//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"vnetkit/switch/vhost/frontend"
)

// idleGuests plugs in 16 guests that say nothing, and then, after a pause each time, sends one frame from one to
// another.
func idleGuests(b *bed, vswitch string, dur time.Duration) (values, error) {
	const count = 16
	dir := filepath.Join(b.dir, "sw")
	door := filepath.Join(b.dir, "vhost")
	p, err := b.start("vswitch", exec.Command(vswitch, "-q", "-s", dir, "--port", "vhost-user:"+door), cpuSwitch)
	if err != nil {
		return nil, err
	}
	defer b.sweep()
	defer p.stop()
	if err := awaitFiles(p, door); err != nil {
		return nil, err
	}
	var guests []*frontend.Guest
	for range count {
		g, err := frontend.Dial(door, frontend.Options{Size: 64})
		if err != nil {
			return nil, err
		}
		defer g.Close()
		if err := g.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return nil, err
		}
		guests = append(guests, g)
	}
	buf := make([]byte, 2048)
	for i := range 2 { // so that the switch knows the two
		if err := guests[i].SendFrame(idleFrame(i, 99)); err != nil {
			return nil, err
		}
		for j, g := range guests {
			if j == i {
				continue
			}
			if _, err := g.RecvFrame(buf); err != nil {
				return nil, fmt.Errorf("guest %d: %w", j, err)
			}
		}
	}
	time.Sleep(defaultWarm)
	before, err := cpuTime(p.pid())
	if err != nil {
		return nil, err
	}
	time.Sleep(dur)
	after, err := cpuTime(p.pid())
	if err != nil {
		return nil, err
	}
	v, err := firstOnes(func() error {
		if err := guests[0].SendFrame(idleFrame(0, 1)); err != nil {
			return err
		}
		_, err := guests[1].RecvFrame(buf)
		return err
	})
	if err != nil {
		return nil, err
	}
	v[mCPUPct] = 100 * float64(after-before) / float64(dur)
	return v, nil
}

// firstOnes measures how long f takes after a pause, again and again.
func firstOnes(f func() error) (values, error) {
	const rounds = 500
	var took []float64
	for range rounds {
		time.Sleep(5 * time.Millisecond)
		begun := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		took = append(took, float64(time.Since(begun).Nanoseconds())/1e3)
	}
	slices.Sort(took)
	return values{mP50: took[rounds/2], mP99: took[rounds*99/100]}, nil
}

// idleWakes is what of it the machine takes: a thread wakes another one, which wakes the first.
func idleWakes(*bed) (values, error) {
	var fds [2]int // there and back
	for i := range fds {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	one, end := binary.NativeEndian.AppendUint64(nil, 1), binary.NativeEndian.AppendUint64(nil, 2)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		for buf := make([]byte, 8); ; {
			_, err := unix.Read(fds[0], buf)
			if err == nil && !bytes.Equal(buf, end) {
				_, err = unix.Write(fds[1], one)
			} else if err == nil {
				err = io.EOF
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	buf := make([]byte, 8)
	v, err := firstOnes(func() error {
		if _, err := unix.Write(fds[0], one); err != nil {
			return err
		}
		_, err := unix.Read(fds[1], buf)
		return err
	})
	if err == nil {
		_, err = unix.Write(fds[0], end)
	}
	if err == nil {
		<-done
	}
	return v, err
}

func idleFrame(from, to int) []byte {
	f := make([]byte, 60)
	copy(f, []byte{0x52, 0x54, 0, 0, 0, byte(to), 0x52, 0x54, 0, 0, 0, byte(from), 0x88, 0xb5})
	return f
}

func idleScenario(vswitch string, s settings) *scenario {
	return &scenario{name: "idlevhost16", table: tableScale, cells: []cell{{name: "16 guests, then one frame", peer: &peer{name: self},
		direct: func(b *bed) (values, error) { return idleGuests(b, vswitch, s.dur) }},
		{name: "two threads only", peer: &peer{name: "none"}, direct: idleWakes}}}
}
