//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// A guest that takes nothing for ten seconds, as one whose QEMU is stopped: what do two others pay for it that speak to
// each other, and does it come back? Frames for it alone, and for all, come in all the time.

const (
	mBeside = "beside" // rate of two guests while a third one is stopped : before
	mBack   = "back"   // ms until that one answers again

	guestsStopped = "guests/stopped"
)

var iperfInterval = regexp.MustCompile(`(\d+)\.\d+ +sec .* ([\d.]+) Mbits/sec`)

// stopping is the course of one measurement, in seconds of iperf3's time.
const (
	stopWarm = 2 // not counted
	stopAt   = 8
	stopEnd  = stopAt + 10
)

func (h guestPeer) measureStopped(b *bed, vswitch string) (values, error) {
	s, guests, err := h.bootAll(b, vswitch, 3)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	for _, to := range []string{"10.0.0.2", "10.0.0.3"} { // they know each other
		if _, err := guests[0].sh("ping -c 3 -i 0.2 " + to); err != nil {
			return nil, err
		}
	}
	quiet, err := pester(filepath.Join(b.dir, "sw", "stream"))
	if err != nil {
		return nil, err
	}
	defer quiet()
	return stopBeside(guests[0], guests[1], guests[2])
}

// line is the next one that the guest prints.
func (c *console) line() (string, error) {
	alarm := time.AfterFunc(time.Minute, func() { c.cmd.Process.Kill() })
	defer alarm.Stop()
	line, err := c.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("guest: %w: %s", err, c.stderr.String())
	}
	return line, nil
}

// stopBeside stops one guest while two others talk.
func stopBeside(talk, watch, stopped *console) (values, error) {
	if _, err := fmt.Fprintf(talk.in, "iperf3 -c 10.0.0.2 -t %d -i 1 -f m --forceflush 2>&1 </dev/null; echo @@over\n", stopEnd+1); err != nil {
		return nil, err
	}
	var before, during []float64
	for second := 0; second < stopEnd; {
		line, err := talk.line()
		if err != nil {
			return nil, err
		}
		m := iperfInterval.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		second++
		rate, err := strconv.ParseFloat(m[2], 64)
		switch {
		case err != nil:
			return nil, err
		case second > stopAt:
			during = append(during, rate)
		case second > stopWarm:
			before = append(before, rate)
		}
		if second == stopAt {
			err = stopped.cmd.Process.Signal(syscall.SIGSTOP)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := stopped.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return nil, err
	}
	goes := time.Now()
	if out, err := watch.sh("for i in 1 2 3 4 5 6; do ping -c 1 -W 5 10.0.0.3 && break; done"); err != nil || !pingTime.MatchString(out) {
		return nil, fmt.Errorf("the guest that was stopped does not come back: %w: %s", err, out)
	}
	back := time.Since(goes)
	if _, err := talk.until("@@over"); err != nil {
		return nil, err
	}
	return values{mBeside: mean(during) / mean(before), mBack: float64(back.Milliseconds())}, nil
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	return sum / float64(len(list))
}

// pester sends a thousand full frames a second to the third guest, and a hundred short ones to all.
func pester(door string) (stop func(), err error) {
	conn, err := net.Dial("unix", door)
	if err != nil {
		return nil, err
	}
	frameTo := func(to string, size int) []byte {
		f := binary.BigEndian.AppendUint32(nil, uint32(size))
		f = append(f, to+"\x52\x54\x00\x00\x01\x01\x88\xb5"...)
		return append(f, make([]byte, 4+size-len(f))...)
	}
	long, short := frameTo("\x52\x54\x00\x00\x00\x03", 1514), frameTo("\xff\xff\xff\xff\xff\xff", 60)
	batch := short
	for range 10 {
		batch = append(batch, long...)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
			}
			if _, err := conn.Write(batch); err != nil {
				fmt.Fprintln(os.Stderr, "bench: frames for all:", err)
				return
			}
		}
	}()
	return func() { close(done); _ = conn.Close(); <-ended }, nil
}

func stoppedScenario(peers []guestPeer, vswitch string) *scenario {
	sc := &scenario{name: guestsStopped, table: tableScale, reps: atMost(3)}
	for _, h := range peers {
		if h.name == "stream" || h.name == "vhost" {
			sc.cells = append(sc.cells, cell{name: h.name, peer: &peer{name: self}, direct: func(b *bed) (values, error) { return h.measureStopped(b, vswitch) }})
		}
	}
	return sc
}

func stoppedTargets() (list []target) {
	for _, door := range []string{"stream", "vhost"} {
		list = append(list, target{"two guests by " + door + " beside one that is stopped for 10 s, iperf3: x before", 0.85, true,
			func(r *results) float64 { return r.sum(guestsStopped, door, mBeside).mid }, guestsStopped})
	}
	return list
}
