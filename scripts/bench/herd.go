//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// herdJob is many ports in one process: neighbours that are only plugged in, or that take a flood and are counted.
type herdJob struct {
	Ports int    `json:",omitempty"`
	Mode  string `json:",omitempty"` // idle, stuck: plugged, never read; count: drained and counted; plug: measure plugging
}

// herd's first port has the number j.Port. All of its frames are counted into one checker per port; the shared counters
// hold the sums, the ring holds frames per port (count) or nanoseconds per plug (plug).
func herd(j *job, s *shared) error {
	links := make([]link, j.Herd.Ports)
	checkers := make([]*checker, j.Herd.Ports)
	for i := range links {
		start := time.Now()
		l, err := open(j.Link, 64, 16<<10)
		if err != nil {
			return fmt.Errorf("plug port %d: %w", i, err)
		}
		links[i], checkers[i] = l, newChecker(j.Port+i, j.Size, j.VID)
		// The first port introduces itself to everybody, the others to the first one only: a thousand broadcasts to a
		// thousand ports would still be under way when measuring begins.
		switch {
		case i == 0:
			err = hello(&job{Port: j.Port}, l)
		case j.Herd.Mode == "plug":
			if err = greet(links[0], l, j.Port, j.Port+i); err == nil {
				s.add(uint32(time.Since(start)))
			}
		default:
			err = unicast(l, links[0], j.Port+i, j.Port)
		}
		if err != nil {
			return fmt.Errorf("plug port %d: %w", i, err)
		}
	}
	if j.Herd.Mode == "count" {
		s.samples.Store(uint64(len(links)))
	}
	s.state.Store(stateReady)
	for j.Herd.Mode == "stuck" {
		time.Sleep(time.Hour)
	}
	return tend(links, checkers, s, j.Herd.Mode == "count")
}

// greet passes one frame from the new port to the first one and one back: then the port is plugged, both ways. Both are
// unicast (the first port has said hello), so the time does not depend on how many ports a flood would have to reach.
func greet(first, l link, firstPort, port int) error {
	if err := unicast(l, first, port, firstPort); err != nil {
		return err
	}
	return unicast(first, l, firstPort, port)
}

func unicast(from, to link, fromPort, toPort int) error {
	t := newTrain(minSize, 1)
	p := &pong{size: minSize, off: payloadOffset(0), want: word(fromPort, uint64(toPort))}
	fill(t.frame(0), portMAC(toPort, 0), portMAC(fromPort, 0), 0)
	stamp(t.frame(0), p.off, p.want)
	if err := from.send(t); err != nil {
		return err
	}
	for !p.got {
		if err := to.recv(p); err != nil {
			return err
		}
	}
	return nil
}

// tend drains every port. Ports that only idle are waited for in the kernel; ports under a flood are visited every 5 ms,
// so that the herd's own cost stays small beside the switch's.
func tend(links []link, checkers []*checker, s *shared, count bool) error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("epoll_create: %w", err)
	}
	for i, l := range links {
		l.setNonblock()
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}
		if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, l.descriptor(), &ev); err != nil {
			return fmt.Errorf("epoll_ctl: %w", err)
		}
	}
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := unix.EpollWait(ep, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, ev := range events[:max(n, 0)] {
			i := int(ev.Fd)
			if err := links[i].recv(checkers[i]); err != nil && !errors.Is(err, unix.EAGAIN) {
				return fmt.Errorf("port %d: %w", i, err)
			}
			if count {
				s.ring[i] = uint32(checkers[i].frames)
			}
		}
		sum(checkers, s)
		if count {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func sum(checkers []*checker, s *shared) {
	var t checker
	for _, c := range checkers {
		t.frames += c.frames
		t.bytes += c.bytes
		t.lost += c.lost
		t.dup += c.dup
		t.corrupt += c.corrupt
		t.other += c.other
	}
	s.publish(&t)
}
