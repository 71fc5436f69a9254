package cable

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	vswitch "vnetkit/switch"
)

// Whatever comes in on stdin, the cable ends in order or says what is wrong, and
// the switch lives on.
func TestGarbage(t *testing.T) {
	a := startSwitch(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	good := wire(testFrame(1, 60), testFrame(2, 1514), nil, testFrame(3, 9000))
	for i := range 60 {
		var data []byte
		switch i % 4 {
		case 0: // noise
			for range rnd.IntN(20000) {
				data = append(data, byte(rnd.Uint32()))
			}
		case 1: // frames with a byte that is not as it was
			data = bytes.Repeat(good, 3)
			data[rnd.IntN(len(data))] = byte(rnd.Uint32())
		case 2: // cut anywhere
			data = good[:rnd.IntN(len(good))]
		case 3: // begun anywhere
			data = good[rnd.IntN(len(good)):]
		}
		p := prepare(t, self(a.dir)...)
		p.cmd.Stdin = bytes.NewReader(data)
		p.start()
		switch code := p.wait(); {
		case code != 0 && code != 1, strings.Contains(p.stderr.String(), "goroutine "):
			t.Fatalf("case %d of %d bytes: exit code %d:\n%s", i, len(data), code, &p.stderr)
		case code == 1 && !strings.Contains(p.stderr.String(), "stdio: "):
			t.Fatalf("case %d: it does not say what is wrong:\n%s", i, &p.stderr)
		}
	}
	a.awaitPorts(0)
	bothWays(t, a.plugIn(), a.plugIn(), usual...)
}

// arrivals counts the frames of one size that a station receives until a last
// one, which is sent again and again, as it may get lost, too. Some of the last
// ones may come later: no two counts may have the same size.
func arrivals(t *testing.T, from, to *station, count, size int) (n int) {
	t.Helper()
	var sending sync.WaitGroup
	sending.Add(1)
	failed := make(chan error, 1)
	go func() {
		defer sending.Done()
		f := testFrame(5, size)
		for i := range count {
			if err := from.send(f); err != nil {
				failed <- err
				return
			}
			if i%16 == 0 {
				time.Sleep(time.Millisecond) // a pace that no queue on the way overflows at
			}
		}
	}()
	sent := make(chan struct{})
	go func() { sending.Wait(); close(sent) }()
	last := testFrame(6, size+1)
	for {
		select {
		case f := <-to.frames:
			switch len(f) {
			case size:
				n++
			case size + 1:
				return n
			case 0:
				t.Fatal("the receiver's connection ended")
			}
		case err := <-failed:
			t.Fatal(err)
		case <-sent:
			if err := from.send(last); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// wirefilter and impair lose and double as much, for the same settings: both
// within wide bounds around what was asked for, ours with a seed.
func TestChanceLikeWirefilter(t *testing.T) {
	const count = 5000
	near := func(who string, n int, want float64) {
		t.Helper()
		if got := float64(n) / count; math.Abs(got-want) > 0.08 {
			t.Errorf("%s: %.3f of the frames arrived, want about %.2f", who, got, want)
		} else {
			t.Logf("%s: %.3f of %.2f", who, got, want)
		}
	}
	sa, sb := startSwitch(t), startSwitch(t)
	from, to := sa.plugIn(), sb.plugIn()
	for i, tc := range []struct {
		option string
		want   float64
	}{
		{"-l", 0.7},
		{"-D", 1 / (1 - 0.3)}, // it may double what it has doubled
	} {
		args := append([]string{"dpipe"}, self(sa.dir)...)
		args = append(args, "=", "wirefilter", tc.option, "30", "=")
		p := run(t, append(args, self(sb.dir)...)...)
		reach(t, from, to)
		near("wirefilter "+tc.option, arrivals(t, from, to, count, 200+10*i), tc.want)
		p.signal(15)
		sa.awaitPorts(1)
		sb.awaitPorts(1)
	}
	run(t, self(sa.dir, sb.dir)...)
	joined(t, from, to)
	port := sb.Ports()[0].Config.ID
	for i, tc := range []struct {
		impair string
		want   float64
	}{{"out-loss:30%+out-seed:1", 0.7}, {"out-dup:30%+out-seed:2", 1.3}} {
		sb.impair(port, tc.impair)
		near("impair="+tc.impair, arrivals(t, from, to, count, 300+10*i), tc.want)
	}
	if p := sb.Ports()[0]; p.Drops[vswitch.DropImpairLoss] == 0 || p.Duplicated[vswitch.DirOut] == 0 {
		t.Errorf("counted %d lost, %d doubled", p.Drops[vswitch.DropImpairLoss], p.Duplicated[vswitch.DirOut])
	}
}
