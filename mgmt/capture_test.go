package mgmt_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"vnetkit/mgmt"
	"vnetkit/mgmt/api"
	"vnetkit/mgmt/capture"
	"vnetkit/mgmt/client"
	"vnetkit/mgmt/mgmttest"
	"vnetkit/switch/frame"
)

// tap is a capture that a test reads.
type tap struct {
	t      *testing.T
	body   *client.CaptureStream
	blocks *capture.BlockReader
	ports  []string // names of interfaces
	lost   map[uint32]uint64
}

func openTap(t *testing.T, s *mgmttest.Switch, req api.CaptureRequest) *tap {
	t.Helper()
	c, err := client.Dial(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), mgmttest.Patience)
	t.Cleanup(cancel)
	body, err := c.Capture(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { body.Close() })
	return &tap{t: t, body: body, blocks: capture.NewBlockReader(body), lost: map[uint32]uint64{}}
}

// next describes the next frame: port, direction, length, source, comment.
func (c *tap) next() (string, error) {
	for {
		b, err := c.blocks.Next()
		if err != nil {
			return "", err
		}
		body := b.Raw[8 : len(b.Raw)-4]
		switch b.Type {
		case capture.TypeInterface:
			c.ports = append(c.ports, string(option(body[8:], 2))+" "+string(option(body[8:], 3)))
		case capture.TypeStatistics:
			i, n, ok := b.Losses()
			if !ok {
				c.t.Error("statistics without losses")
			}
			c.lost[i] = n
		case capture.TypePacket:
			port, _, _ := strings.Cut(c.ports[binary.LittleEndian.Uint32(body)], " ")
			n := binary.LittleEndian.Uint32(body[12:])
			options := body[20+(n+3)&^3:]
			dir := map[byte]string{1: "in", 2: "out"}[option(options, 2)[0]]
			f := frame.Frame(body[20 : 20+n])
			text := fmt.Sprintf("%s %s %d/%d from %v", port, dir, n, binary.LittleEndian.Uint32(body[16:]), f.Src())
			if tci, ok := f.Tag(); ok {
				text += fmt.Sprintf(" vlan %d", tci)
			}
			if comment := option(options, 1); comment != nil {
				text += " " + string(comment)
			}
			return text, nil
		}
	}
}

// want reads frames and compares their descriptions in any order.
func (c *tap) want(frames ...string) {
	c.t.Helper()
	var got []string
	for range frames {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("after %q: %v", got, err)
		}
		got = append(got, f)
	}
	slices.Sort(got)
	slices.Sort(frames)
	if !slices.Equal(got, frames) {
		c.t.Errorf("captured\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(frames, "\n"))
	}
}

// rest reads to the end, which must be a good one, and counts frames.
func (c *tap) rest() (frames int) {
	c.t.Helper()
	for ; ; frames++ {
		if _, err := c.next(); errors.Is(err, io.EOF) {
			return frames
		} else if err != nil {
			c.t.Fatalf("after %d frames: %v", frames, err)
		}
	}
}

func (c *tap) allLost() (n uint64) {
	for _, lost := range c.lost {
		n += lost
	}
	return n
}

// option is the value of a block's option.
func option(options []byte, code uint16) []byte {
	for len(options) >= 4 {
		n := binary.LittleEndian.Uint16(options[2:])
		if binary.LittleEndian.Uint16(options) == code {
			return options[4 : 4+n]
		}
		options = options[4+(n+3)&^3:]
	}
	return nil
}

