package vswitch

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vnetkit/switch/frame"
	"vnetkit/switch/link/linktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a switch with stations plugged in through pipes. Everything a test
// does goes the way that users and frames go; only settle knows more.
type lab struct {
	t        testing.TB
	sw       *Switch
	pipes    *linktest.Pipes
	seq      uint64 // of the latest event that was looked at
	count    int
	stations []*station
}

// station is a Station and the port it is plugged into.
type station struct {
	*linktest.Station
	lab  *lab
	id   int    // port number
	ref  string // what to call the port
	mac  frame.MAC
	base uint64 // frames that the port had taken before
	sent atomic.Uint64
}

// newLab starts a switch that stops when the test ends.
func newLab(t testing.TB, opt Options) *lab {
	t.Helper()
	l := &lab{t: t, pipes: &linktest.Pipes{}}
	opt.Kinds = append(opt.Kinds, l.pipes.Kind())
	if opt.Workers == 0 {
		opt.Workers = 2
	}
	if opt.Spin == 0 {
		opt.Spin = 75 * time.Microsecond // as vswitch does
	}
	var err error
	if l.sw, err = New(opt); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.sw.Close() })
	return l
}

// plug adds a port with these keys and plugs a station in.
func (l *lab) plug(keys string) *station {
	l.t.Helper()
	l.count++
	name := fmt.Sprint("p", l.count)
	added, err := l.sw.Add(l.t.Context(), join("pipe:"+name+",single=on", keys))
	if err != nil {
		l.t.Fatal(err)
	}
	return l.plugInto(name, added.Port.Config.ID)
}

// door opens a door with these keys and returns what to plug into.
func (l *lab) door(keys string) (name string) {
	l.t.Helper()
	l.count++
	name = fmt.Sprint("d", l.count)
	if _, err := l.sw.Add(l.t.Context(), join("pipe:"+name, keys)); err != nil {
		l.t.Fatal(err)
	}
	return name
}

func join(spec, keys string) string { return strings.TrimSuffix(spec+","+keys, ",") }

// plugInto plugs a station into pipe name; id is the port it will be, or 0 if
// that is for the switch to say.
func (l *lab) plugInto(name string, id int) *station {
	l.t.Helper()
	l.seq = l.sw.Info().EventSeq
	s := &station{Station: l.pipes.Plug(l.t, name), lab: l}
	e := l.await(func(e Event) bool { return e.Type == EventLinkUp && (id == 0 || e.Port == id) })
	s.id, s.ref = e.Port, fmt.Sprint(e.Port)
	s.base = l.port(s.ref).Rx.Frames
	s.mac = mac(s.id)
	l.stations = append(l.stations, s)
	return s
}

// await waits for an event.
func (l *lab) await(match func(Event) bool) Event {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), linktest.Patience)
	defer cancel()
	for {
		list, err := l.sw.Events(ctx, l.seq)
		if err != nil {
			l.t.Fatalf("wait for an event: %v", err)
		}
		for _, e := range list {
			l.seq = e.Seq
			if match(e) {
				return e
			}
		}
	}
}

// awaitGone waits until s's port has lost its link, or is no more.
func (l *lab) awaitGone(s *station) {
	l.t.Helper()
	l.await(func(e Event) bool { return e.Type == EventLinkDown && e.Port == s.id })
	l.stations = slices.DeleteFunc(l.stations, func(o *station) bool { return o == s })
}

// pull unplugs s, as a client does that dies.
func (l *lab) pull(s *station) {
	l.t.Helper()
	l.settle()
	l.seq = l.sw.Info().EventSeq
	s.Close()
	l.awaitGone(s)
}

func (l *lab) port(ref string) PortInfo {
	l.t.Helper()
	i, err := l.sw.Port(ref)
	if err != nil {
		l.t.Fatal(err)
	}
	return i
}

func (l *lab) set(s *station, ch PortChange) {
	l.t.Helper()
	if _, err := l.sw.SetPort(s.ref, ch); err != nil {
		l.t.Fatal(err)
	}
}

// Send counts, so that settle knows what to wait for.
func (s *station) Send(f []byte) {
	s.lab.t.Helper()
	s.Station.Send(f)
	s.sent.Add(1)
}

