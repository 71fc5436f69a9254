package vswitch

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"vnetkit/switch/frame"
)

// read takes n frames from c, which have been captured.
func read(t *testing.T, c *Capture, n int) (frames []Captured, lost uint64) {
	t.Helper()
	for len(frames)+int(lost) < n {
		more, gone, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		frames, lost = append(frames, more...), lost+gone
	}
	return frames, lost
}

func startCapture(t *testing.T, l *lab, opt CaptureOptions) *Capture {
	t.Helper()
	c, err := l.sw.Capture(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCaptureShowsBothWaysAndDrops(t *testing.T) {
	l := newLab(t, Options{})
	a, b, v := l.plug("name=a"), l.plug("name=b,vlan=10"), l.plug("name=v,tagged=all")
	c := startCapture(t, l, CaptureOptions{})
	tagged := eth(frame.Broadcast, a.mac, vlan(10, 0))
	a.Send(tagged)
	l.settle()
	bad := eth(frame.Broadcast, frame.MAC{1}) // a group as source
	b.Send(bad)
	l.settle()
	frames, lost := read(t, c, 4)
	if lost != 0 || len(frames) != 4 {
		t.Fatalf("%d frames, %d lost", len(frames), lost)
	}
	untagged := slices.Concat(tagged[:12], tagged[16:])
	for i, want := range []Captured{
		{Port: a.id, Name: "a", Dir: DirIn, Data: tagged},
		{Port: b.id, Name: "b", Dir: DirOut, Data: untagged},
		{Port: v.id, Name: "v", Dir: DirOut, Data: tagged},
		{Port: b.id, Name: "b", Dir: DirIn, Data: bad, Dropped: true, Reason: DropBadSource},
	} {
		got := frames[i]
		if got.Port != want.Port || got.Name != want.Name || got.Dir != want.Dir || got.Dropped != want.Dropped ||
			got.Dropped && got.Reason != want.Reason || got.Len != len(want.Data) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("frame %d is %+v, want %+v", i, got, want)
		}
	}
}

// What a capture shows is what the counters count.
func TestCaptureCountsAsTheCounters(t *testing.T) {
	l := newLab(t, Options{})
	a, b, small := l.plug(""), l.plug(""), l.plug("mtu=100")
	l.introduce(a, b, small)
	c := startCapture(t, l, CaptureOptions{})
	before := l.sw.Ports()
	for i := range 50 {
		a.Send(ethLen(60+i*3, b.mac, a.mac))
		b.Send(ethLen(60+i*3, small.mac, b.mac)) // from 116 bytes on too large
		small.Send(eth(frame.Broadcast, small.mac))
		if i%10 == 9 {
			l.settle()
			l.drain()
		}
	}
	l.settle()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	in, out, drops := map[int]uint64{}, map[int]uint64{}, map[int]uint64{}
	for {
		frames, lost, err := c.Read(t.Context())
		if errors.Is(err, ErrClosed) {
			break
		}
		if err != nil || lost > 0 {
			t.Fatalf("lost %d, error %v", lost, err)
		}
		for _, f := range frames {
			switch {
			case f.Dropped:
				drops[f.Port]++
			case f.Dir == DirOut:
				out[f.Port]++
			}
			if f.Dir == DirIn {
				in[f.Port]++
			}
		}
	}
	for i, p := range l.sw.Ports() {
		id := p.Config.ID
		var dropped uint64
		for r := range p.Drops {
			dropped += p.Drops[r] - before[i].Drops[r]
		}
		if in[id] != p.Rx.Frames-before[i].Rx.Frames || out[id] != p.Tx.Frames-before[i].Tx.Frames || drops[id] != dropped {
			t.Errorf("port %d: captured %d in, %d out, %d dropped; counted %d, %d, %d", id, in[id], out[id], drops[id],
				p.Rx.Frames-before[i].Rx.Frames, p.Tx.Frames-before[i].Tx.Frames, dropped)
		}
	}
	if drops[small.id] == 0 {
		t.Error("no frame was too large")
	}
}

func TestCaptureSelects(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug("name=a"), l.plug("name=b")
	c := startCapture(t, l, CaptureOptions{Ports: []string{"b"}, Snap: 20, Match: func(f frame.Frame) bool { return len(f) > 100 }})
	a.Send(ethLen(60, frame.Broadcast, a.mac))
	a.Send(ethLen(200, frame.Broadcast, a.mac))
	l.settle()
	frames, _ := read(t, c, 1)
	if len(frames) != 1 || frames[0].Port != b.id || frames[0].Len != 200 || len(frames[0].Data) != 20 {
		t.Errorf("captured %+v", frames)
	}
	if _, err := l.sw.Capture(CaptureOptions{Ports: []string{"nobody"}}); !errors.Is(err, ErrNoPort) {
		t.Errorf("a capture of nobody: error %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if p := l.sw.ports[b.id]; p.taps.Load() != nil {
		t.Error("the port is captured still")
	}
}

// A reader that does not come loses frames, which are counted, and no port does.
func TestCaptureLosesWhatIsNotRead(t *testing.T) {
	l := newLab(t, Options{})
	a, b := l.plug(""), l.plug("")
	l.introduce(a, b)
	c := startCapture(t, l, CaptureOptions{Ports: []string{a.ref}, Buffer: 1000})
	for range 20 {
		l.expectSame(a, eth(b.mac, a.mac), b)
	}
	frames, lost := read(t, c, 20)
	if len(frames) != 1000/(60+captureOverhead) || lost != 20-uint64(len(frames)) {
		t.Errorf("%d frames and %d lost of 20", len(frames), lost)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing to read: error %v", err)
	}
}
