//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// job is what one worker process does. The orchestrator passes it as JSON in the command line.
type job struct {
	Role string // send, recv, echo, ping; herd (many ports in one process); those of managers
	Link linkSpec
	Port int // number in the test bed; decides the MACs

	Size      int     // bytes of a frame on the wire without FCS, as this port sends or expects it
	VID       int     `json:",omitempty"` // this port sends or expects tagged frames of this VLAN
	Batch     int     `json:",omitempty"` // frames per system call
	Rate      float64 `json:",omitempty"` // frames per second; 0: as fast as the switch takes them
	Dst       []int   `json:",omitempty"` // ports that get the frames, chosen at random per frame; none: broadcast
	MACs      int     `json:",omitempty"` // addresses behind each port of the bed (default 1): source and destination vary at random
	RandomSrc int     `json:",omitempty"` // this many different made-up source addresses instead

	Herd   herdJob   `json:",omitzero"`
	Manage manageJob `json:",omitzero"`
}

// runWorker is the whole life of a worker process. It ends by a signal or when the switch hangs up.
func runWorker(arg string) error {
	runtime.LockOSThread()
	var j job
	if err := json.Unmarshal([]byte(arg), &j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	s, err := mapShared(shmChildFD)
	if err != nil {
		return err
	}
	if j.Role == "herd" {
		return herd(&j, s)
	}
	if role := managers[j.Role]; role != nil {
		return manage(&j, s, role)
	}
	rxBatch := 64
	if j.Role == "echo" || j.Role == "ping" {
		rxBatch = 1 // what a QEMU would do, and the least work per frame
	}
	l, err := open(j.Link, rxBatch, bufStream)
	if err != nil {
		return err
	}
	s.state.Store(statePlugged)
	waitFor(s, stateAnnounce)
	if err := hello(&j, l); err != nil {
		return err
	}
	s.state.Store(stateReady)
	switch j.Role {
	case "send":
		return sendFrames(&j, l, s)
	case "recv":
		return receive(&j, l, s)
	case "echo":
		return echo(&j, l, s)
	case "ping":
		return ping(&j, l, s)
	}
	return fmt.Errorf("role %q is not known", j.Role)
}

// hello teaches the switch the port's addresses, as a guest does with its first broadcasts. It comes when all are plugged
// in: vde_switch forgets every address it knows when another port appears.
func hello(j *job, l link) error {
	t := newTrain(helloSize+payloadOffset(j.VID)-payloadOffset(0), 1)
	for i := range max(1, j.MACs) {
		fill(t.frame(0), broadcast, portMAC(j.Port, i), j.VID)
		stamp(t.frame(0), payloadOffset(j.VID), word(helloStream, 0))
		if err := l.send(t); err != nil {
			return fmt.Errorf("send hello: %w", err)
		}
	}
	return nil
}

func waitFor(s *shared, state uint32) {
	for s.state.Load() < state {
		time.Sleep(200 * time.Microsecond)
	}
}

// sendFrames sends for ever. What the switch sends to this port is read away when sending pauses and between
// calls once in a while, as a QEMU would.
func sendFrames(j *job, l link, s *shared) error {
	waitFor(s, stateGo)
	t, off := newTrain(j.Size, j.Batch), payloadOffset(j.VID)
	a := newAddresses(j)
	for i := range t.n {
		fill(t.frame(i), a.firstDst(), portMAC(j.Port, 0), j.VID)
	}
	rx := newChecker(j.Port, j.Size, j.VID)
	p := newPacer(j.Rate, j.Batch)
	seq := make([]uint64, max(1, len(j.Dst)))
	var sent, calls uint64
	for {
		p.wait()
		for i := range t.n {
			f, to := t.frame(i), 0
			if a.vary {
				to = a.next(f)
			}
			stamp(f, off, word(j.Port, seq[to]))
			seq[to]++
		}
		if err := l.send(t); err != nil {
			return err
		}
		sent += uint64(t.n)
		s.sent.Store(sent)
		if calls++; calls%4096 == 0 || j.Rate > 0 && calls%64 == 0 {
			drain(l, rx)
		}
	}
}

// drain reads what is there without waiting.
func drain(l link, s sink) {
	p := []unix.PollFd{{Fd: int32(l.descriptor()), Events: unix.POLLIN}}
	for range 16 {
		if n, err := unix.Poll(p, 0); n < 1 || err != nil {
			return
		}
		if l.recv(s) != nil {
			return
		}
	}
}

// addresses varies the MACs of a sender's frames.
type addresses struct {
	vary      bool
	dst       []mac
	perPort   uint32 // so many of dst, one after the other, are behind one port
	src       []mac
	randomSrc uint32
	state     uint64
	made      uint32
}

func newAddresses(j *job) *addresses {
	a := &addresses{randomSrc: uint32(j.RandomSrc), state: rand.Uint64() | 1}
	n := max(1, j.MACs)
	a.perPort = uint32(n)
	for _, p := range j.Dst {
		for i := range n {
			a.dst = append(a.dst, portMAC(p, i))
		}
	}
	for i := range n {
		a.src = append(a.src, portMAC(j.Port, i))
	}
	a.vary = len(a.dst) > 1 || len(a.src) > 1 || a.randomSrc > 0
	return a
}

func (a *addresses) firstDst() mac {
	if len(a.dst) == 0 {
		return broadcast
	}
	return a.dst[0]
}

// next gives a frame other addresses, by xorshift: a few nanoseconds. It returns which of the destination ports it goes to.
func (a *addresses) next(f []byte) (to int) {
	a.state ^= a.state << 13
	a.state ^= a.state >> 7
	a.state ^= a.state << 17
	r := uint32(a.state >> 20)
	if n := uint32(len(a.dst)); n > 1 {
		copy(f, a.dst[r%n][:])
		to = int(r % n / a.perPort)
	}
	switch {
	case a.randomSrc > 0: // every number below randomSrc once before any comes again; spread over the address by an odd factor
		f[6], f[7] = 0x06, 0
		binary.BigEndian.PutUint32(f[8:], (a.made%a.randomSrc)*0x9E3779B1)
		a.made++
	case len(a.src) > 1:
		copy(f[6:], a.src[(r>>12)%uint32(len(a.src))][:])
	}
	return to
}

// pacer holds a sender at its rate; after a pause it catches up at most 10 ms.
type pacer struct {
	step time.Duration
	due  time.Time
}

func newPacer(rate float64, batch int) *pacer {
	if rate <= 0 {
		return &pacer{}
	}
	return &pacer{step: time.Duration(float64(batch) / rate * 1e9), due: time.Now()}
}

func (p *pacer) wait() {
	if p.step == 0 {
		return
	}
	now := time.Now()
	if d := p.due.Sub(now); d > 0 {
		ts := unix.NsecToTimespec(int64(d))
		unix.Nanosleep(&ts, nil)
	} else if d < -10*time.Millisecond {
		p.due = now
	}
	p.due = p.due.Add(p.step)
}

func receive(j *job, l link, s *shared) error {
	c := newChecker(j.Port, j.Size, j.VID)
	for {
		if err := l.recv(c); err != nil {
			return err
		}
		s.publish(c)
	}
}

// reflector sends every test frame that is for this port back where it came from.
type reflector struct {
	l   link
	t   *train
	own mac
	off int
	err error
}

func (r *reflector) take(f []byte) {
	if len(f) != r.t.size || mac(f[:6]) != r.own || binary.LittleEndian.Uint64(f[r.off:])>>48 == helloStream {
		return
	}
	out := r.t.frame(0)
	copy(out, f)
	copy(out, f[6:12])
	copy(out[6:], f[:6])
	if err := r.l.send(r.t); err != nil {
		r.err = err
	}
}

func echo(j *job, l link, s *shared) error {
	r := &reflector{l: l, t: newTrain(j.Size, 1), own: portMAC(j.Port, 0), off: payloadOffset(j.VID)}
	for {
		if err := errors.Join(l.recv(r), r.err); err != nil {
			return err
		}
	}
}

// pong notes whether the awaited frame has come.
type pong struct {
	size, off int
	want      uint64
	got       bool
}

func (p *pong) take(f []byte) {
	if len(f) == p.size && binary.LittleEndian.Uint64(f[p.off:]) == p.want {
		p.got = true
	}
}

// ping keeps one frame outstanding and notes each round trip in nanoseconds. A frame that is not back after a second is
// lost and counted.
func ping(j *job, l link, s *shared) error {
	waitFor(s, stateGo)
	tv := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(l.descriptor(), unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return fmt.Errorf("set the receive timeout: %w", err)
	}
	t, off := newTrain(j.Size, 1), payloadOffset(j.VID)
	if len(j.Dst) == 0 {
		return errors.New("ping needs a destination")
	}
	fill(t.frame(0), portMAC(j.Dst[0], 0), portMAC(j.Port, 0), j.VID)
	p := &pong{size: j.Size, off: off}
	pace := newPacer(j.Rate, 1)
	for seq := uint64(0); ; seq++ {
		pace.wait()
		p.want, p.got = word(j.Port, seq), false
		stamp(t.frame(0), off, p.want)
		start := time.Now()
		if err := l.send(t); err != nil {
			return err
		}
		s.sent.Add(1)
		for !p.got {
			err := l.recv(p)
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				return err
			}
			if !p.got && time.Since(start) > time.Second { // a flood keeps recv from timing out
				s.lost.Add(1)
				break
			}
		}
		if p.got {
			s.add(uint32(min(time.Since(start), 4*time.Second)))
			s.frames.Add(1)
		}
	}
}
