//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Scenarios about what surrounds VDE traffic: the console and the door while others flood, and the spanning tree.

const (
	mConsole = "console" // p50 and p99 of an answer, in ms
	mAttach  = "attach"
)

// silentClients are connected to the door and have sent half a request.
const silentClients = 200

// vdeManageScenarios want a peer whose clients are at its VDE door.
func vdeManageScenarios(p *peer, s settings) []*scenario {
	long, few := 5*time.Second, atMost(3)
	beside := func(name, role string, rate float64, metric string) cell {
		j := job{Role: role, Port: 50, Rate: rate}
		return cell{name: name, peer: p, more: answerTimes(role, metric), plan: &plan{jobs: append(pairJobs(1, 64, 64), j), dur: long}}
	}
	alone := cell{name: fmt.Sprintf("%d silent clients", silentClients), peer: p, more: answerTimes("attach", mAttach),
		plan: &plan{jobs: []job{herdOf(1, "idle"), {Role: "attach", Port: 50, Rate: 20}}, dur: long}}
	tree := func(name string, args ...string) cell {
		return cell{name: name, peer: p, plan: &plan{jobs: pairJobs(1, 64, 64), args: args, dur: s.dur}}
	}
	return []*scenario{
		{name: "vdeconsole", table: tableManage, quick: true, reps: few, cells: []cell{beside("port/print beside a flood", "console", 20, mConsole)}},
		{name: "vdeattach", table: tableManage, quick: true, reps: few, cells: []cell{alone}},
		{name: "vdestp/64/64", base: "off", cells: []cell{tree("off"), tree("rstp", "--stp", "rstp", "--port-default", "edge=on")}},
	}
}

// answerTimes are those that a role has noted, in ms.
func answerTimes(role, metric string) func(*outcome, values) {
	return func(o *outcome, v values) {
		all, _ := o.samplesOf(role)
		slices.Sort(all)
		v[metric+" "+mP50], v[metric+" "+mP99] = percentile(all, 50)/1e6, percentile(all, 99)/1e6
	}
}

// askConsole has the console print all ports, at the job's rate, and notes how long each answer took.
func askConsole(j *job, s *shared) error {
	conn, err := net.Dial("unix", filepath.Join(j.Link.Addr, "mgmt"))
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	answer := func() error {
		for have := 0; ; {
			n, err := conn.Read(buf[have:])
			if err != nil {
				return fmt.Errorf("console: %w", err)
			}
			if have += n; bytes.HasSuffix(buf[:have], []byte("$ ")) {
				return nil
			}
			if have == len(buf) {
				return errors.New("console: an answer without an end")
			}
		}
	}
	if err := answer(); err != nil { // its greeting
		return err
	}
	for pace := newPacer(j.Rate, 1); ; {
		pace.wait()
		start := time.Now()
		if _, err := conn.Write([]byte("port/print\n")); err != nil {
			return fmt.Errorf("console: %w", err)
		}
		if err := answer(); err != nil {
			return err
		}
		s.add(uint32(min(time.Since(start), 4*time.Second)))
	}
}

// attach plugs in and out, at the job's rate, and notes how long plugging in took. All the while silentClients others
// wait at the door; who was thrown out comes again.
func attach(j *job, s *shared) error {
	silent := make([]net.Conn, silentClients)
	fill := func() error {
		for i, c := range silent {
			if c != nil && !hungUp(c) {
				continue
			}
			if c != nil {
				c.Close()
			}
			c, err := net.Dial("unix", filepath.Join(j.Link.Addr, "ctl"))
			if err != nil {
				return err
			}
			if _, err := c.Write(vdeRequest("/none", "")[:40]); err != nil {
				return err
			}
			silent[i] = c
		}
		return nil
	}
	for pace := newPacer(j.Rate, 1); ; {
		if err := fill(); err != nil {
			return err
		}
		pace.wait()
		start := time.Now()
		l, err := openVDE(j.Link.Addr, 1)
		if err != nil {
			return err
		}
		s.add(uint32(min(time.Since(start), 4*time.Second)))
		unix.Close(l.descriptor())
		unix.Close(l.(*dgramLink).keep)
	}
}

// hungUp tells whether the other side has closed a connection on which it says nothing.
func hungUp(c net.Conn) bool {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		n, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_DONTWAIT|unix.MSG_PEEK)
		closed = n == 0 && err == nil || err != nil && !errors.Is(err, unix.EAGAIN)
	})
	return closed || err != nil
}

// vdeManageTargets are lines of targetTable.
func vdeManageTargets() []target {
	largest := func(scenario, cell, metric string) func(*results) float64 {
		return func(r *results) float64 { return r.sum(scenario, cell, metric).max }
	}
	return []target{
		{"VDE console beside a flood, port/print p99, ms", 1000, false,
			largest("vdeconsole", "port/print beside a flood", mConsole+" "+mP99), "vdeconsole"},
		{fmt.Sprintf("VDE client attaches beside %d silent ones: p50, ms", silentClients), 100, false,
			largest("vdeattach", fmt.Sprintf("%d silent clients", silentClients), mAttach+" "+mP50), "vdeattach"},
	}
}