// settle returns when the switch has done all it does with what was sent: each
// port has taken as many frames as its station sent, and each worker has come
// round, so that it is through with the batch in which they were.
func (l *lab) settle() {
	l.t.Helper()
	for _, s := range l.stations {
		l.waitFor(fmt.Sprintf("port %d takes %d frames", s.id, s.sent.Load()), func() bool {
			return l.port(s.ref).Rx.Frames-s.base == s.sent.Load()
		})
	}
	for range 2 { // the second time for what one has left to the other
		for _, w := range l.sw.workers {
			round := make(chan struct{})
			w.do(func() { close(round) })
			<-round
		}
	}
}

// waitFor asks ok until it is true.
func (l *lab) waitFor(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(linktest.Patience); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			l.t.Fatalf("after %v still not: %s", linktest.Patience, what)
		}
	}
}

// delivery is a frame that a station is to receive.
type delivery struct {
	to *station
	f  []byte
}

// expect sends f from a station and checks that it goes to these and to nobody
// else.
func (l *lab) expect(from *station, f []byte, to ...delivery) {
	l.t.Helper()
	from.Send(f)
	l.settle()
	for _, d := range to {
		got, ok := d.to.Poll()
		if !ok {
			l.t.Errorf("port %d received nothing", d.to.id)
		} else if !slices.Equal(got, d.f) {
			l.t.Errorf("port %d received\n% x, want\n% x", d.to.id, got[:min(len(got), 40)], d.f[:min(len(d.f), 40)])
		}
	}
	for _, s := range l.stations {
		if got, ok := s.Poll(); ok {
			l.t.Errorf("port %d received what is not for it: % x", s.id, got[:min(len(got), 40)])
		}
	}
}

// expectSame is expect where all receive f as it was sent.
func (l *lab) expectSame(from *station, f []byte, to ...*station) {
	l.t.Helper()
	var list []delivery
	for _, s := range to {
		list = append(list, delivery{s, f})
	}
	l.expect(from, f, list...)
}

// expectDrop sends f from a station and checks that nobody receives it and that
// it is counted once, under reason, at that port.
func (l *lab) expectDrop(from *station, f []byte, reason DropReason) {
	l.t.Helper()
	before := l.port(from.ref).Drops
	l.expect(from, f)
	after := l.port(from.ref).Drops
	before[reason]++
	if before != after {
		l.t.Errorf("drops of port %d are %v, want %v", from.id, after, before)
	}
}

// introduce has stations make themselves known to the switch.
func (l *lab) introduce(list ...*station) {
	l.t.Helper()
	for _, s := range list {
		s.Send(eth(frame.Broadcast, s.mac))
	}
	l.settle()
	for _, s := range l.stations {
		for _, ok := s.Poll(); ok; _, ok = s.Poll() {
		}
	}
}

// mac is the address of the station on port id.
func mac(id int) frame.MAC { return frame.MAC{0x52, 0x54, 0, byte(id >> 16), byte(id >> 8), byte(id)} }

// eth makes a frame of 60 bytes, or longer if it has tags.
func eth(dst, src frame.MAC, tags ...uint32) []byte { return ethLen(60, dst, src, tags...) }

// ethLen makes a frame with size-14 bytes of payload behind its tags, each of
// which is a TPID and a TCI.
func ethLen(size int, dst, src frame.MAC, tags ...uint32) []byte {
	f := append(append(make([]byte, 0, size+4*len(tags)), dst[:]...), src[:]...)
	for _, t := range tags {
		f = binary.BigEndian.AppendUint32(f, t)
	}
	f = append(f, 0x88, 0xb5)
	for n := size + 4*len(tags); len(f) < n; {
		f = append(f, byte(len(f)))
	}
	return f
}

// vlan is a customer tag, service a service tag.
func vlan(vid frame.VID, prio uint32) uint32 {
	return frame.TypeVLAN<<16 | prio<<13 | uint32(vid)
}

func service(vid frame.VID) uint32 { return frame.TypeService<<16 | uint32(vid) }

func ptr[T any](v T) *T { return &v }

// cableDir is an empty directory with a short name.
func cableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