// Each port's frames in both directions, as they are on its link, and what
// became of those that were dropped.
func TestCapture(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{Name: "lab"})
	a, b := s.Plug(), s.Plug()
	do(t, s, "PATCH", "/v1/ports/1", `{"name":"vm1","tagged":"none"}`)
	do(t, s, "PATCH", "/v1/ports/2", `{"name":"vm2","pvid":9,"tagged":"1"}`)
	all, one := openTap(t, s, api.CaptureRequest{}), openTap(t, s, api.CaptureRequest{Ports: []string{"2"}})
	a.Send(1, 0xff, 60)
	b.Receive()
	b.Send(2, 0xff, 70) // nobody else is in VLAN 9
	drop := "dropped: no-receiver (no other port of its VLAN is up)"
	all.want("vm1 in 60/60 from 02:00:00:00:00:01", "vm2 out 64/64 from 02:00:00:00:00:01 vlan 1", "vm2 in 70/70 from 02:00:00:00:00:02 "+drop)
	one.want("vm2 out 64/64 from 02:00:00:00:00:01 vlan 1", "vm2 in 70/70 from 02:00:00:00:00:02 "+drop)

	c := s.Plug() // a port that was not there
	c.Send(3, 0xff, 80)
	a.Receive()
	all.want("port3 in 80/80 from 02:00:00:00:00:03", "vm1 out 80/80 from 02:00:00:00:00:03", "vm2 out 84/84 from 02:00:00:00:00:03 vlan 1")
	one.want("vm2 out 84/84 from 02:00:00:00:00:03 vlan 1")
	s.Stop()
	if n := all.rest(); n != 0 {
		t.Errorf("%d more frames", n)
	}
	one.rest()
	if got := strings.Join(all.ports, ", "); got != "vm1 port 1, vm2 port 2, port3 port 3" {
		t.Errorf("interfaces: %s", got)
	}
	if got := strings.Join(one.ports, ", "); got != "vm2 port 2" || len(one.lost) != 1 || one.allLost() != 0 {
		t.Errorf("interfaces: %s, statistics of %d", got, len(one.lost))
	}
}

func TestCaptureFilterAndSnap(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	tap := openTap(t, s, api.CaptureRequest{Ports: []string{"port1"}, Filter: "ether src 02:00:00:00:00:01 and greater 100", Snap: 40})
	a.Send(1, 0xff, 99)
	b.Send(2, 0xff, 200)
	a.Receive()
	a.Send(1, 0xff, 1400)
	tap.want("port1 in 40/1400 from 02:00:00:00:00:01")
}

func TestCaptureMistakes(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	s.Plug()
	for _, c := range []struct {
		query   string
		code    api.Code
		message string
	}{
		{"ports=port1,port2", api.ErrNoPort, `no port "port2"; did you mean "port1"?`},
		{"ports=", api.ErrNoPort, `no port ""`},
		{"filter=tcp+prot+80", api.ErrInvalid, `filter: at column 5: "prot" is not "and" or "or"`},
		{"filter=" + url.QueryEscape(strings.Repeat("(", 5000)), api.ErrInvalid, "longer than 4096 bytes"},
		{"snap=-1", api.ErrInvalid, `snap="-1"`},
		{"snap=99999999", api.ErrInvalid, "want a number of bytes from 1 to 69632"},
		{"port=port1", api.ErrBadRequest, `unknown query key "port"`},
	} {
		status, answer := do(t, s, "GET", "/v1/capture?"+c.query, "")
		if e := failed(t, status, answer, c.code); !strings.Contains(e.Message, c.message) {
			t.Errorf("%s: %s", c.query, e.Message)
		}
	}
	if status, answer := do(t, s, "HEAD", "/v1/capture", ""); status != 200 || answer != "" {
		t.Errorf("HEAD: %d %q", status, answer)
	}
}

// Frames are private: reading them takes more than opening the socket.
func TestCaptureForbidden(t *testing.T) {
	s := mgmttest.Start(t, mgmt.Options{})
	for _, path := range []string{"GET /v1/capture", "POST /v1/inject"} {
		method, path, _ := strings.Cut(path, " ")
		rec := httptest.NewRecorder()
		s.Server.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
		failed(t, rec.Code, rec.Body.String(), api.ErrForbidden)
	}
}

// A reader that does not read holds up nobody, is not cut off, and finds in the
// capture how many frames it has lost.
func TestCaptureSlowReader(t *testing.T) {
	const frames, size = 1000, 60000 // much more than buffer and socket hold
	s := mgmttest.Start(t, mgmt.Options{}, func(s *mgmt.Server) { s.SetLimits(0, 0, 20*time.Millisecond, 0, 0) })
	a, b := s.Plug(), s.Plug()
	slow := openTap(t, s, api.CaptureRequest{Ports: []string{"port1"}})
	go func() { _, _ = io.Copy(io.Discard, b) }()
	for range frames {
		a.Send(1, 0xff, size)
	}
	waitCounted(t, s, frames)
	s.Stop() // while a piece of it waits to be read
	n := 0
	for {
		if _, err := slow.next(); err != nil {
			break // cut off, since the switch does not wait for it when it stops
		}
		n++
	}
	if n == 0 || n >= frames {
		t.Errorf("%d of %d frames captured", n, frames)
	}
}

