package vswitch

import (
	"encoding/binary"
	"runtime"
	"testing"
	"time"
)

// busyLab has two stations on one worker; the link of from is busy.
func busyLab(t *testing.T, spin time.Duration) (l *lab, from, to *station) {
	l = newLab(t, Options{Workers: 1, Spin: spin})
	from, to = l.plug("name=from"), l.plug("name=to")
	l.waitFor("a link is busy", func() bool {
		for range busyAfter {
			from.Send(eth(to.mac, from.mac))
			to.Recv()
		}
		return l.busyLinks() == 1
	})
	return l, from, to
}

// busyLinks is how many links the first worker does not wait for.
func (l *lab) busyLinks() (n int) {
	seen := make(chan struct{})
	w := l.sw.workers[0]
	w.do(func() { n = len(w.busy); close(seen) })
	<-seen
	return n
}

// With an hour to spin, a link that is busy stays it.
func TestBusyLink(t *testing.T) {
	t.Run("is read", func(t *testing.T) {
		l, from, to := busyLab(t, time.Hour)
		for i := range uint64(1000) {
			f := binary.BigEndian.AppendUint64(eth(to.mac, from.mac), i)
			from.Send(f)
			to.Expect(f)
		}
		if n := l.busyLinks(); n != 1 {
			t.Errorf("%d links are busy", n)
		}
	})
	t.Run("keeps nobody out", func(t *testing.T) {
		l, from, to := busyLab(t, time.Hour)
		third := l.plug("")
		third.Send(eth(from.mac, third.mac))
		from.Expect(eth(from.mac, third.mac))
		third.Send(eth(to.mac, third.mac))
		to.Expect(eth(to.mac, third.mac))
	})
	t.Run("ends", func(t *testing.T) {
		l, from, _ := busyLab(t, time.Hour)
		from.Close()
		l.await(func(e Event) bool { return e.Type == EventLinkDown && e.Port == from.id })
		if n := l.busyLinks(); n != 0 {
			t.Errorf("%d links are busy", n)
		}
	})
	t.Run("is removed", func(t *testing.T) {
		l, from, _ := busyLab(t, time.Hour)
		if err := l.sw.Remove("from"); err != nil {
			t.Fatal(err)
		}
		from.ExpectEnd()
		if n := l.busyLinks(); n != 0 {
			t.Errorf("%d links are busy", n)
		}
	})
	t.Run("is held", func(t *testing.T) {
		l, from, to := busyLab(t, time.Hour)
		const count = 20000 // more than the sockets hold, less than the ring does
		go func() {
			for i := range uint64(count) {
				if from.TrySend(binary.BigEndian.AppendUint64(eth(to.mac, from.mac), i)) != nil {
					return
				}
			}
		}()
		for want := range uint64(count) {
			f := to.Recv()
			if got := binary.BigEndian.Uint64(f[len(f)-8:]); got != want {
				t.Fatalf("frame %d instead of %d", got, want)
			}
		}
		if n := l.busyLinks(); n != 1 {
			t.Errorf("%d links are busy", n)
		}
	})
}

// A link on which nothing comes any more is waited for again, and nothing that
// comes in the moment between is overlooked.
func TestBusyLinkCalms(t *testing.T) {
	l, from, to := busyLab(t, 20*time.Microsecond)
	l.waitFor("no link is busy", func() bool { return l.busyLinks() == 0 })
	f := eth(to.mac, from.mac)
	for i := range 20000 {
		from.Send(f)
		to.Expect(f)
		for begin := time.Now(); time.Since(begin) < time.Duration(i%64)*time.Microsecond; {
			runtime.Gosched() // sometimes it is calm by then, sometimes just not
		}
	}
	l.waitFor("no link is busy", func() bool { return l.busyLinks() == 0 })
}

// Whoever is told never to spin waits for each link.
func TestNeverBusy(t *testing.T) {
	l := newLab(t, Options{Workers: 1, Spin: -1})
	a, b := l.plug(""), l.plug("")
	for range 10 * busyAfter {
		a.Send(eth(b.mac, a.mac))
		b.Recv()
	}
	if n := l.busyLinks(); n != 0 {
		t.Errorf("%d links are busy", n)
	}
}