// What was read and what was lost is all there was.
func TestCaptureCountsLosses(t *testing.T) {
	const frames, size = 500, 60000
	s := mgmttest.Start(t, mgmt.Options{})
	a, b := s.Plug(), s.Plug()
	slow := openTap(t, s, api.CaptureRequest{Ports: []string{"port1"}})
	go func() { _, _ = io.Copy(io.Discard, b) }()
	for range frames {
		a.Send(1, 0xff, size)
	}
	waitCounted(t, s, frames)
	// Frames go on coming until one of them tells of the losses.
	told, sent := make(chan struct{}), make(chan uint64)
	go func() {
		for n := uint64(0); ; n++ {
			select {
			case <-told:
				sent <- n
				return
			default:
				a.Send(2, 0xff, 61)
			}
		}
	}()
	n := uint64(0)
	for f := ""; !strings.Contains(f, "frames lost before this one"); n++ {
		var err error
		if f, err = slow.next(); err != nil {
			t.Fatal(err)
		}
	}
	close(told)
	total := frames + <-sent
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		waitCounted(t, s, total)
		s.Stop()
	}()
	n += uint64(slow.rest())
	<-stopped
	if n+slow.allLost() != total || slow.allLost() == 0 {
		t.Errorf("%d read and %d lost of %d", n, slow.allLost(), total)
	}
}

// Who stops a capture gets what was captured until then, also what is under way,
// and the sums: not one frame is neither read nor lost.
func TestCaptureStop(t *testing.T) {
	for _, c := range []struct{ frames, size int }{{1000, 1400}, {500, 60000}} { // what the buffers hold, and more
		s := mgmttest.Start(t, mgmt.Options{})
		a, b := s.Plug(), s.Plug()
		tap := openTap(t, s, api.CaptureRequest{Ports: []string{"port1"}})
		go func() { _, _ = io.Copy(io.Discard, b) }()
		for range c.frames {
			a.Send(1, 0xff, c.size)
		}
		waitCounted(t, s, uint64(c.frames))
		if n := get[api.Info](t, s, "/v1/info").Captures; n != 1 {
			t.Errorf("%d captures run", n)
		}
		if err := tap.body.Stop(); err != nil {
			t.Fatal(err)
		}
		n := tap.rest()
		if n+int(tap.allLost()) != c.frames || (tap.allLost() > 0) != (c.size > 10000) {
			t.Errorf("%d read and %d lost of %d", n, tap.allLost(), c.frames)
		}
		mgmttest.Until(t, "the capture has ended", func() bool { return get[api.Info](t, s, "/v1/info").Captures == 0 })
	}
}

// waitCounted waits until port 1 has counted n frames.
func waitCounted(t *testing.T, s *mgmttest.Switch, n uint64) {
	t.Helper()
	mgmttest.Until(t, "all frames counted", func() bool {
		p, err := s.Port("1")
		if err != nil {
			t.Fatal(err)
		}
		return p.Rx.Frames >= n
	})
}

// Who leaves is forgotten; a capture lives longer than other answers may take.
func TestCaptureEnds(t *testing.T) {
	const limit = 50 * time.Millisecond
	s := mgmttest.Start(t, mgmt.Options{}, func(s *mgmt.Server) { s.SetLimits(limit, limit, limit, 0, 0) })
	a := s.Plug()
	tap, begun := openTap(t, s, api.CaptureRequest{}), time.Now()
	for time.Since(begun) <= 3*limit { // half requests that are cut off tell the time
		half := dial(t, s)
		fmt.Fprint(half, "GET /v1/info HTTP/1.1\r\n")
		_, _ = io.ReadAll(half)
	}
	a.Send(1, 0xff, 60)
	tap.want("port1 in 60/60 from 02:00:00:00:00:01 dropped: no-receiver (no other port of its VLAN is up)")
	tap.body.Close()
	mgmttest.Until(t, "the caller is gone", func() bool { return s.Server.Connections() == 0 })
	if n := s.Info().Captures; n != 0 {
		t.Errorf("%d captures run", n)
	}
}
